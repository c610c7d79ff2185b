import { randomBytes } from 'node:crypto'
import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BufferPool } from './buffer-pool.ts'
import { FrameAssembly, MOVED_BYTES } from './frame-assembly.ts'
import { RequestBudget } from './request-budget.ts'

const MIB = 1024 * 1024

function setUp(maxBytes = 64 * MIB) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const pool = new BufferPool(timers, maxBytes)
  const budget = new RequestBudget(pool, maxBytes, clock, timers)
  return { pool, budget, assembly: new FrameAssembly(budget) }
}

function frameOf(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(4 + sizeBytes, 7)
  bytes.writeInt32BE(sizeBytes, 0)
  return bytes
}

describe('assembly of a frame', () => {
  it('lets a large frame fill its memory, and no more until it was given room', () => {
    const { pool, assembly } = setUp()
    const sent = frameOf(5 * MIB)
    assembly.append(sent, 0, 100)
    expect([assembly.isLarge, assembly.capacityBytes, assembly.growthBytes]).toEqual([true, MIB, 0])
    const target = assembly.target()!
    expect(target.length).toBe(MIB - 100)
    sent.copy(target, 0, 100, MIB)
    assembly.append(target, 0, target.length)
    expect([assembly.end, assembly.target(), assembly.growthBytes]).toEqual([MIB, null, MIB])
    expect(assembly.makeRoom()).toBe(true)
    expect([assembly.capacityBytes, assembly.growthBytes, pool.usedBytes]).toEqual([2 * MIB, 0, 2 * MIB])
    assembly.release()
    expect([pool.usedBytes, assembly.capacityBytes]).toEqual([0, 0])
  })

  it('gives a frame no more than it says that it needs', () => {
    const { pool, assembly } = setUp(400 * MIB)
    const sent = frameOf(100 * MIB)
    assembly.append(sent, 0, 100)
    for (;;) {
      const target = assembly.target()
      if (target !== null) assembly.append(target, 0, target.length)
      if (assembly.hasWholeFrame) break
      assembly.makeRoom()
    }
    expect([assembly.end, pool.usedBytes / MIB]).toEqual([sent.length, 101])
  })

  // Found by fuzzing: the copy of 64 MiB into new memory held the loop for a third of a second.
  it('moves a large frame to larger memory in pieces, and keeps what arrives meanwhile', () => {
    const { pool, assembly } = setUp(400 * MIB)
    const sent = randomBytes(4 + 30 * MIB)
    sent.writeInt32BE(30 * MIB, 0)
    assembly.append(sent, 0, 16 * MIB)
    expect([assembly.capacityBytes, assembly.growthBytes]).toEqual([16 * MIB, 14 * MIB + 4])
    const pieces = (16 * MIB) / MOVED_BYTES
    for (let piece = 1; piece < pieces; piece++) {
      expect(assembly.makeRoom()).toBe(false)
      // Of both there is memory, which the budget is not asked for again.
      expect([assembly.growthBytes, assembly.target()]).toEqual([0, null])
      expect(assembly.heldBytes).toBe(pool.usedBytes)
    }
    expect(assembly.heldBytes).toBe(16 * MIB + assembly.capacityBytes)
    assembly.append(sent, 16 * MIB, 17 * MIB)
    expect([assembly.makeRoom(), assembly.heldBytes]).toEqual([true, pool.usedBytes])
    expect(assembly.heldBytes).toBe(assembly.capacityBytes)
    const target = assembly.target()!
    sent.copy(target, 0, 17 * MIB)
    assembly.append(target, 0, target.length)
    expect(assembly.hasWholeFrame && assembly.buffer!.subarray(0, assembly.end).equals(sent)).toBe(true)
  })

  it('gives both memories back when it is released in the middle of a move', () => {
    const { pool, budget, assembly } = setUp(400 * MIB)
    assembly.append(frameOf(60 * MIB), 0, 16 * MIB)
    expect(assembly.makeRoom()).toBe(false)
    assembly.release()
    expect([pool.usedBytes, assembly.heldBytes, assembly.makeRoom()]).toEqual([0, 0, true])
    expect(budget.hasRoomForLarge(300 * MIB)).toBe(true)
  })

  it('asks for no room for a small frame, which grows as its bytes arrive', () => {
    const { assembly } = setUp(1024)
    const sent = frameOf(5000)
    for (let at = 0; at < sent.length; at += 500) {
      assembly.append(sent, at, Math.min(sent.length, at + 500))
      expect([assembly.isLarge, assembly.growthBytes]).toEqual([false, 0])
    }
    expect(assembly.hasWholeFrame).toBe(true)
  })

  it('keeps bytes in order and the account right, wherever frames are cut and wherever they are read to', () => {
    const sizes = fc.array(fc.oneof(fc.nat(50), fc.nat(200_000), fc.integer({ min: MIB - 8, max: 2 * MIB })), {
      minLength: 1,
      maxLength: 4,
    })
    const cuts = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 400_000 }), direct: fc.boolean() }), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(sizes, cuts, fc.constantFrom(1024, 2 * MIB, 64 * MIB), (frames, pieces, maxBytes) => {
        const { pool, budget, assembly } = setUp(maxBytes)
        const sent = Buffer.concat(frames.map((size, n) => frameOf(size).fill(n + 1, 4)))
        const seen: Buffer[] = []
        // Megabytes in pieces of a byte would take for ever.
        const cutAt = [...pieces, { bytes: 200_000, direct: false }]
        for (let at = 0, n = 0; at < sent.length; n++) {
          const { bytes, direct } = cutAt[n % cutAt.length]!
          const target = direct ? assembly.target() : null
          const size = Math.min(bytes, sent.length - at, target?.length ?? Number.POSITIVE_INFINITY)
          if (target === null) {
            assembly.append(sent, at, at + size)
          } else {
            sent.copy(target, 0, at, at + size)
            assembly.append(target, 0, size)
          }
          at += size
          while (assembly.hasWholeFrame) {
            const whole = 4 + assembly.buffer!.readInt32BE(0)
            seen.push(Buffer.from(assembly.buffer!.subarray(0, whole)))
            assembly.consume(whole)
          }
          if (n % 3 === 0) assembly.makeRoom()
          expect(pool.usedBytes).toBe(assembly.heldBytes)
          expect(assembly.end).toBeLessThanOrEqual(assembly.capacityBytes)
        }
        expect(Buffer.concat(seen).equals(sent)).toBe(true)
        expect([pool.usedBytes, assembly.buffer]).toEqual([0, null])
        // Nothing is left in the account of large frames, either.
        expect(budget.hasRoomForLarge(maxBytes * 0.75)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })
})
