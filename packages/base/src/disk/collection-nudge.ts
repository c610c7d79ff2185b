import type { Timer, Timers } from '../clock.ts'

const LOOK_INTERVAL_MS = 15_000
/** V8 begins an incremental collection of the whole heap when so much memory outside of it has come since the last one. */
const NUDGE_BYTES = 64 * 1024 * 1024
/** Looks left out after nudges that gave nothing back, doubled each time: somebody still reads. */
const MAX_SKIPPED_LOOKS = 16

export interface CollectionNudgeOptions {
  readonly timers: Timers
  /** Takes memory that nobody touches, and lets go of it: it costs no page. */
  readonly allocate?: (sizeBytes: number) => unknown
}

/**
 * Has the garbage collector run where mappings wait for it. A mapping that was let go, perhaps of a deleted file, keeps its space until
 * the collector has seen that no view of it is left; a broker that makes no garbage would keep it for minutes. What has waited for 15 to
 * 30 s is reason to begin a collection, in steps as the collector takes them by itself, without a pause of its own.
 */
export class CollectionNudge {
  readonly #timers: Timers
  readonly #allocate: (sizeBytes: number) => unknown
  /** Let go since the last look, and before it. */
  #youngCount = 0
  #oldCount = 0
  #lookNumber = 0
  /** Of those that waited at the last look, some are gone. */
  #gaveBack = false
  #skippedLooks = 0
  #looksToSkip = 0
  #timer: Timer | null = null
  #isClosed = false

  constructor({ timers, allocate = (sizeBytes) => new ArrayBuffer(sizeBytes) }: CollectionNudgeOptions) {
    this.#timers = timers
    this.#allocate = allocate
  }

  /** A mapping was let go. Gives what to tell {@link onCollected} of it. */
  onReleased(): number {
    this.#youngCount++
    this.#lookLater()
    return this.#lookNumber
  }

  onCollected(releasedAt: number): void {
    if (releasedAt === this.#lookNumber) {
      this.#youngCount--
    } else {
      this.#oldCount--
      this.#gaveBack = true
    }
    if (this.#youngCount + this.#oldCount > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #lookLater(): void {
    if (this.#isClosed || this.#timer !== null) return
    this.#timer = this.#timers.setTimer(LOOK_INTERVAL_MS, () => {
      this.#timer = null
      this.#look()
      this.#lookLater()
    })
  }

  #look(): void {
    if (this.#gaveBack) {
      this.#gaveBack = false
      this.#skippedLooks = 0
      this.#looksToSkip = 0
    }
    if (this.#oldCount > 0 && this.#looksToSkip-- <= 0) {
      this.#allocate(NUDGE_BYTES)
      this.#looksToSkip = this.#skippedLooks
      this.#skippedLooks = Math.min(MAX_SKIPPED_LOOKS, Math.max(1, 2 * this.#skippedLooks))
    }
    this.#oldCount += this.#youngCount
    this.#youngCount = 0
    this.#lookNumber++
  }
}
