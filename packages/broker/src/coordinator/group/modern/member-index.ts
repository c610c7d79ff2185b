import type { Uuid } from '@millrace/base'
import type { ValueTally } from '../../runtime/timeline.ts'
import type { Assignment } from './assignment.ts'
import { type ModernMember, namesBytes } from './modern-member.ts'

/**
 * What can be told from the members of one group, kept up to date as they come, change and go, and as changes of theirs are taken
 * back: so none of it needs versions of its own.
 */
export class MemberIndex<Member extends ModernMember> implements ValueTally<Member> {
  memberCount = 0
  /** Stable members by their epoch. */
  readonly #stableByEpoch = new Map<number, number>()
  readonly #memberIdsByInstance = new Map<string, string>()
  /** Who has a partition, or has not given it up yet. */
  readonly #owners = new Map<Uuid, Map<number, string>>()
  /** The lists of names there are, each with how many members have it. Most groups have one. */
  readonly #lists = new Map<readonly string[], number>()
  /** In how many of the lists each name stands. */
  readonly #names = new Map<string, number>()
  readonly #knowsOwners: boolean
  /** What the lists of names take, each once. */
  namesBytes = 0

  /** Owners make sense where a partition has one at a time, which in share groups (KIP-932) it has not. */
  constructor(knowsOwners: boolean) {
    this.#knowsOwners = knowsOwners
  }

  stableCountAt(epoch: number): number {
    return this.#stableByEpoch.get(epoch) ?? 0
  }

  staticMemberId(instanceId: string): string | undefined {
    return this.#memberIdsByInstance.get(instanceId)
  }

  /** Who has the partition, undefined if nobody has. */
  ownerOf(topicId: Uuid, partition: number): string | undefined {
    return this.#owners.get(topicId)?.get(partition)
  }

  /** Some list that a member has: another member's is likely the same. */
  anyList(): readonly string[] | undefined {
    return this.#lists.keys().next().value
  }

  hasName(topic: string): boolean {
    return this.#names.has(topic)
  }

  /** The names that members subscribe to, each once. */
  names(): Iterable<string> {
    return this.#names.keys()
  }

  onAdded(member: Member): void {
    const { memberId, instanceId, memberEpoch, isStable, subscribedTopics, assigned, pendingRevocation } = member
    this.memberCount++
    if (isStable) this.#stableByEpoch.set(memberEpoch, this.stableCountAt(memberEpoch) + 1)
    if (instanceId !== null) this.#memberIdsByInstance.set(instanceId, memberId)
    this.#own(assigned, memberId)
    this.#own(pendingRevocation, memberId)
    const count = this.#lists.get(subscribedTopics) ?? 0
    this.#lists.set(subscribedTopics, count + 1)
    if (count > 0) return
    this.namesBytes += namesBytes(subscribedTopics)
    for (const name of subscribedTopics) this.#names.set(name, (this.#names.get(name) ?? 0) + 1)
  }

  onRemoved(member: Member): void {
    const { memberId, instanceId, memberEpoch, isStable, subscribedTopics, assigned, pendingRevocation } = member
    this.memberCount--
    if (isStable) {
      const count = this.stableCountAt(memberEpoch) - 1
      if (count === 0) this.#stableByEpoch.delete(memberEpoch)
      else this.#stableByEpoch.set(memberEpoch, count)
    }
    // Another member may have taken its place by now.
    if (instanceId !== null && this.#memberIdsByInstance.get(instanceId) === memberId) {
      this.#memberIdsByInstance.delete(instanceId)
    }
    this.#disown(assigned, memberId)
    this.#disown(pendingRevocation, memberId)
    const count = this.#lists.get(subscribedTopics)! - 1
    if (count > 0) {
      this.#lists.set(subscribedTopics, count)
      return
    }
    this.#lists.delete(subscribedTopics)
    this.namesBytes -= namesBytes(subscribedTopics)
    for (const name of subscribedTopics) {
      const nameCount = this.#names.get(name)! - 1
      if (nameCount === 0) this.#names.delete(name)
      else this.#names.set(name, nameCount)
    }
  }

  #own(assignment: Assignment, memberId: string): void {
    if (!this.#knowsOwners) return
    for (const [topicId, partitions] of assignment) {
      let owners = this.#owners.get(topicId)
      if (owners === undefined) {
        owners = new Map()
        this.#owners.set(topicId, owners)
      }
      for (const partition of partitions) owners.set(partition, memberId)
    }
  }

  #disown(assignment: Assignment, memberId: string): void {
    if (!this.#knowsOwners) return
    for (const [topicId, partitions] of assignment) {
      const owners = this.#owners.get(topicId)
      if (owners === undefined) continue
      for (const partition of partitions) if (owners.get(partition) === memberId) owners.delete(partition)
      if (owners.size === 0) this.#owners.delete(topicId)
    }
  }
}
