import type { Uuid } from '@millrace/base'
import type { PartitionAssignor } from './assignor.ts'
import { type AssignorInput, type AssignorMember, type AssignorTopic, addTo, finishDrafts } from './assignor.ts'
import { isInRack, racksMatter } from './rack-preference.ts'

/**
 * Of each topic a range of partitions to each subscriber, so that the same partitions of several topics come together at one member.
 * Static members come first, by instance id: they keep their place over restarts. Where racks matter the ranges keep their lengths,
 * and each partition goes near one of its replicas first (as the consumers' own range assignor does, KIP-881); Kafka 4.3 ignores racks.
 */
export const rangeAssignor: PartitionAssignor = {
  name: 'range',
  assign(input) {
    const { members, topics } = input
    const drafts = members.map(() => new Map<Uuid, number[]>())
    const slots = members.map((_, slot) => slot)
    slots.sort((left, right) => compareMembers(members[left]!, members[right]!))
    const nearRacks = racksMatter(input)
    for (const topic of topics.values()) {
      const subscribers = input.isHomogeneous ? slots : slots.filter((slot) => members[slot]!.topicIds.has(topic.id))
      if (subscribers.length === 0) continue
      assignTopic(input, topic, subscribers, nearRacks, drafts)
    }
    return finishDrafts(members, drafts)
  },
}

function assignTopic(
  { members }: AssignorInput,
  topic: AssignorTopic,
  subscribers: readonly number[],
  nearRacks: boolean,
  drafts: readonly Map<Uuid, number[]>[],
): void {
  const { id, partitionCount } = topic
  const quota = Math.floor(partitionCount / subscribers.length)
  const extras = partitionCount % subscribers.length
  const lengths = subscribers.map((_, order) => quota + (order < extras ? 1 : 0))
  const isTaken = new Uint8Array(partitionCount)
  if (nearRacks) {
    for (let partition = 0; partition < partitionCount; partition++) {
      const order = subscribers.findIndex(
        (slot, at) => lengths[at]! > 0 && isInRack(topic, partition, members[slot]!.rackId),
      )
      if (order === -1) continue
      lengths[order]!--
      isTaken[partition] = 1
      addTo(drafts[subscribers[order]!]!, id, partition)
    }
  }
  let order = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    if (isTaken[partition] === 1) continue
    while (lengths[order] === 0) order++
    lengths[order]!--
    addTo(drafts[subscribers[order]!]!, id, partition)
  }
}

function compareMembers(left: AssignorMember, right: AssignorMember): number {
  if (left.instanceId !== null && right.instanceId !== null) return compare(left.instanceId, right.instanceId)
  if (left.instanceId !== null) return -1
  if (right.instanceId !== null) return 1
  return compare(left.memberId, right.memberId)
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
