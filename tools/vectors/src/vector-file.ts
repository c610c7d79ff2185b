import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** A row of a vector file with the place it came from. */
export interface ReadRow {
  /** `requests.jsonl.gz:17` */
  readonly place: string
  readonly value: Readonly<Record<string, unknown>>
}

/** A file or a line that gives no row. It counts as a failure: what cannot be read was not checked. */
interface UnreadableRow {
  readonly place: string
  readonly error: unknown
}

export type Row = ReadRow | UnreadableRow

/**
 * All rows of the `.jsonl` and `.jsonl.gz` files in a folder and the folders below it, in the order of names. `path` may also name one
 * file. Throws when there is no such folder or file, or no vectors in it; a file or line that is damaged is an {@link UnreadableRow}.
 */
export function readVectors(path: string): Row[] {
  if (statSync(path).isFile()) return readFile(path, path)
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.jsonl(\.gz)?$/.test(name))
    .sort()
  const rows = names.flatMap((name) => readFile(join(path, name), name))
  if (rows.length === 0) throw new Error(`no rows of .jsonl or .jsonl.gz files in ${path}`)
  return rows
}

function readFile(path: string, name: string): Row[] {
  let text: string
  try {
    if (statSync(path).isDirectory()) return []
    const content = readFileSync(path)
    const isGzip = content[0] === 0x1f && content[1] === 0x8b
    text = (isGzip ? gunzipSync(content) : content).toString('utf8')
  } catch (error) {
    return [{ place: name, error }]
  }
  const rows: Row[] = []
  for (const [slot, line] of text.split('\n').entries()) {
    if (line.trim() !== '') rows.push(parseRow(`${name}:${slot + 1}`, line))
  }
  return rows
}

function parseRow(place: string, line: string): Row {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { place, value: { ...value } }
    return { place, error: new Error('a row is a JSON object') }
  } catch (error) {
    return { place, error }
  }
}
