import type { Clock } from '@millrace/base'

const WINDOW_MS = 1_000
/** `replication.quota.window.num` of Kafka. */
const WINDOW_COUNT = 11

/** Bytes per second over the last eleven seconds at most, the current one included: Kafka's replication quota. */
export class RateMeter {
  readonly #clock: Clock
  readonly #bytes = new Float64Array(WINDOW_COUNT)
  #window = -1
  #firstMs = -1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  record(sizeBytes: number): void {
    this.#bytes[this.#turnTo() % WINDOW_COUNT]! += sizeBytes
  }

  /** Whether what was recorded is above so many bytes per second. */
  isExceeded(bytesPerSecond: number): boolean {
    if (this.#window < 0) return false
    this.#turnTo()
    let sum = 0
    for (const bytes of this.#bytes) sum += bytes
    const elapsedMs = Math.min(this.#clock.monotonicMs() - this.#firstMs, WINDOW_MS * WINDOW_COUNT)
    // A first burst counts as if it had taken all windows but the current one: else nothing could be sent at all.
    return sum / (Math.max(elapsedMs, WINDOW_MS * (WINDOW_COUNT - 1)) / 1_000) > bytesPerSecond
  }

  #turnTo(): number {
    const nowMs = this.#clock.monotonicMs()
    const window = Math.floor(nowMs / WINDOW_MS)
    if (this.#window < 0 || window - this.#window >= WINDOW_COUNT) {
      this.#bytes.fill(0)
      if (this.#window < 0) this.#firstMs = nowMs
    } else {
      for (let passed = this.#window + 1; passed <= window; passed++) this.#bytes[passed % WINDOW_COUNT] = 0
    }
    this.#window = window
    return window
  }
}
