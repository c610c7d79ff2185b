import { MAX_STALL_MS } from './stall-watch.ts'

/**
 * For what a turn may take in a process of its own, beside its limit and its longest full collection: the disk and the kernel, which the
 * simulated one has no part of, code that runs for the first time, and a delay that is sampled every 20 ms.
 */
const ALLOWANCE_MS = 150

/** What a broker and the system tell at one moment, each since the start of its process. */
export interface DelayReading {
  /** The longest delay of the loop, by the clock on the wall. */
  readonly longestDelayMs: number
  /** How long the main thread has waited for a core that others had. */
  readonly waitedForCoreMs: number
}

/**
 * The delay of a loop that is the process's own doing: it is told by the clock on the wall, so of each new longest one is taken off what
 * the main thread waited for a core meanwhile, between the two readings around it.
 */
export class OwnDelay {
  longestMs = 0
  #last: DelayReading

  /** What was before the first reading is not judged. */
  constructor(first: DelayReading) {
    this.#last = first
  }

  note(reading: DelayReading): void {
    const { longestDelayMs, waitedForCoreMs } = this.#last
    this.#last = reading
    if (reading.longestDelayMs <= longestDelayMs) return
    const ownMs = reading.longestDelayMs - (reading.waitedForCoreMs - waitedForCoreMs)
    this.longestMs = Math.max(this.longestMs, ownMs)
  }
}

/** `collectionMs`: the longest full collection. */
export function delayComplaint(ownDelayMs: number, collectionMs: number): string | null {
  const allowedMs = MAX_STALL_MS + collectionMs + ALLOWANCE_MS
  if (ownDelayMs <= allowedMs) return null
  const [own, allowed] = [ownDelayMs, allowedMs].map((ms) => `${ms.toFixed(0)} ms`)
  return `the broker's loop was held for ${own}, without what it waited for a core; allowed are ${allowed}`
}
