/** Upper bounds in seconds: from a write into memory to a disk that hangs. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
]

/** Durations in fixed buckets: plain numbers, read by whoever scrapes. */
export class DurationHistogram {
  /** By bucket, not cumulated; the last one has no upper bound. */
  readonly counts = new Float64Array(DURATION_BUCKETS_SECONDS.length + 1)
  count = 0
  sumSeconds = 0
  maxSeconds = 0

  observe(durationMs: number): void {
    const seconds = durationMs / 1000
    let slot = 0
    while (slot < DURATION_BUCKETS_SECONDS.length && seconds > DURATION_BUCKETS_SECONDS[slot]!) slot++
    this.counts[slot]!++
    this.count++
    this.sumSeconds += seconds
    if (seconds > this.maxSeconds) this.maxSeconds = seconds
  }

  /** Cumulated, as Prometheus wants them, without the last one, which is `count`. */
  buckets(): { leSeconds: number; count: number }[] {
    let count = 0
    return DURATION_BUCKETS_SECONDS.map((leSeconds, slot) => {
      count += this.counts[slot]!
      return { leSeconds, count }
    })
  }
}
