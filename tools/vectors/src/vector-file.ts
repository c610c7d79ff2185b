import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** A row of a vector file with the place it came from. */
export interface Row {
  /** `requests.jsonl.gz:17` */
  readonly place: string
  readonly value: Readonly<Record<string, unknown>>
}

/** All rows of a folder's `.jsonl` and `.jsonl.gz` files, in the order of names. Throws when there is no such file. */
export function readVectors(folder: string): Row[] {
  const names = readdirSync(folder)
    .filter((name) => /\.jsonl(\.gz)?$/.test(name))
    .sort()
  if (names.length === 0) throw new Error(`no .jsonl or .jsonl.gz files in ${folder}`)
  return names.flatMap((name) => readFile(join(folder, name), name))
}

function readFile(path: string, name: string): Row[] {
  const content = readFileSync(path)
  const text = (name.endsWith('.gz') ? gunzipSync(content) : content).toString('utf8')
  const rows: Row[] = []
  for (const [slot, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    rows.push({ place: `${name}:${slot + 1}`, value: JSON.parse(line) as Readonly<Record<string, unknown>> })
  }
  return rows
}
