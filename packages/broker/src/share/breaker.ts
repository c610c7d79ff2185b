import type { BreakerSettings } from './share-settings.ts'

/**
 * Stops the deliveries of a share partition for a while when many of its records fail within a short time: then it is rather what they are
 * processed with that is broken, and all of a topic would end as dead letters. After the pause it begins to count anew. Times are monotonic.
 */
export class Breaker {
  #windowStartMs = Number.NEGATIVE_INFINITY
  #count = 0
  /** Nothing is delivered before. */
  #openUntilMs = Number.NEGATIVE_INFINITY
  /** How often it has opened. */
  trips = 0

  /** Counts records that were given up. True: deliveries end now. */
  onFailed(recordCount: number, settings: BreakerSettings, nowMs: number): boolean {
    if (settings.failureCount === 0 || nowMs < this.#openUntilMs) return false
    if (nowMs - this.#windowStartMs >= settings.windowMs) {
      this.#windowStartMs = nowMs
      this.#count = 0
    }
    this.#count += recordCount
    if (this.#count < settings.failureCount) return false
    this.#count = 0
    this.#windowStartMs = Number.NEGATIVE_INFINITY
    this.#openUntilMs = nowMs + settings.pauseMs
    this.trips++
    return true
  }

  /** How long deliveries still pause; 0: they do not. */
  pauseLeftMs(nowMs: number): number {
    return Math.max(0, this.#openUntilMs - nowMs)
  }

  /** It remembers nothing that matters. */
  isForgotten(settings: BreakerSettings, nowMs: number): boolean {
    return this.pauseLeftMs(nowMs) === 0 && nowMs - this.#windowStartMs >= settings.windowMs
  }
}
