/** Looked at that often, in bytes: short enough for a smooth disk, long enough to cost nothing. */
const WINDOW_MS = 250

/** Bounds how many bytes a second compaction reads and writes (`log.cleaner.io.max.bytes.per.second`). */
export class IoThrottle {
  #windowStartMs: number
  #windowBytes: number

  constructor(nowMs: number) {
    this.#windowStartMs = nowMs
    this.#windowBytes = 0
  }

  /** How long to wait after so many bytes more, in ms; 0 not at all. */
  onBytes(sizeBytes: number, maxBytesPerSecond: number, nowMs: number): number {
    this.#windowBytes += sizeBytes
    const elapsedMs = nowMs - this.#windowStartMs
    const dueMs = (this.#windowBytes / maxBytesPerSecond) * 1000
    // Less is not waited for; it counts with what follows.
    if (dueMs - elapsedMs >= 1) return Math.ceil(dueMs - elapsedMs)
    if (elapsedMs >= WINDOW_MS) {
      // What was not used is not saved up.
      this.#windowStartMs = nowMs
      this.#windowBytes = 0
    }
    return 0
  }
}
