/** What was written this recently is taken to be in memory without asking the system. */
const HOT_MS = 1000

/** Which end of a file was written so recently that it must still be in memory. Positions in bytes, monotonic time. */
export class RecentWrites {
  /** Positions where the last and the current period of `HOT_MS` began. */
  #hotPosition: number
  #periodPosition: number
  #periodStartMs: number

  constructor(writtenBytes: number) {
    this.#hotPosition = writtenBytes
    this.#periodPosition = writtenBytes
    this.#periodStartMs = Number.NEGATIVE_INFINITY
  }

  /** What follows `writtenBytes` is written now. Hot path. */
  onWriteAt(writtenBytes: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#periodStartMs
    if (elapsedMs <= HOT_MS) return
    this.#hotPosition = elapsedMs > 2 * HOT_MS ? writtenBytes : this.#periodPosition
    this.#periodPosition = writtenBytes
    this.#periodStartMs = nowMs
  }

  /** Whether everything from `position` on is. Hot path. */
  covers(position: number, nowMs: number): boolean {
    return position >= this.#hotPosition && nowMs - this.#periodStartMs <= HOT_MS
  }

  /** Nothing is known to be in memory. */
  forget(): void {
    this.#hotPosition = Number.POSITIVE_INFINITY
    this.#periodStartMs = Number.NEGATIVE_INFINITY
  }
}
