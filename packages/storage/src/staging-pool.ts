/** Most batches of a turn fit; a log that has more writes what it has and goes on. */
export const STAGING_BYTES_MAX = 1 << 20
const SIZES_BYTES = [16 << 10, 64 << 10, 256 << 10, STAGING_BYTES_MAX]
/** Buffers kept of each size: what the logs written to in one turn need. */
const KEPT_COUNTS = [256, 64, 16, 8]

/**
 * Staging buffers, lent to the logs that append in a turn of the loop and given back when it ends: thousands of idle logs hold
 * none. Buffers never leave the package, so that what is left in them is never seen.
 */
export class StagingPool {
  readonly #free: Buffer[][]

  constructor() {
    this.#free = SIZES_BYTES.map(() => [])
  }

  /** A buffer of at least `sizeBytes`, which is at most {@link STAGING_BYTES_MAX}. */
  take(sizeBytes: number): Buffer {
    let slot = 0
    while (SIZES_BYTES[slot]! < sizeBytes) slot++
    return this.#free[slot]!.pop() ?? Buffer.allocUnsafeSlow(SIZES_BYTES[slot]!)
  }

  give(buffer: Buffer): void {
    const slot = SIZES_BYTES.indexOf(buffer.length)
    const free = this.#free[slot]!
    if (free.length < KEPT_COUNTS[slot]!) free.push(buffer)
  }
}
