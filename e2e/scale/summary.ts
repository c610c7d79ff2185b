/** Figures of one round by name; the unit is the name's ending. */
export type Figures = Readonly<Record<string, number>>

/** One round, as a line of its file. */
export interface ScaleRow {
  readonly system: 'millrace' | 'kafka'
  readonly topics: number
  readonly partitions: number
  readonly round: number
  readonly figures: Figures
  readonly commit: string
}

/** A table in Markdown: a line for each figure, a column for each system; medians, with lowest and highest of several rounds. */
export function summaryTable(rows: readonly ScaleRow[]): string {
  const systems = [...new Set(rows.map(({ system }) => system))]
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))]
  const lines = names.map((name) => {
    const cells = systems.map((system) =>
      spread(rows.flatMap((row) => (row.system === system && name in row.figures ? [row.figures[name]!] : []))),
    )
    return `| ${name} | ${cells.join(' | ')} |`
  })
  return [`| figure | ${systems.join(' | ')} |`, `| --- |${' --: |'.repeat(systems.length)}`, ...lines].join('\n')
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return '–'
  const sorted = values.toSorted((a, b) => a - b)
  const median = show((sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2)
  return sorted.length === 1 ? median : `${median} (${show(sorted[0]!)}–${show(sorted.at(-1)!)})`
}

function show(value: number): string {
  return Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(2)
}
