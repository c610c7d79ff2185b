import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Choices } from './choices.ts'
import { PAGE_BYTES, type PendingSync, SimulatedInode } from './simulated-inode.ts'

const SIZE_BYTES = 3 * PAGE_BYTES

/** Of each page nothing that was not synced. */
const allLost: Choices = { choose: (count) => (count === 3 ? 1 : 0) }
const nothingLost: Choices = { choose: () => 0 }

/** The same file as plain copies: what is read, and what a sync made certain. */
interface Model {
  live: Buffer
  durable: Buffer
}

type Step =
  | { readonly kind: 'write'; readonly position: number; readonly value: number; readonly sizeBytes: number }
  | { readonly kind: 'begin' | 'fork' | 'crash' | 'corrupt' }
  | { readonly kind: 'end'; readonly slot: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      position: fc.nat(SIZE_BYTES - 1),
      value: fc.integer({ min: 1, max: 255 }),
      sizeBytes: fc.integer({ min: 1, max: 50 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('begin' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), slot: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('fork' as const, 'crash' as const, 'corrupt' as const) }) },
)

function contentsOf(inode: SimulatedInode): Buffer {
  const bytes = Buffer.alloc(SIZE_BYTES)
  inode.read(bytes, 0, SIZE_BYTES, 0)
  return bytes
}

describe('SimulatedInode', () => {
  it('keeps what is read, what is synced and what its copies hold apart, however syncs overlap', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const inode = new SimulatedInode(0)
        inode.resize(SIZE_BYTES)
        inode.endSync(inode.beginSync())
        const model: Model = { live: Buffer.alloc(SIZE_BYTES), durable: Buffer.alloc(SIZE_BYTES) }
        let pending: { sync: PendingSync; live: Buffer }[] = []
        const copies: { inode: SimulatedInode; contents: Buffer }[] = []
        for (const one of steps) {
          switch (one.kind) {
            case 'write': {
              const bytes = Buffer.alloc(Math.min(one.sizeBytes, SIZE_BYTES - one.position), one.value)
              inode.write(bytes, 0, bytes.length, one.position)
              bytes.copy(model.live, one.position)
              break
            }
            case 'begin':
              pending.push({ sync: inode.beginSync(), live: Buffer.from(model.live) })
              break
            case 'end': {
              const ended = pending[one.slot]
              if (ended === undefined) break
              inode.endSync(ended.sync)
              // One that began later covers those before it.
              pending = pending.filter(({ sync }) => sync.number > ended.sync.number)
              model.durable = ended.live
              break
            }
            case 'fork':
              copies.push({ inode: inode.fork(), contents: Buffer.from(model.live) })
              break
            case 'crash':
              copies.push({ inode: inode.crashed(nothingLost), contents: Buffer.from(model.live) })
              break
            case 'corrupt':
              inode.corrupt(7, 1)
              model.live[7]! ^= 1
              model.durable[7]! ^= 1
              // What is under way to the medium is not rotten: such a sync is not ended here.
              pending = []
          }
          expect(contentsOf(inode).equals(model.live)).toBe(true)
          for (const copy of copies) expect(contentsOf(copy.inode).equals(copy.contents)).toBe(true)
        }
        // Not after each step: a copy holds the bytes, which then are not used again.
        expect(contentsOf(inode.crashed(allLost)).equals(model.durable)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})
