import {
  type GroupContext,
  memberSyncTimerKey,
  rejoinTimerKey,
  revocationTimerKey,
  sessionTimerKey,
} from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import type { GroupStep, MembersWritten } from '../group-protocol.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { MemberState } from './consumer-record.ts'
import { write } from './consumer-replay.ts'

/** A timer whose write failed fires again after so long. */
const TIMER_RETRY_MS = 500

/** Every heartbeat of a member begins its session anew. */
export function restartMemberSession(
  context: GroupContext,
  { groupId }: ConsumerGroup,
  { memberId, classic }: ConsumerMember,
  step: GroupStep,
): void {
  const timeoutMs = classic?.sessionTimeoutMs ?? context.settings.consumer(groupId).sessionTimeoutMs
  const event = { type: 'session-expired', groupId, memberId } as const
  step.schedule(sessionTimerKey(groupId, memberId), Math.max(0, timeoutMs), event, TIMER_RETRY_MS)
}

/** A member that has to give something up has its own rebalance timeout for it. One that speaks the classic protocol has other timers. */
export function scheduleRevocation({ groupId }: ConsumerGroup, member: ConsumerMember, step: GroupStep): void {
  const { memberId, memberEpoch, metadata } = member
  if (member.state !== MemberState.UNREVOKED_PARTITIONS || member.classic !== null) {
    step.cancel(revocationTimerKey(groupId, memberId))
    return
  }
  const event = { type: 'revocation-expired', groupId, memberId, memberEpoch } as const
  step.schedule(revocationTimerKey(groupId, memberId), Math.max(0, metadata.rebalanceTimeoutMs), event, TIMER_RETRY_MS)
}

/** A member that speaks the classic protocol was told to join again. The time it has is not prolonged by telling it once more. */
export function scheduleRejoin({ groupId }: ConsumerGroup, member: ConsumerMember, step: GroupStep): void {
  const { memberId, metadata } = member
  const event = { type: 'member-rejoin-expired', groupId, memberId } as const
  step.scheduleIfAbsent(
    rejoinTimerKey(groupId, memberId),
    Math.max(0, metadata.rebalanceTimeoutMs),
    event,
    TIMER_RETRY_MS,
  )
}

export function scheduleMemberSync(
  { groupId }: ConsumerGroup,
  memberId: string,
  timeoutMs: number,
  step: GroupStep,
): void {
  const event = { type: 'member-sync-expired', groupId, memberId } as const
  step.schedule(memberSyncTimerKey(groupId, memberId), Math.max(0, timeoutMs), event, TIMER_RETRY_MS)
}

/** The timers that follow from what is known of a member, after a load. */
export function restartMemberTimers(
  context: GroupContext,
  group: ConsumerGroup,
  member: ConsumerMember,
  step: GroupStep,
): void {
  restartMemberSession(context, group, member, step)
  scheduleRevocation(group, member, step)
}

export function cancelMemberTimers(groupId: string, memberId: string, step: GroupStep): void {
  step.cancel(sessionTimerKey(groupId, memberId))
  step.cancel(revocationTimerKey(groupId, memberId))
  step.cancel(rejoinTimerKey(groupId, memberId))
  step.cancel(memberSyncTimerKey(groupId, memberId))
}

/** Takes a member out of its group, in Kafka's order of records. */
export function writeMemberRemoval(context: GroupContext, groupId: string, memberId: string, step: GroupStep): void {
  write(context, { type: 'consumer-current', groupId, memberId, value: null }, step)
  write(context, { type: 'consumer-target', groupId, memberId, value: null }, step)
  write(context, { type: 'consumer-member', groupId, memberId, value: null }, step)
}

/** Once the step's records are written, or could not be, its members are looked at again ({@link onMembersWritten}). */
export function awaitMembers(groupId: string, memberIds: readonly string[], step: GroupStep): void {
  step.continuation ??= { type: 'members-written', groupId, memberIds, firedKey: null }
}

/** As {@link awaitMembers} has said, in a step that this timer began. */
export function awaitTimer(firedKey: string, step: GroupStep): void {
  const { continuation } = step
  if (continuation?.type === 'members-written') step.continuation = { ...continuation, firedKey }
}

/**
 * The records of a step were not written: the state is what it was before, so must be the timers. But for the one that began the step: that
 * is due again at once, and not after the whole of its time.
 */
export function onMembersWritten(
  context: GroupContext,
  { groupId, memberIds, firedKey }: MembersWritten,
  logError: number,
  step: GroupStep,
): void {
  if (logError === 0) return
  const group = consumerGroupOf(context, groupId)
  if (group === undefined) return
  group.seenMetadata = null
  // It may be what regular expressions match that was not written.
  group.regexesAskedAt = -1
  for (const memberId of memberIds) {
    const member = group.members.get(memberId)
    if (member === undefined) continue
    if (sessionTimerKey(groupId, memberId) !== firedKey) restartMemberSession(context, group, member, step)
    if (revocationTimerKey(groupId, memberId) !== firedKey) scheduleRevocation(group, member, step)
  }
}
