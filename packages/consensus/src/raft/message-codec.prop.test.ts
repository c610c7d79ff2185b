import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage } from './message-codec.ts'
import { arbitraryMessage } from './testing/arbitrary-message.ts'

describe('message codec', () => {
  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(arbitraryMessage, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message)
      }),
      { numRuns: 1000 },
    )
  })

  it('refuses every cut and every message with something behind it', () => {
    fc.assert(
      fc.property(arbitraryMessage, fc.nat(), (message, position) => {
        const bytes = encodeMessage(message)
        expect(decodeMessage(bytes.subarray(0, position % bytes.length))).toBe(null)
        expect(decodeMessage(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe(null)
      }),
      { numRuns: 500 },
    )
  })

  it('answers damaged bytes with null or with a message that has these very bytes', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(arbitraryMessage, damage, (message, flips) => {
        const bytes = encodeMessage(message)
        for (const [position, mask] of flips) bytes[position % bytes.length]! ^= mask
        const decoded = decodeMessage(bytes)
        if (decoded !== null) expect(encodeMessage(decoded)).toEqual(bytes)
      }),
      { numRuns: 2000 },
    )
  })

  it('answers any bytes with null or with a message that has these very bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 8 }), (noise, type) => {
        const bytes = Buffer.concat([Buffer.from([1, type]), noise])
        const decoded = decodeMessage(bytes)
        if (decoded !== null) expect(encodeMessage(decoded)).toEqual(bytes)
      }),
      { numRuns: 2000 },
    )
  })

  it('allocates nothing for a count of entries that the bytes cannot hold', () => {
    const from = { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAQ' as never }
    const chain = Buffer.alloc(16)
    const message = { type: 'append', from, to: { id: 2, directoryId: null }, term: 1, entries: [] } as const
    const fields = { previousIndex: 0, previousTerm: 0, previousChain: chain, commitIndex: 0, readRound: 0 }
    const bytes = encodeMessage({ ...message, ...fields })
    bytes.writeInt32BE(0x7fffffff, bytes.length - 20)
    expect(decodeMessage(bytes)).toBe(null)
  })
})
