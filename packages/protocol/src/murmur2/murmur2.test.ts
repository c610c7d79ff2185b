import { describe, expect, it } from 'vitest'
import { readVectors } from '../records/testing/vectors.ts'
import { murmur2, partitionForKey } from './murmur2.ts'

interface Murmur2Row {
  readonly key: string
  readonly murmur2: number
  readonly partitions: number
  readonly partition: number
}

describe('murmur2', () => {
  it('hashes keys and chooses partitions as the Java client does', () => {
    const rows = readVectors<Murmur2Row>('murmur2')
    expect(rows.length).toBeGreaterThan(100)
    for (const row of rows) {
      const key = Buffer.from(row.key, 'base64')
      expect(murmur2(key)).toBe(row.murmur2)
      expect(partitionForKey(key, row.partitions)).toBe(row.partition)
    }
  })

  it('reads a view only, not the bytes around it', () => {
    const bytes = Buffer.from('xxkey-1yy')
    expect(murmur2(bytes.subarray(2, 7))).toBe(murmur2(Buffer.from('key-1')))
  })
})
