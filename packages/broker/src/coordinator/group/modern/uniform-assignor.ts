import { assert, type Uuid } from '@millrace/base'
import type { Assignment } from './assignment.ts'
import {
  type AssignorInput,
  type AssignorMember,
  type AssignorTopic,
  addTo,
  finishDrafts,
  type PartitionAssignor,
} from './assignor.ts'
import { racksMatter } from './rack-preference.ts'
import { assignUnevenly } from './uniform-heterogeneous.ts'

/**
 * As many partitions for each member as for any other, give or take one, and as few of them moved as that allows. Where racks matter
 * a partition that has to move goes to a member near one of its replicas, if that is no less even: Kafka 4.3 ignores racks here.
 */
export const uniformAssignor: PartitionAssignor = {
  name: 'uniform',
  assign(input) {
    if (input.members.length === 0 || input.topics.size === 0) return finishDrafts(input.members, emptyDrafts(input))
    return input.isHomogeneous ? assignEvenly(input) : assignUnevenly(input)
  },
}

/** For members that all subscribe to the same topics. */
function assignEvenly(input: AssignorInput): Map<string, Assignment> {
  return new EvenAssignment(input).build()
}

/**
 * Everyone gets the quota, and `#extras` members one more. Invariant from the end of `#keep` on: partitions without an owner are as
 * many as members lack to the quota, and the extras that are left.
 */
class EvenAssignment {
  readonly #input: AssignorInput
  readonly #members: readonly AssignorMember[]
  readonly #drafts: Map<Uuid, number[]>[]
  readonly #sizes: Int32Array
  readonly #taken = new Map<Uuid, Uint8Array>()
  readonly #quota: number
  #extras: number

  constructor(input: AssignorInput) {
    this.#input = input
    this.#members = input.members
    this.#drafts = emptyDrafts(input)
    this.#sizes = new Int32Array(input.members.length)
    let total = 0
    for (const { id, partitionCount } of input.topics.values()) {
      total += partitionCount
      this.#taken.set(id, new Uint8Array(partitionCount))
    }
    this.#quota = Math.floor(total / input.members.length)
    this.#extras = total % input.members.length
  }

  build(): Map<string, Assignment> {
    this.#members.forEach((member, slot) => {
      this.#keep(member, slot)
    })
    if (racksMatter(this.#input)) this.#assignWithinRacks()
    this.#assignRest()
    return finishDrafts(this.#members, this.#drafts)
  }

  #keep({ previous }: AssignorMember, slot: number): void {
    for (const [topicId, partitions] of previous) {
      const taken = this.#taken.get(topicId)
      if (taken === undefined) continue
      for (const partition of partitions) {
        if (!this.#hasRoom(slot)) return
        // Not there, or somebody else's: the group may have come out of another's hands, and say anything.
        if (taken[partition] !== 0) continue
        this.#give(slot, topicId, taken, partition)
      }
    }
  }

  #hasRoom(slot: number): boolean {
    return this.#sizes[slot]! < this.#quota || (this.#sizes[slot] === this.#quota && this.#extras > 0)
  }

  #give(slot: number, topicId: Uuid, taken: Uint8Array, partition: number): void {
    if (this.#sizes[slot] === this.#quota) this.#extras--
    this.#sizes[slot]!++
    taken[partition] = 1
    addTo(this.#drafts[slot]!, topicId, partition)
  }

  #assignWithinRacks(): void {
    const byRack = new Map<string, number[]>()
    this.#members.forEach(({ rackId }, slot) => {
      if (rackId === null) return
      const slots = byRack.get(rackId)
      if (slots === undefined) byRack.set(rackId, [slot])
      else slots.push(slot)
    })
    for (const topic of this.#input.topics.values()) {
      const taken = this.#taken.get(topic.id)!
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        if (taken[partition] === 1) continue
        const slot = this.#slotNear(topic, partition, byRack)
        if (slot !== -1) this.#give(slot, topic.id, taken, partition)
      }
    }
  }

  /** A member near a replica that has room, -1 if there is none. Those without room are struck from the lists. */
  #slotNear(topic: AssignorTopic, partition: number, byRack: ReadonlyMap<string, number[]>): number {
    for (const rack of topic.racks?.[partition] ?? []) {
      const slots = byRack.get(rack)
      if (slots === undefined) continue
      while (slots.length > 0) {
        const slot = slots[slots.length - 1]!
        if (this.#hasRoom(slot)) return slot
        slots.pop()
      }
    }
    return -1
  }

  /** First everybody up to the quota, then the extras. */
  #assignRest(): void {
    let slot = 0
    const isFull = (): boolean => this.#sizes[slot]! >= this.#quota
    let extraSlot = 0
    for (const topic of this.#input.topics.values()) {
      const taken = this.#taken.get(topic.id)!
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        if (taken[partition] === 1) continue
        while (slot < this.#members.length && isFull()) slot++
        if (slot < this.#members.length) {
          this.#give(slot, topic.id, taken, partition)
          continue
        }
        while (extraSlot < this.#members.length && !this.#hasRoom(extraSlot)) extraSlot++
        assert(extraSlot < this.#members.length, 'more partitions are left than members have room for')
        this.#give(extraSlot, topic.id, taken, partition)
      }
    }
  }
}

function emptyDrafts({ members }: AssignorInput): Map<Uuid, number[]>[] {
  return members.map(() => new Map<Uuid, number[]>())
}
