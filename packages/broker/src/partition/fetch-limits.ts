/** Memory for what fetches read from the disk: `AnswerBudget`. */
export interface FetchMemory {
  /** Room for a read, perhaps less than wanted. It goes back by `release`. */
  reserve(wantedBytes: number): number
  release(sizeBytes: number): void
}

/** A fetch that waits for records. */
export interface ParkedFetch {
  /** How many partitions it keeps in memory. */
  readonly partitionCount: number
  /** Answers with what there is: it may be less than the client wanted to wait for, which Kafka's protocol allows at any time. */
  answerNow(): void
}

/** The fetches that wait for records, bounded by the partitions that they keep in memory: above the bound the oldest are answered. */
export class FetchPurgatory {
  readonly maxPartitions: number
  /** In the order of parking. */
  readonly #parked = new Set<ParkedFetch>()
  #partitionCount = 0
  /** Answered early for want of room. */
  evictions = 0

  constructor(maxPartitions: number) {
    this.maxPartitions = maxPartitions
  }

  /** How many wait. */
  get size(): number {
    return this.#parked.size
  }

  get partitionCount(): number {
    return this.#partitionCount
  }

  /** The fetch waits from now on. It may be answered at once, if it is larger than all may be together. */
  add(fetch: ParkedFetch): void {
    this.#parked.add(fetch)
    this.#partitionCount += fetch.partitionCount
    while (this.#partitionCount > this.maxPartitions) {
      const oldest = this.#parked.values().next().value!
      this.evictions++
      this.remove(oldest)
      oldest.answerNow()
    }
  }

  /** It waits no longer; no harm if it did not. */
  remove(fetch: ParkedFetch): void {
    if (this.#parked.delete(fetch)) this.#partitionCount -= fetch.partitionCount
  }
}

/** What all fetches share, and is bounded over all of them. */
export interface FetchLimits {
  readonly memory: FetchMemory
  readonly purgatory: FetchPurgatory
}

/** For fetches that nobody from outside asks for. */
export const UNLIMITED_FETCHES: FetchLimits = {
  memory: { reserve: (wantedBytes) => wantedBytes, release: () => undefined },
  purgatory: new FetchPurgatory(Number.POSITIVE_INFINITY),
}
