import type { ConsumerGroupDescription } from '@millrace/client'
import type { Place } from './membership-ghost.ts'

/** A member as it should be in the group: what it subscribes to, and what it has. */
export interface SettledMember {
  readonly memberId: string
  isSubscribedTo(topic: string): boolean
  readonly owned: readonly Place[]
}

/**
 * G6: why a group that has been left in peace is not where it should be, null if it is. Each partition that somebody subscribes to has one
 * owner, who knows it, and the load is as even as the assignor promises: the uniform one leaves nobody with two more than somebody else who
 * could have one of them, the range one shares each topic evenly.
 */
export function convergenceComplaint(
  group: ConsumerGroupDescription,
  counts: ReadonlyMap<string, number>,
  members: readonly SettledMember[],
): string | null {
  const described = group.members.map(({ memberId }) => memberId).sort()
  const expected = members.map(({ memberId }) => memberId).sort()
  if (described.join() !== expected.join()) return `members are ${described.join()}; there should be ${expected.join()}`
  if (group.state !== 'Stable') return `it is ${group.state}`
  for (const member of members) {
    const { assignment } = group.members.find(({ memberId }) => memberId === member.memberId)!
    const assigned = assignment.map(({ topic, partition }) => `${topic}/${partition}`).sort()
    const owned = [...member.owned].sort()
    if (assigned.join() !== owned.join())
      return `${member.memberId} has ${owned.join()} and is assigned ${assigned.join()}`
  }
  return ownershipComplaint(counts, members) ?? balanceComplaint(group.assignor, counts, members)
}

function ownershipComplaint(counts: ReadonlyMap<string, number>, members: readonly SettledMember[]): string | null {
  for (const [topic, count] of counts) {
    const hasReaders = members.some((member) => member.isSubscribedTo(topic))
    for (let partition = 0; partition < count; partition++) {
      const owners = members.filter(({ owned }) => owned.includes(`${topic}/${partition}`))
      if (owners.length !== (hasReaders ? 1 : 0)) return `${topic}/${partition} has ${owners.length} owners`
      if (owners.some((owner) => !owner.isSubscribedTo(topic))) return `the owner of ${topic} does not subscribe to it`
    }
  }
  return null
}

function balanceComplaint(
  assignor: string,
  counts: ReadonlyMap<string, number>,
  members: readonly SettledMember[],
): string | null {
  for (const topic of counts.keys()) {
    const readers = members.filter((member) => member.isSubscribedTo(topic))
    for (const more of readers) {
      const ofTopic = ({ owned }: SettledMember): number =>
        owned.filter((place) => place.startsWith(`${topic}/`)).length
      if (ofTopic(more) === 0) continue
      for (const less of readers) {
        const gap = assignor === 'range' ? ofTopic(more) - ofTopic(less) : more.owned.length - less.owned.length
        if (gap > 1) return `${more.memberId} has ${gap} more than ${less.memberId}, who could read ${topic}`
      }
    }
  }
  return null
}
