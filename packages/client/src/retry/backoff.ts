import type { Random } from '@millrace/base'

const JITTER = 0.2

/** Doubling pause with jitter (KIP-580), kept per thing that is retried. */
export class Backoff {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #random: Random
  #attempts = 0

  /** `baseMs` is the first pause and `maxMs` the longest, both before a jitter of 20 % either way. */
  constructor(baseMs: number, maxMs: number, random: Random) {
    this.#baseMs = baseMs
    this.#maxMs = Math.max(baseMs, maxMs)
    this.#random = random
  }

  /** Failures since the last success. */
  get attempts(): number {
    return this.#attempts
  }

  /** The pause before the next attempt, in milliseconds; counts one failure. */
  nextMs(): number {
    const pauseMs = backoffMs(this.#attempts, this.#baseMs, this.#maxMs, this.#random)
    this.#attempts++
    return pauseMs
  }

  /** Something succeeded: the next pause is the first one again. */
  reset(): void {
    this.#attempts = 0
  }
}

/** Pause after `failureCount` earlier failures: `baseMs` doubled as often, at most `maxMs`, then ±20 %. */
export function backoffMs(failureCount: number, baseMs: number, maxMs: number, random: Random): number {
  // 2^30 base units pass any sensible maximum; beyond it the power would only lose precision.
  const exponential = Math.min(baseMs * 2 ** Math.min(failureCount, 30), maxMs)
  const unit = random.uint32() / 2 ** 32
  return exponential * (1 - JITTER + 2 * JITTER * unit)
}
