import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyOffsets, SLOT_BYTES } from './key-offsets.ts'

const SECRET = Buffer.from('0123456789abcdef')

test('the newest offset of each key is found, as long as there is room', () => {
  const puts = fc.array(fc.record({ key: fc.uint8Array({ maxLength: 12 }), gap: fc.nat(2 ** 40) }), { maxLength: 200 })
  fc.assert(
    fc.property(puts, fc.integer({ min: 2, max: 120 }), (given, slotCount) => {
      const keys = new KeyOffsets(SECRET)
      keys.reset(slotCount * SLOT_BYTES, 0.8, 2 ** 30)
      const expected = new Map<string, number>()
      let offset = 0
      for (const { key, gap } of given) {
        const text = Buffer.from(key).toString('hex')
        const bytes = Buffer.from([1, ...key, 2])
        const isPut = keys.put(bytes, 1, bytes.length - 1, offset)
        expect(isPut).toBe(expected.has(text) || expected.size < Math.max(1, Math.floor(slotCount * 0.8)))
        if (!isPut) break
        expected.set(text, offset)
        expect(keys.latestOffset).toBe(offset)
        offset += gap
      }
      expect(keys.count).toBe(expected.size)
      expect(keys.memoryBytes).toBeLessThanOrEqual(slotCount * SLOT_BYTES)
      for (const [text, newest] of expected) {
        const bytes = Buffer.from(text, 'hex')
        expect(keys.get(bytes, 0, bytes.length)).toBe(newest)
      }
      expect(keys.get(Buffer.from('another key that is longer'), 0, 26)).toBe(-1)
    }),
  )
})

test('memory is taken as the records may need it, emptied for the next log, and given back', () => {
  const keys = new KeyOffsets(SECRET)
  const key = Buffer.from('key')
  keys.reset(1 << 30, 0.9, 100)
  expect(keys.memoryBytes).toBeLessThan(4096)
  keys.put(key, 0, 3, 7)
  keys.reset(1 << 30, 0.9, 10)
  expect([keys.get(key, 0, 3), keys.count, keys.latestOffset]).toEqual([-1, 0, -1])
  keys.release()
  expect(keys.memoryBytes).toBe(0)
})
