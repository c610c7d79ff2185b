/** Enough for full batches to all partitions; more would only take memory. */
const OPEN_COUNT_MAX = 2000
/** Records wait in memory until they are stored. */
const OPEN_BYTES_MAX = 16 * 1024 * 1024

/** Reports deliveries in the order of the records while later records are sent already. */
export class DeliveryReports<Stored> {
  readonly #write: (stored: Stored) => Promise<void>
  readonly #open: { reported: Promise<void>; sizeBytes: number }[] = []
  #openBytes = 0
  #last: Promise<void> = Promise.resolve()

  constructor(write: (stored: Stored) => Promise<void>) {
    this.#write = write
  }

  /** Takes one more; null, as the outcome of one that failed, is passed over. `sending` must not reject. */
  add(sending: Promise<Stored | null>, sizeBytes: number): void {
    const reported = this.#last.then(async () => {
      const stored = await sending
      if (stored !== null) await this.#write(stored)
    })
    this.#last = reported
    this.#open.push({ reported, sizeBytes })
    this.#openBytes += sizeBytes
  }

  /** Null while there is room for more, else what to wait for before the next {@link add}. */
  room(): Promise<void> | null {
    if (this.#open.length < OPEN_COUNT_MAX && this.#openBytes < OPEN_BYTES_MAX) return null
    const oldest = this.#open.shift()!
    this.#openBytes -= oldest.sizeBytes
    return oldest.reported
  }

  /** Resolves when all that was added is reported. */
  done(): Promise<void> {
    return this.#last
  }
}
