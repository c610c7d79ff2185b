import { fileURLToPath } from 'node:url'
import { encodeMessageSet } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { runVectors } from './run-vectors.ts'
import { type ReadRow, type Row, readVectors } from './vector-file.ts'

/** Goal: our codecs agree byte for byte with Kafka's own classes. Method: the golden vectors, one test per file. */
const folder = fileURLToPath(new URL('../../../packages/protocol/testdata/vectors/', import.meta.url))
const rows = readVectors(folder)
const fileOf = (row: Row) => row.place.split(':')[0]!
const files = [...new Set(rows.map(fileOf))]

describe('golden vectors', () => {
  test.each(files)('every row of %s passes', async (file) => {
    const own = rows.filter((row) => fileOf(row) === file)
    const { passedCount, failures } = await runVectors(own)
    expect(failures.slice(0, 5)).toEqual([])
    expect(passedCount).toBe(own.length)
  })

  test('a row that is changed fails', async () => {
    const row = rows.find((row): row is ReadRow => 'value' in row && row.value.message === 'FetchRequest')!
    const changed = { place: 'changed', value: { ...row.value, hex: `${String(row.value.hex)}00` } }
    const { passedCount, failures } = await runVectors([row, changed])
    expect(passedCount).toBe(1)
    expect(failures.map((failure) => failure.place)).toEqual(['changed'])
  })

  test("messages of format 1 with the broker's timestamps are encoded with the bit that says so", async () => {
    const message = { offset: 3, timestamp: 1_700_000_000_000, key: null, value: Buffer.from('v') }
    const set = encodeMessageSet(1, [message], 8)
    const batch = {
      position: 0,
      sizeInBytes: set.length,
      magic: 1,
      baseOffset: '3',
      lastOffset: '3',
      crc: set.readUInt32BE(12),
      attributes: 8,
      codec: 'none',
      timestampType: 'LogAppendTime',
      maxTimestamp: '1700000000000',
      records: [{ offset: '3', timestamp: '1700000000000', key: null, value: 'dg==' }],
    }
    const value = { name: 'v1', batches: [batch], trailingBytes: 0, base64: set.toString('base64') }
    expect(await runVectors([{ place: 'made', value }])).toEqual({ passedCount: 1, failures: [] })
  })

  test.each([
    ['requests', { apiKey: 99 }],
    ['requests', { api: 'Other' }],
    ['responses', { type: 'request' }],
    ['data', { type: 'other' }],
    ['frames', { apiKey: 0, api: 'Fetch' }],
    ['frames', { type: 'other' }],
    ['partition-hash', { kind: 'other' }],
    ['scram', { serverNonce: 'other', mechanism: 'SCRAM-SHA-1' }],
  ])('a row of %s that says %o of itself fails', async (name, change) => {
    const row = rows.find((row): row is ReadRow => 'value' in row && fileOf(row) === `${name}.jsonl.gz`)!
    const { failures } = await runVectors([{ place: 'changed', value: { ...row.value, ...change } }])
    expect(failures).toHaveLength(1)
  })

  test('a row of no known kind fails', async () => {
    const { failures } = await runVectors([{ place: 'odd', value: { type: 'nothing' } }])
    expect(failures).toHaveLength(1)
  })
})
