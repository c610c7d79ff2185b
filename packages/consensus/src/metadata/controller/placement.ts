import type { Random, Uuid } from '@millrace/base'
import { DirectoryId, type MetadataImage } from '../image.ts'

/** A broker that may get replicas. Fenced ones may follow, not lead. */
interface UsableBroker {
  readonly id: number
  readonly rack: string | null
  readonly fenced: boolean
}

/** Replica lists for new partitions, or why there are none (an INVALID_REPLICATION_FACTOR in every case). */
export type Placement = { readonly replicas: readonly (readonly number[])[] } | { readonly complaint: string }

/**
 * Places `partitionCount` new partitions in stripes over racks and, within a rack, over brokers (`controller.md`, 3.6): each next
 * partition starts one rack and one broker further, from a random start, so that leaders and replicas spread evenly and replicas
 * of one partition lie in as many racks as there are. The first replica is never on a fenced broker.
 */
export function placeReplicas(
  image: MetadataImage,
  random: Random,
  partitionCount: number,
  replicationFactor: number,
): Placement {
  const usable = usableBrokers(image)
  const unfencedCount = usable.filter((broker) => !broker.fenced).length
  if (replicationFactor <= 0) return { complaint: `${replicationFactor} replicas were asked for, at least 1 is needed` }
  if (unfencedCount === 0) return { complaint: 'all brokers are fenced' }
  if (replicationFactor > usable.length) {
    return {
      complaint: `${replicationFactor} replicas were asked for, but only ${usable.length} broker(s) are registered`,
    }
  }
  const racks = new RackStripes(usable, unfencedCount, random)
  return { replicas: Array.from({ length: partitionCount }, () => racks.place(replicationFactor)) }
}

/** Directory of a new replica: the broker's only one, else still to be assigned by the broker. */
export function newReplicaDirectory(image: MetadataImage, brokerId: number): Uuid {
  const directories = image.brokers.get(brokerId)?.directories ?? []
  if (directories.length === 0) return DirectoryId.MIGRATING
  return directories.length === 1 ? directories[0]! : DirectoryId.UNASSIGNED
}

function usableBrokers(image: MetadataImage): UsableBroker[] {
  const usable: UsableBroker[] = []
  for (const { id, rack, fenced, inControlledShutdown } of image.brokers.values()) {
    if (!inControlledShutdown) usable.push({ id, rack, fenced })
  }
  return usable
}

/** Brokers that are handed out in turn. A new epoch starts anew, one broker further. */
class BrokerRing {
  readonly #brokers: number[]
  #offset: number
  #index = 0
  #epoch = 0

  constructor(brokers: readonly number[], random: Random) {
    this.#brokers = [...brokers].sort((a, b) => a - b)
    this.#offset = below(random, this.#brokers.length)
  }

  /** Null once all were handed out in this epoch. */
  next(epoch: number): number | null {
    const count = this.#brokers.length
    if (count === 0) return null
    if (this.#epoch !== epoch) {
      this.#epoch = epoch
      this.#index = 0
      this.#offset = (this.#offset + 1) % count
    }
    if (this.#index >= count) return null
    return this.#brokers[(this.#offset + this.#index++) % count]!
  }

  shuffle(random: Random): void {
    shuffle(this.#brokers, random)
  }
}

interface Rack {
  readonly name: string | null
  readonly unfenced: BrokerRing
  readonly fenced: BrokerRing
}

/** Racks and their brokers, with the position of the stripe. */
class RackStripes {
  readonly #racks: Rack[]
  readonly #unfencedCount: number
  readonly #random: Random
  #offset: number
  #epoch = 0

  constructor(brokers: readonly UsableBroker[], unfencedCount: number, random: Random) {
    const names = [...new Set(brokers.map((broker) => broker.rack))]
    names.sort((a, b) => (a === b ? 0 : a === null || (b !== null && a < b) ? -1 : 1))
    this.#racks = names.map((name) => {
      const inRack = (fenced: boolean) =>
        brokers.filter((broker) => broker.rack === name && broker.fenced === fenced).map((broker) => broker.id)
      return { name, unfenced: new BrokerRing(inRack(false), random), fenced: new BrokerRing(inRack(true), random) }
    })
    this.#unfencedCount = unfencedCount
    this.#random = random
    this.#offset = below(random, this.#racks.length)
  }

  /** Replicas of one partition, leader first. The caller has checked that there are enough brokers. */
  place(replicationFactor: number): number[] {
    const racks = this.#racks
    if (this.#epoch === this.#unfencedCount && this.#unfencedCount > 1) this.#shuffle()
    if (this.#offset === racks.length) this.#offset = 0
    let leaderRack = this.#offset
    let leader = racks[leaderRack]!.unfenced.next(this.#epoch)
    while (leader === null) {
      leaderRack = (leaderRack + 1) % racks.length
      leader = racks[leaderRack]!.unfenced.next(this.#epoch)
    }
    const replicas = [leader]
    // The leader's rack is passed over once: its next turn comes after every other rack had one.
    let skippedRack = leaderRack
    for (let slot = this.#offset; replicas.length < replicationFactor; slot = (slot + 1) % racks.length) {
      if (slot === skippedRack) {
        skippedRack = -1
        continue
      }
      const rack = racks[slot]!
      const follower = rack.unfenced.next(this.#epoch) ?? rack.fenced.next(this.#epoch)
      if (follower !== null) replicas.push(follower)
    }
    this.#epoch++
    this.#offset++
    return replicas
  }

  /** All assignments that the stripes can give were given: start over in another order. */
  #shuffle(): void {
    shuffle(this.#racks, this.#random)
    for (const rack of this.#racks) {
      rack.fenced.shuffle(this.#random)
      rack.unfenced.shuffle(this.#random)
    }
    this.#epoch = 0
  }
}

/** Uniform in [0, bound); 0 if there is nothing to choose from. The bias of the modulo is below one in a million here. */
function below(random: Random, bound: number): number {
  return bound === 0 ? 0 : random.uint32() % bound
}

function shuffle<T>(items: T[], random: Random): void {
  for (let last = items.length - 1; last > 0; last--) {
    const other = below(random, last + 1)
    const item = items[last]!
    items[last] = items[other]!
    items[other] = item
  }
}
