/** Of the processor: a case that takes more hangs. */
export const HANG_PROCESSOR_MS = 30_000
/** And of time, if it waits for something. A machine that does something else gives a worker little of the processor. */
export const HANG_MS = 600_000

/** Whether the case that a worker is at comes to an end. */
export class CaseWatch {
  #number = -1
  #sinceMs: number
  #sinceProcessorMs = 0

  /** `nowMs`: of a clock, as in {@link look}; of the processor the worker has taken nothing yet. */
  constructor(nowMs: number) {
    this.#sinceMs = nowMs
  }

  /** `number`: the case at hand, -1 while the worker makes ready; `processorMs`: what the worker has taken in all. Returns whether it hangs. */
  look(number: number, nowMs: number, processorMs: number): boolean {
    if (number !== this.#number) {
      this.#number = number
      this.#sinceMs = nowMs
      this.#sinceProcessorMs = processorMs
    }
    return processorMs - this.#sinceProcessorMs > HANG_PROCESSOR_MS || nowMs - this.#sinceMs > HANG_MS
  }
}
