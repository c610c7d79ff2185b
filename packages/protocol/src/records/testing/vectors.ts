import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/** The rows of `testdata/vectors/<name>.jsonl.gz`. `T` is the caller's claim about their shape; tests fail where it is wrong. */
export function readVectors<T>(name: string): T[] {
  const path = new URL(`../../../testdata/vectors/${name}.jsonl.gz`, import.meta.url)
  const rows: T[] = []
  for (const line of gunzipSync(readFileSync(path)).toString('utf8').split('\n')) {
    if (line !== '') rows.push(JSON.parse(line) as T)
  }
  return rows
}
