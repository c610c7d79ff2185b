/**
 * Time as the process may know it. Durations and deadlines use `monotonicMs`; `wallMs` is only for record timestamps,
 * retention and expiry (style guide, "Deterministic core").
 */
export interface Clock {
  /** Milliseconds since an arbitrary start, never going back. Fractions allowed. */
  monotonicMs(): number
  /** Milliseconds since the Unix epoch, an integer. May jump either way. */
  wallMs(): number
}

/** A timer that was set. `cancel` may be called any number of times, also after it fired. */
export interface Timer {
  cancel(): void
}

/** Coarse timers (a few ms late at most is normal; never early). Callbacks run on the event loop, outside the caller's stack. */
export interface Timers {
  setTimer(delayMs: number, callback: () => void): Timer
}
