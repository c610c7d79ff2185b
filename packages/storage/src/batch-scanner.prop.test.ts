import { SimulatedDisk } from '@millrace/base'
import { setBaseOffset } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BatchScanner } from './batch-scanner.ts'
import { batchOf } from './testing/storage-harness.ts'

const END_OFFSET = 1000

/** What a walk finds, with searches behind what is damaged: each batch that is whole, in pieces of `budgetBytes` each. */
function walk(bytes: Buffer, windowBytes: number, budgetBytes: number): string[] {
  const file = new SimulatedDisk().openFile('/0.log', { create: true })
  file.write(bytes, 0, bytes.length, 0)
  const scanner = new BatchScanner(file, 0, bytes.length, 0, windowBytes)
  const seen: string[] = []
  for (;;) {
    const found = scanner.next()
    if (found === 'end') return seen
    let isWhole: boolean | null = found === 'batch' ? null : false
    for (let piece = 0; isWhole === null; piece++) {
      expect(piece).toBeLessThan(2 * bytes.length)
      isWhole = scanner.isWholeWithin(END_OFFSET, budgetBytes)
    }
    if (!isWhole) {
      seen.push(`damaged at ${scanner.position}`)
      let next = scanner.resyncWithin(END_OFFSET, budgetBytes)
      while (next === 'more') next = scanner.resyncWithin(END_OFFSET, budgetBytes)
      if (next === 'end') return seen
    }
    const { header, headerPosition } = scanner
    const headerBytes = header.toString('hex', headerPosition, headerPosition + 61)
    seen.push(`${scanner.position} ${scanner.sizeBytes} ${scanner.baseOffset} ${scanner.lastOffset} ${headerBytes}`)
  }
}

const batches = fc.array(fc.record({ sizeBytes: fc.nat(400), gap: fc.constantFrom(0, 0, 0, 1, 7) }), {
  minLength: 1,
  maxLength: 12,
})
const damage = fc.array(fc.record({ at: fc.nat(10_000), byte: fc.nat(255) }), { maxLength: 3 })

test('a walk finds the same whatever its window holds, and however often it pauses', () => {
  fc.assert(
    fc.property(
      batches,
      damage,
      fc.nat(60),
      fc.array(
        fc.record({ windowBytes: fc.integer({ min: 61, max: 700 }), budgetBytes: fc.integer({ min: 1, max: 600 }) }),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
      (sizes, damages, cutBytes, ways) => {
        let offset = 0
        const parts = sizes.map(({ sizeBytes, gap }) => {
          const batch = batchOf(['x'.repeat(sizeBytes)])
          offset += gap
          setBaseOffset(batch, 0, offset)
          offset++
          return batch
        })
        const whole = Buffer.concat(parts)
        for (const { at, byte } of damages) whole[at % whole.length] = byte
        const bytes = whole.subarray(0, whole.length - cutBytes)
        const expected = walk(bytes, 1 << 20, Number.POSITIVE_INFINITY)
        for (const { windowBytes, budgetBytes } of ways) expect(walk(bytes, windowBytes, budgetBytes)).toEqual(expected)
      },
    ),
    { numRuns: 300 },
  )
})
