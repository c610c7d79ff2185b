/** One round of a measurement, as a line of its file. */
export interface FailoverRow {
  readonly system: 'millrace' | 'kafka'
  readonly fault: string
  readonly round: number
  /** Whether the leader of the partition was the active controller too. */
  readonly wasController: boolean
  readonly firstAckMs: number
  readonly longestMs: number
  readonly failedCount: number
  readonly commit: string
}

/** The value below which a share of the values lies, by nearest rank. NaN without values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** A table in Markdown: a line for each system and fault, and one for those rounds in which the controller was lost with the leader. */
export function summaryTable(rows: readonly FailoverRow[]): string {
  const lines = [
    '| system | fault | rounds | p50 ms | p90 ms | p99 ms | longest ms |',
    '| --- | --- | --: | --: | --: | --: | --: |',
  ]
  const groups = Map.groupBy(rows, ({ system, fault }) => `${system} | ${fault}`)
  for (const [title, group] of groups) {
    lines.push(lineOf(title, group))
    const both = group.filter(({ wasController }) => wasController)
    if (both.length > 0 && both.length < group.length)
      lines.push(lineOf(`${title}, of the active controller too`, both))
  }
  return lines.join('\n')
}

function lineOf(title: string, rows: readonly FailoverRow[]): string {
  const times = rows.map(({ firstAckMs }) => firstAckMs)
  const figures = [percentile(times, 0.5), percentile(times, 0.9), percentile(times, 0.99), Math.max(...times)]
  return `| ${title} | ${rows.length} | ${figures.map((value) => Math.round(value)).join(' | ')} |`
}
