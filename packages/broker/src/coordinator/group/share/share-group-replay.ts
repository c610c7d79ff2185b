import type { GroupContext } from '../group-context.ts'
import { shareGroupOf } from '../group-lookup.ts'
import type { GroupStep } from '../group-protocol.ts'
import { ShareGroup } from './share-group.ts'
import { NO_STATE_PARTITIONS, type ShareGroupRecord } from './share-group-record.ts'
import { ShareMember } from './share-member.ts'

/** Changes the state by a record, and has it written. All that happens to a share group happens by this. */
export function writeShare(context: GroupContext, record: ShareGroupRecord, step: GroupStep): void {
  applyShareGroupRecord(context, record)
  step.writeApplied(record)
}

/** Changes the state by one record, from the log or just made. Records of a group may come in any order (compaction). */
export function applyShareGroupRecord(context: GroupContext, record: ShareGroupRecord): void {
  const known = shareGroupOf(context, record.groupId)
  if (record.value === null) {
    if (known !== undefined) deleteFrom(context, known, record)
    return
  }
  const group = known ?? createShareGroup(context, record.groupId, null)
  switch (record.type) {
    case 'share-group':
      group.epoch = record.value
      break
    case 'share-partitions':
      group.partitions = record.value
      break
    case 'share-member': {
      const member = group.members.get(record.memberId) ?? ShareMember.unknown(record.memberId, record.owner)
      const subscribedTopics = group.shareNames(record.value.subscribedTopics)
      group.members.set(record.memberId, member.withMetadata({ ...record.value, subscribedTopics }))
      break
    }
    case 'share-targets':
      group.target = record.value
      break
    case 'share-target':
      group.targets.set(record.memberId, record.value)
      break
    case 'share-current': {
      const member = group.members.get(record.memberId) ?? ShareMember.unknown(record.memberId)
      group.members.set(record.memberId, member.withCurrent(record.value))
      break
    }
  }
}

/** In place of any other group of that id: of two in a log the later one counts. */
export function createShareGroup(context: GroupContext, groupId: string, owner: string | null): ShareGroup {
  const group = new ShareGroup(groupId, context.timeline, owner)
  context.groups.set(groupId, group)
  return group
}

function deleteFrom(context: GroupContext, group: ShareGroup, record: ShareGroupRecord): void {
  switch (record.type) {
    case 'share-group':
      context.groups.delete(record.groupId)
      break
    case 'share-partitions':
      group.partitions = NO_STATE_PARTITIONS
      break
    case 'share-member':
      group.members.delete(record.memberId)
      break
    case 'share-targets':
      group.target = { epoch: -1, timestampMs: 0 }
      break
    case 'share-target':
      group.targets.delete(record.memberId)
      break
    case 'share-current': {
      const member = group.members.get(record.memberId)
      if (member !== undefined) group.members.set(record.memberId, member.withCurrent(null))
      break
    }
  }
}

/** What deletes a group's records, in Kafka's order. */
export function* shareGroupTombstones({ groupId, members }: ShareGroup): Generator<ShareGroupRecord> {
  for (const memberId of members.keys()) yield { type: 'share-current', groupId, memberId, value: null }
  for (const memberId of members.keys()) yield { type: 'share-target', groupId, memberId, value: null }
  yield { type: 'share-targets', groupId, value: null }
  for (const memberId of members.keys()) yield { type: 'share-member', groupId, memberId, value: null }
  yield { type: 'share-partitions', groupId, value: null }
  yield { type: 'share-group', groupId, value: null }
}
