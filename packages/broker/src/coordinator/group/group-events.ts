import type { ClassicGroup } from './classic-group.ts'
import { onJoinWritten, onStaticMemberWritten } from './classic-join.ts'
import { completeJoin, onInitialJoinExpired, onSessionExpired, onSyncExpired } from './classic-rebalance.ts'
import { onAssignmentWritten, onStableSyncWritten, onSyncWritten } from './classic-sync.ts'
import { onConsumerJoinWritten, onConsumerSyncWritten } from './consumer/classic-members.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'
import {
  onMemberSessionExpired,
  onMemberSyncExpired,
  onRejoinExpired,
  onRevocationExpired,
} from './consumer/consumer-leave.ts'
import { onMembersWritten } from './consumer/member-writes.ts'
import { onRegexDue } from './consumer/regex-resolution.ts'
import type { GroupContext } from './group-context.ts'
import type { GroupEvent, GroupStep } from './group-protocol.ts'
import { onShareMembersWritten, onShareSessionExpired } from './share/share-heartbeat.ts'

/** A timer of a group fired. Timers outlive a group that was deleted, or became one of the other kind. */
export function onGroupTimer(
  context: GroupContext,
  event: Exclude<GroupEvent, { type: 'offsets-expiry-due' }>,
  step: GroupStep,
): void {
  const group = context.groups.get(event.groupId)
  if (group?.type === 'classic') onClassicTimer(context, group, event, step)
  else if (group?.type === 'consumer') onConsumerTimer(context, group, event, step)
  else if (group?.type === 'share' && event.type === 'session-expired') {
    onShareSessionExpired(context, group, event.memberId, step)
  }
}

function onClassicTimer(context: GroupContext, group: ClassicGroup, event: GroupEvent, step: GroupStep): void {
  switch (event.type) {
    case 'session-expired':
      onSessionExpired(context, group, event.memberId, step)
      break
    case 'initial-join-expired':
      onInitialJoinExpired(context, group, event.delayMs, event.remainingMs, step)
      break
    case 'join-expired':
      completeJoin(group, step)
      break
    case 'sync-expired':
      onSyncExpired(context, group, event.generationId, step)
      break
  }
}

function onConsumerTimer(context: GroupContext, group: ConsumerGroup, event: GroupEvent, step: GroupStep): void {
  switch (event.type) {
    case 'session-expired':
      onMemberSessionExpired(context, group, event.memberId, step)
      break
    case 'revocation-expired':
      onRevocationExpired(context, group, event.memberId, event.memberEpoch, step)
      break
    case 'member-rejoin-expired':
      onRejoinExpired(context, group, event.memberId, step)
      break
    case 'member-sync-expired':
      onMemberSyncExpired(context, group, event.memberId, step)
      break
    case 'regex-due':
      onRegexDue(context, event.groupId, step)
      break
  }
}

/** The write of a step is committed (error code 0) or has failed: what the step wanted done then. */
export function onGroupWritten(context: GroupContext, event: GroupEvent, errorCode: number, step: GroupStep): void {
  switch (event.type) {
    case 'share-members-written':
      onShareMembersWritten(context, event.groupId, event.memberIds, errorCode, step)
      break
    case 'members-written':
      onMembersWritten(context, event, errorCode, step)
      break
    case 'consumer-join-written':
      onConsumerJoinWritten(context, event, errorCode, step)
      break
    case 'consumer-sync-written':
      onConsumerSyncWritten(context, event, errorCode, step)
      break
    case 'join-written':
      onJoinWritten(context, event.groupId, event.token, errorCode, step)
      break
    case 'sync-written':
      onSyncWritten(context, event.groupId, event.token, errorCode, step)
      break
    case 'stable-sync-written':
      onStableSyncWritten(context, event, errorCode, step)
      break
    case 'static-member-written':
      onStaticMemberWritten(context, event, errorCode, step)
      break
    case 'assignment-written': {
      const { groupId, generationId, assignments } = event
      onAssignmentWritten(context, groupId, generationId, assignments, errorCode, step)
      break
    }
  }
}
