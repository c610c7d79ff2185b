import { comparePartitions, partitionKey, type TopicPartition } from '../../cluster/topic-partition.ts'
import {
  compareMembers,
  emptyAssignment,
  type GroupAssignment,
  type MemberSubscription,
  membersByTopic,
} from './assignor.ts'

/**
 * Shares partitions so that, first, loads are balanced (no member could take a partition of another that holds at least two more),
 * and second, members keep what they own as far as balance allows.
 *
 * Method: keep valid claims, hand free partitions to the least loaded member that wants the topic, then move single partitions
 * from the most loaded members until no move helps. Each move lowers the sum of squared loads, so it ends.
 */
export function assignSticky(
  members: readonly MemberSubscription[],
  partitionCounts: ReadonlyMap<string, number>,
): GroupAssignment {
  const builder = new StickyBuilder(members, partitionCounts)
  builder.keepClaims(members)
  builder.assignFree()
  builder.balance()
  return builder.result(members)
}

/** One member while the assignment is made. */
class Holder {
  readonly memberId: string
  /** Kept claims by topic. */
  readonly kept = new Map<string, number[]>()
  /** What it did not own before, by topic: given away first when loads are balanced. */
  readonly added = new Map<string, number[]>()
  load = 0

  constructor(memberId: string) {
    this.memberId = memberId
  }

  add(topic: string, partition: number, isClaim: boolean): void {
    const lists = isClaim ? this.kept : this.added
    const list = lists.get(topic)
    if (list === undefined) lists.set(topic, [partition])
    else list.push(partition)
    this.load++
  }

  /** Removes and returns a partition of the topic, preferring one that was not owned before. */
  take(topic: string): number {
    const added = this.added.get(topic)
    const list = added !== undefined && added.length > 0 ? added : this.kept.get(topic)!
    this.load--
    return list.pop()!
  }

  topics(): string[] {
    const topics = new Set<string>()
    for (const [topic, list] of this.kept) if (list.length > 0) topics.add(topic)
    for (const [topic, list] of this.added) if (list.length > 0) topics.add(topic)
    return [...topics]
  }

  partitions(): TopicPartition[] {
    const partitions: TopicPartition[] = []
    for (const lists of [this.kept, this.added]) {
      for (const [topic, list] of lists) for (const partition of list) partitions.push({ topic, partition })
    }
    return partitions.sort(comparePartitions)
  }
}

class StickyBuilder {
  readonly #partitionCounts: ReadonlyMap<string, number>
  readonly #holders = new Map<string, Holder>()
  readonly #holdersByTopic = new Map<string, Holder[]>()
  readonly #claimed = new Set<string>()

  constructor(members: readonly MemberSubscription[], partitionCounts: ReadonlyMap<string, number>) {
    this.#partitionCounts = partitionCounts
    for (const member of [...members].sort(compareMembers))
      this.#holders.set(member.memberId, new Holder(member.memberId))
    for (const [topic, topicMembers] of membersByTopic(members, partitionCounts)) {
      this.#holdersByTopic.set(
        topic,
        topicMembers.map((member) => this.#holders.get(member.memberId)!),
      )
    }
  }

  /**
   * A claim holds if the partition exists, the member still wants the topic, and nobody claims it with a newer generation. Two
   * claims of one generation cancel each other: at most one can be true, and nobody can tell which.
   */
  keepClaims(members: readonly MemberSubscription[]): void {
    const winners = new Map<string, { memberId: string | null; generationId: number; place: TopicPartition }>()
    for (const member of [...members].sort(compareMembers)) {
      const topics = new Set(member.topics)
      for (const place of member.ownedPartitions) {
        if (!topics.has(place.topic) || place.partition >= (this.#partitionCounts.get(place.topic) ?? 0)) continue
        const key = partitionKey(place.topic, place.partition)
        const rival = winners.get(key)
        if (rival === undefined || rival.generationId < member.generationId) {
          winners.set(key, { memberId: member.memberId, generationId: member.generationId, place })
        } else if (rival.generationId === member.generationId && rival.memberId !== member.memberId) {
          rival.memberId = null
        }
      }
    }
    for (const [key, { memberId, place }] of winners) {
      if (memberId === null) continue
      this.#holders.get(memberId)!.add(place.topic, place.partition, true)
      this.#claimed.add(key)
    }
  }

  /** Topics with the fewest takers first: their partitions have the least choice. */
  assignFree(): void {
    const topics = [...this.#holdersByTopic.entries()].sort((a, b) => a[1].length - b[1].length)
    for (const [topic, holders] of topics) {
      if (holders.length === 0) continue
      const partitionCount = this.#partitionCounts.get(topic)!
      for (let partition = 0; partition < partitionCount; partition++) {
        if (!this.#claimed.has(partitionKey(topic, partition))) leastLoaded(holders).add(topic, partition, false)
      }
    }
  }

  /**
   * Always takes from the member that holds most now: taking several from one in a row would push its load below the others', and
   * these would then give partitions to it instead of to the newcomer.
   */
  balance(): void {
    let moved = true
    while (moved) {
      moved = false
      const stuck = new Set<Holder>()
      for (;;) {
        const donor = mostLoaded(this.#holders.values(), stuck)
        if (donor === null) break
        if (this.#moveOneFrom(donor)) moved = true
        else stuck.add(donor)
      }
    }
  }

  #moveOneFrom(donor: Holder): boolean {
    let bestTopic: string | null = null
    let bestTarget: Holder | null = null
    for (const topic of donor.topics()) {
      const target = leastLoaded(this.#holdersByTopic.get(topic)!)
      if (bestTarget === null || target.load < bestTarget.load) {
        bestTarget = target
        bestTopic = topic
      }
    }
    if (bestTopic === null || bestTarget === null || bestTarget.load > donor.load - 2) return false
    bestTarget.add(bestTopic, donor.take(bestTopic), false)
    return true
  }

  result(members: readonly MemberSubscription[]): GroupAssignment {
    const assignment = emptyAssignment(members)
    for (const holder of this.#holders.values()) assignment.set(holder.memberId, holder.partitions())
    return assignment
  }
}

/** The first of those with the smallest load. `holders` is not empty. */
function leastLoaded(holders: readonly Holder[]): Holder {
  let best = holders[0]!
  for (const holder of holders) if (holder.load < best.load) best = holder
  return best
}

/** The first of those with the largest load, leaving out `except`; null if none is left. */
function mostLoaded(holders: Iterable<Holder>, except: ReadonlySet<Holder>): Holder | null {
  let best: Holder | null = null
  for (const holder of holders) {
    if (!except.has(holder) && (best === null || holder.load > best.load)) best = holder
  }
  return best
}
