/** One series of a histogram: cumulated buckets, the last of them without bound left out, since it is `count`. */
export interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly buckets: readonly { readonly leSeconds: number; readonly count: number }[]
  readonly count: number
  readonly sumSeconds: number
}

/**
 * A histogram in Prometheus' text format. The client library can only observe, one value at a time; ours are counted where they arise,
 * and read when somebody scrapes. Labels are names of our own and need no escapes.
 */
export function histogramText(name: string, help: string, series: readonly HistogramSeries[]): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`]
  for (const { labels, buckets, count, sumSeconds } of series) {
    const own = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
    for (const bucket of buckets)
      lines.push(`${name}_bucket{${[...own, `le="${bucket.leSeconds}"`].join(',')}} ${bucket.count}`)
    lines.push(`${name}_bucket{${[...own, 'le="+Inf"'].join(',')}} ${count}`)
    const suffix = own.length > 0 ? `{${own.join(',')}}` : ''
    lines.push(`${name}_sum${suffix} ${sumSeconds}`, `${name}_count${suffix} ${count}`)
  }
  return `${lines.join('\n')}\n`
}
