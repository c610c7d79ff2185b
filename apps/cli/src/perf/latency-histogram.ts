/** Buckets per doubling: neighbours differ by 1.1 %. */
const STEPS_PER_DOUBLING = 64
/** From 1 µs to 2^40 µs, which is two weeks. */
const DOUBLINGS = 40
const BAR_WIDTH = 40

/** Percentiles that are reported. */
const PERCENTILES = [50, 75, 90, 95, 99, 99.9, 99.99] as const

/** A line of the picture: how many values lie in `[fromMs, toMs)`. */
export interface HistogramLine {
  fromMs: number
  toMs: number
  count: number
}

/** Counts durations in buckets that grow with them: any percentile within 1.1 %, whatever the number of values. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(STEPS_PER_DOUBLING * DOUBLINGS)
  #count = 0
  #sumMs = 0
  #minMs = Number.POSITIVE_INFINITY
  #maxMs = 0

  get count(): number {
    return this.#count
  }

  record(durationMs: number): void {
    const us = Math.max(1, durationMs * 1000)
    const slot = Math.min(this.#counts.length - 1, Math.floor(Math.log2(us) * STEPS_PER_DOUBLING))
    this.#counts[slot]!++
    this.#count++
    this.#sumMs += durationMs
    this.#minMs = Math.min(this.#minMs, durationMs)
    this.#maxMs = Math.max(this.#maxMs, durationMs)
  }

  /** The value that `percent` of all are not above, in milliseconds; 0 when there are none. */
  percentile(percent: number): number {
    const rank = Math.ceil((percent / 100) * this.#count)
    let seen = 0
    for (let slot = 0; slot < this.#counts.length; slot++) {
      seen += this.#counts[slot]!
      if (seen >= rank && rank > 0) return Math.min(this.#maxMs, Math.max(this.#minMs, upperBoundMs(slot)))
    }
    return 0
  }

  /** Figures by name, in milliseconds. */
  summary(): Record<string, number> {
    if (this.#count === 0) return { count: 0 }
    const figures: Record<string, number> = {
      count: this.#count,
      averageMs: round(this.#sumMs / this.#count),
      minMs: round(this.#minMs),
    }
    for (const percent of PERCENTILES) figures[`p${percent}Ms`] = round(this.percentile(percent))
    figures.maxMs = round(this.#maxMs)
    return figures
  }

  /** Lines of one doubling each, from the first to the last that has values. */
  lines(): HistogramLine[] {
    const lines: HistogramLine[] = []
    for (let doubling = 0; doubling < DOUBLINGS; doubling++) {
      let count = 0
      for (let step = 0; step < STEPS_PER_DOUBLING; step++) count += this.#counts[doubling * STEPS_PER_DOUBLING + step]!
      if (count > 0 || lines.length > 0)
        lines.push({ fromMs: 2 ** doubling / 1000, toMs: 2 ** (doubling + 1) / 1000, count })
    }
    while (lines.at(-1)?.count === 0) lines.pop()
    return lines
  }

  /** The picture for a terminal. Bars are proportional to the square root, or rare long ones could not be seen. */
  picture(): string {
    const lines = this.lines()
    const most = Math.max(1, ...lines.map(({ count }) => count))
    return lines
      .map(({ fromMs, toMs, count }) => {
        const width = Math.round(Math.sqrt(count / most) * BAR_WIDTH)
        const bar = count === 0 ? '' : '█'.repeat(Math.max(1, width))
        const share = ((count / this.#count) * 100).toFixed(count === this.#count ? 0 : 2)
        return `${formatMs(fromMs).padStart(9)} – ${formatMs(toMs).padEnd(9)} ${share.padStart(6)} %  ${bar}\n`
      })
      .join('')
  }
}

/** A latency for people: `85 µs`, `1.2 ms`, `340 ms`, `2.1 s`. */
export function formatMs(durationMs: number): string {
  if (durationMs < 1) return `${Math.round(durationMs * 1000)} µs`
  if (durationMs < 10) return `${durationMs.toFixed(2)} ms`
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`
  return `${(durationMs / 1000).toFixed(1)} s`
}

function upperBoundMs(slot: number): number {
  return 2 ** ((slot + 1) / STEPS_PER_DOUBLING) / 1000
}

function round(value: number): number {
  return Number(value.toFixed(3))
}
