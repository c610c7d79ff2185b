import type { Uuid } from '@millrace/base'
import type { Assignment } from './assignment.ts'
import { type AssignorInput, type AssignorTopic, addTo, finishDrafts } from './assignor.ts'
import { LoadHeap } from './load-heap.ts'
import { isInRack, racksMatter } from './rack-preference.ts'

/** A pass halves the imbalance, about; what is left after so many is not worth the partitions that would move. */
const MAX_PASSES = 16
const NOBODY = -1

/** For members that subscribe to different topics: each keeps what it may, gets what nobody has, and then the loads are evened out. */
export function assignUnevenly(input: AssignorInput): Map<string, Assignment> {
  return new UnevenAssignment(input).build()
}

interface TopicDraft {
  readonly topic: AssignorTopic
  /** Slots of members, ascending. */
  readonly subscribers: number[]
  /** By partition: the slot of a member. */
  readonly owners: Int32Array
}

class UnevenAssignment {
  readonly #input: AssignorInput
  readonly #topics = new Map<Uuid, TopicDraft>()
  /** Of each member, how many partitions it has. */
  readonly #loads: Float64Array
  readonly #racksMatter: boolean

  constructor(input: AssignorInput) {
    this.#input = input
    this.#loads = new Float64Array(input.members.length)
    this.#racksMatter = racksMatter(input)
    for (const topic of input.topics.values()) {
      const owners = new Int32Array(topic.partitionCount).fill(NOBODY)
      this.#topics.set(topic.id, { topic, subscribers: [], owners })
    }
    input.members.forEach(({ topicIds }, slot) => {
      for (const topicId of topicIds) this.#topics.get(topicId)!.subscribers.push(slot)
    })
  }

  build(): Map<string, Assignment> {
    this.#keep()
    const ordered = [...this.#topics.values()].filter(({ subscribers }) => subscribers.length > 0).sort(compareTopics)
    for (const draft of ordered) this.#assignOwnerless(draft)
    const shared = ordered.filter(({ subscribers }) => subscribers.length > 1)
    for (let pass = 0; pass < MAX_PASSES && this.#isUneven(); pass++) {
      let moves = 0
      for (const draft of shared) moves += this.#balance(draft)
      if (moves === 0) break
    }
    return this.#finish()
  }

  #keep(): void {
    this.#input.members.forEach(({ topicIds, previous }, slot) => {
      for (const [topicId, partitions] of previous) {
        if (!topicIds.has(topicId)) continue
        const { owners } = this.#topics.get(topicId)!
        for (const partition of partitions) {
          // Undefined: there is no such partition.
          if (owners[partition] === NOBODY) this.#give(owners, partition, slot)
        }
      }
    })
  }

  #give(owners: Int32Array, partition: number, slot: number): void {
    owners[partition] = slot
    this.#loads[slot]!++
  }

  /** Each partition to the subscriber with the least to do, near a replica if several have as little. */
  #assignOwnerless({ topic, subscribers, owners }: TopicDraft): void {
    if (!owners.includes(NOBODY)) return
    const heap = new LoadHeap(this.#loads, 1)
    for (const slot of subscribers) heap.push(slot)
    for (let partition = 0; partition < owners.length; partition++) {
      if (owners[partition] !== NOBODY) continue
      const slot = this.#nearest(topic, partition, subscribers, heap.top()!)
      this.#give(owners, partition, slot)
      heap.push(slot)
    }
  }

  /** Another subscriber with the same load in the right rack, if the least loaded one is in none. */
  #nearest(topic: AssignorTopic, partition: number, subscribers: readonly number[], least: number): number {
    const { members } = this.#input
    if (!this.#racksMatter || isInRack(topic, partition, members[least]!.rackId)) return least
    const load = this.#loads[least]
    for (const slot of subscribers) {
      if (this.#loads[slot] === load && isInRack(topic, partition, members[slot]!.rackId)) return slot
    }
    return least
  }

  #isUneven(): boolean {
    let least = Number.POSITIVE_INFINITY
    let most = 0
    for (const load of this.#loads) {
      if (load < least) least = load
      if (load > most) most = load
    }
    return most - least > 1
  }

  /** Moves partitions from the most to the least loaded subscribers of a topic, and gives how many. */
  #balance({ subscribers, owners }: TopicDraft): number {
    const loads = this.#loads
    let least = Number.POSITIVE_INFINITY
    let most = 0
    for (const slot of subscribers) {
      if (loads[slot]! < least) least = loads[slot]!
      if (loads[slot]! > most) most = loads[slot]!
    }
    if (most - least <= 1) return 0
    const partitionsOf = new Map<number, number[]>()
    owners.forEach((slot, partition) => {
      const partitions = partitionsOf.get(slot)
      if (partitions === undefined) partitionsOf.set(slot, [partition])
      else partitions.push(partition)
    })
    const leastLoaded = new LoadHeap(loads, 1)
    const mostLoaded = new LoadHeap(loads, -1)
    for (const slot of subscribers) leastLoaded.push(slot)
    for (const slot of partitionsOf.keys()) mostLoaded.push(slot)
    let moves = 0
    for (;;) {
      const from = mostLoaded.top()
      const to = leastLoaded.top()!
      if (from === null || loads[from]! - loads[to]! <= 1) return moves
      const partitions = partitionsOf.get(from)!
      const partition = partitions.pop()
      if (partition === undefined) {
        mostLoaded.pop()
        continue
      }
      loads[from]!--
      this.#give(owners, partition, to)
      const received = partitionsOf.get(to)
      if (received === undefined) partitionsOf.set(to, [partition])
      else received.push(partition)
      for (const slot of [from, to]) {
        leastLoaded.push(slot)
        mostLoaded.push(slot)
      }
      moves++
    }
  }

  #finish(): Map<string, Assignment> {
    const drafts = this.#input.members.map(() => new Map<Uuid, number[]>())
    for (const [topicId, { owners }] of this.#topics) {
      owners.forEach((slot, partition) => {
        if (slot !== NOBODY) addTo(drafts[slot]!, topicId, partition)
      })
    }
    return finishDrafts(this.#input.members, drafts)
  }
}

/** The fuller topics first, since they leave the least choice later on. */
function compareTopics(left: TopicDraft, right: TopicDraft): number {
  const difference =
    right.owners.length / right.subscribers.length - left.owners.length / left.subscribers.length ||
    left.subscribers.length - right.subscribers.length
  if (difference !== 0) return difference
  return left.topic.id < right.topic.id ? -1 : 1
}
