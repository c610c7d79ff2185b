import type { GroupContext } from '../group-context.ts'
import { consumerGroupOf } from '../group-lookup.ts'
import type { GroupStep } from '../group-protocol.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { ConsumerMember } from './consumer-member.ts'
import type { ConsumerGroupRecord } from './consumer-record.ts'

/** Changes the state by a record, and has it written. All that happens to a consumer group happens by this. */
export function write(context: GroupContext, record: ConsumerGroupRecord, step: GroupStep): void {
  applyConsumerRecord(context, record)
  step.writeApplied(record)
}

/**
 * Changes the state by one record, from the log or just made. After compaction the records of a group may come in any order, so each
 * makes what it needs; what deletes something that is not there changes nothing.
 */
export function applyConsumerRecord(context: GroupContext, record: ConsumerGroupRecord): void {
  const known = consumerGroupOf(context, record.groupId)
  if (record.value === null) {
    if (known !== undefined) deleteFrom(context, known, record)
    return
  }
  const group = known ?? createGroup(context, record.groupId, null)
  switch (record.type) {
    case 'consumer-group':
      group.epoch = record.value
      break
    case 'consumer-partitions':
      group.hasPartitionsRecord = true
      break
    case 'consumer-member': {
      const member = group.members.get(record.memberId) ?? ConsumerMember.unknown(record.memberId, record.owner)
      const { subscribedTopics } = record.value
      group.members.set(
        record.memberId,
        member.withMetadata({ ...record.value, subscribedTopics: group.shareNames(subscribedTopics) }),
      )
      break
    }
    case 'consumer-targets':
      group.target = record.value
      break
    case 'consumer-target':
      group.targets.set(record.memberId, record.value)
      break
    case 'consumer-current': {
      const member = group.members.get(record.memberId) ?? ConsumerMember.unknown(record.memberId)
      group.members.set(record.memberId, member.withCurrent(record.value))
      break
    }
    case 'consumer-regex':
      group.regexes.set(record.regex, record.value)
      break
  }
}

/** In place of any other group of that id: of two in a log the later one counts. */
export function createGroup(context: GroupContext, groupId: string, owner: string | null): ConsumerGroup {
  const group = new ConsumerGroup(groupId, context.timeline, owner)
  context.groups.set(groupId, group)
  return group
}

function deleteFrom(context: GroupContext, group: ConsumerGroup, record: ConsumerGroupRecord): void {
  switch (record.type) {
    case 'consumer-group':
      context.groups.delete(record.groupId)
      break
    case 'consumer-partitions':
      group.hasPartitionsRecord = false
      break
    case 'consumer-member':
      group.members.delete(record.memberId)
      break
    case 'consumer-targets':
      group.target = { epoch: -1, timestampMs: 0 }
      break
    case 'consumer-target':
      group.targets.delete(record.memberId)
      break
    case 'consumer-current': {
      const member = group.members.get(record.memberId)
      if (member !== undefined) group.members.set(record.memberId, member.withCurrent(null))
      break
    }
    case 'consumer-regex':
      group.regexes.delete(record.regex)
      break
  }
}
