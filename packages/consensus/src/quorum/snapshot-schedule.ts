/** When the state machine should hand over a snapshot: by bytes applied since it was asked last, and by age. */
export class SnapshotSchedule {
  readonly #maxBytes: number
  readonly #intervalMs: number
  #appliedBytes = 0
  #askedMs: number

  constructor(maxBytes: number, intervalMs: number, nowMs: number) {
    this.#maxBytes = maxBytes
    this.#intervalMs = intervalMs
    this.#askedMs = nowMs
  }

  onApplied(sizeBytes: number): void {
    this.#appliedBytes += sizeBytes
  }

  /** True once each time. A state machine that does not answer is asked again after as many bytes. */
  takeDue(nowMs: number): boolean {
    const isOld = this.#appliedBytes > 0 && nowMs - this.#askedMs >= this.#intervalMs
    if (this.#appliedBytes < this.#maxBytes && !isOld) return false
    this.reset(nowMs)
    return true
  }

  reset(nowMs: number): void {
    this.#appliedBytes = 0
    this.#askedMs = nowMs
  }
}
