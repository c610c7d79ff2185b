import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { runVectors } from './run-vectors.ts'
import { readVectors } from './vector-file.ts'

/** Goal: our codecs agree byte for byte with Kafka's own classes. Method: the golden vectors, one test per file. */
const folder = fileURLToPath(new URL('../../../packages/protocol/testdata/vectors/', import.meta.url))
const rows = readVectors(folder)
const files = [...new Set(rows.map((row) => row.place.slice(0, row.place.indexOf(':'))))]

describe('golden vectors', () => {
  test.each(files)('every row of %s passes', async (file) => {
    const own = rows.filter((row) => row.place.startsWith(`${file}:`))
    const { passedCount, failures } = await runVectors(own)
    expect(failures.slice(0, 5)).toEqual([])
    expect(passedCount).toBe(own.length)
  })

  test('a row that is changed fails', async () => {
    const row = rows.find(({ value }) => value.message === 'FetchRequest')!
    const changed = { place: 'changed', value: { ...row.value, hex: `${String(row.value.hex)}00` } }
    const { passedCount, failures } = await runVectors([row, changed])
    expect(passedCount).toBe(1)
    expect(failures.map((failure) => failure.place)).toEqual(['changed'])
  })

  test('a row of no known kind fails', async () => {
    const { failures } = await runVectors([{ place: 'odd', value: { type: 'nothing' } }])
    expect(failures).toHaveLength(1)
  })
})
