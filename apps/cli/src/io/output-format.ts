import { printable } from './printable.ts'
import { toYaml } from './yaml.ts'

export type OutputFormat = 'table' | 'json' | 'yaml'

/** A cell or a field: anything that JSON can hold, and bigints. */
export type Value = string | number | bigint | boolean | null | Value[] | { [key: string]: Value }

/** A row: fields by name, in the order in which they are shown. */
export type Row = { [key: string]: Value }

/** One column of a table. Tables show less than JSON does: what fits on a line. */
export interface Column {
  /** Name of the field. */
  key: string
  /** Left out: the key in capitals. */
  title?: string
  /** Numbers are aligned right by themselves. */
  format?: (value: Value, row: Row) => string
}

/** Rows in the format asked for, with a line feed at the end. An empty table is just its header. */
export function renderRows(rows: readonly Row[], columns: readonly Column[], format: OutputFormat): string {
  if (format === 'table') return renderTable(rows, columns)
  return renderData([...rows], format)
}

/** One value in JSON or YAML. Bigints become numbers where these are exact, else strings. */
export function renderData(value: Value, format: 'json' | 'yaml'): string {
  const plain = withoutBigints(value)
  return format === 'json' ? `${JSON.stringify(plain, null, 2)}\n` : toYaml(plain)
}

/** One value as one line of JSON. */
export function toJsonLine(value: Value): string {
  return JSON.stringify(withoutBigints(value))
}

function renderTable(rows: readonly Row[], columns: readonly Column[]): string {
  const titles = columns.map(({ key, title }) => title ?? key.toUpperCase())
  const cells = rows.map((row) =>
    columns.map(({ key, format }) => format?.(row[key] ?? null, row) ?? cellText(row[key])),
  )
  const numeric = columns.map(({ key }) =>
    rows.some((row) => typeof row[key] === 'number' || typeof row[key] === 'bigint'),
  )
  const widths = titles.map((title, slot) =>
    cells.reduce((width, line) => Math.max(width, line[slot]!.length), title.length),
  )
  const line = (texts: readonly string[]) =>
    texts
      .map((text, slot) => (numeric[slot] ? text.padStart(widths[slot]!) : text.padEnd(widths[slot]!)))
      .join('  ')
      .trimEnd()
  return `${[titles, ...cells].map(line).join('\n')}\n`
}

function cellText(value: Value | undefined): string {
  if (value === null || value === undefined) return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map((item) => cellText(item)).join(',')
  if (typeof value === 'object') return printable(toJsonLine(value))
  return value === '' ? '-' : printable(String(value))
}

function withoutBigints(value: Value): Exclude<Value, bigint> {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : String(value)
  }
  if (Array.isArray(value)) return value.map((item) => withoutBigints(item))
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutBigints(item)]))
  }
  return value
}
