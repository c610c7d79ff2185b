/** Who owns what, as clients were told: kept apart from the system under test, over all of its lives. */
export class GroupChecker {
  readonly #owners = new Map<string, string>()
  /** The latest generation that anybody was given an assignment of, which is committed therefore. */
  highestGeneration = 0
  /** Highest offset that an acknowledged commit has written, by partition. */
  readonly #acknowledged = new Map<number, number>()

  /** A member was given an assignment (G1). */
  onAssigned(generationId: number, member: string, partitions: readonly number[]): void {
    if (generationId < this.highestGeneration) {
      throw new Error(`generation ${generationId} was assigned after ${this.highestGeneration}`)
    }
    this.highestGeneration = generationId
    for (const partition of partitions) {
      const key = `${generationId}/${partition}`
      const owner = this.#owners.get(key) ?? member
      if (owner !== member) throw new Error(`partition ${key} belongs to ${owner} and ${member}`)
      this.#owners.set(key, member)
    }
  }

  /** A member was told its generation (G1). */
  onJoined(generationId: number): void {
    if (generationId >= this.highestGeneration) return
    throw new Error(`generation ${generationId} was joined after ${this.highestGeneration} was assigned`)
  }

  /** A commit was acknowledged (G2). Offsets of a partition are sent in rising order. */
  onCommitted(partition: number, offset: number): void {
    this.#acknowledged.set(partition, Math.max(offset, this.acknowledged(partition)))
  }

  acknowledged(partition: number): number {
    return this.#acknowledged.get(partition) ?? -1
  }

  /** An offset was fetched that had been asked for when `floor` was acknowledged (G2, G3). */
  onFetched(partition: number, offset: number, floor: number): void {
    if (offset < floor) throw new Error(`partition ${partition} is at ${offset} after ${floor} was acknowledged`)
    if (offset >= FORBIDDEN_OFFSET) throw new Error(`partition ${partition} has an offset that was refused`)
  }
}

/** Offsets from here on are sent only by those who may not commit. */
export const FORBIDDEN_OFFSET = 1_000_000_000
