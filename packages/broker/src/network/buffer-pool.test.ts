import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { BufferPool } from './buffer-pool.ts'

const KIB = 1024

function setUp(maxBytes = 1024 * KIB) {
  const timers = new SimulatedTimers(new SimulatedClock())
  return { timers, pool: new BufferPool(timers, maxBytes) }
}

describe('buffer pool', () => {
  it('gives the next power of two, and the same buffer again', () => {
    const { pool } = setUp()
    const sizes = [1, 1024, 1025, 65_536, 65_537].map((sizeBytes) => pool.acquire(sizeBytes).length / KIB)
    expect(sizes).toEqual([1, 1, 2, 64, 128])
    const buffer = pool.acquire(5000)
    pool.release(buffer)
    expect([pool.idleBytes, pool.acquire(8000) === buffer, pool.idleBytes]).toEqual([8 * KIB, true, 0])
  })

  it('keeps only so much', () => {
    const { pool } = setUp(64 * KIB)
    const buffers = [pool.acquire(32 * KIB), pool.acquire(32 * KIB), pool.acquire(32 * KIB)]
    for (const buffer of buffers) pool.release(buffer)
    expect([pool.idleBytes, pool.usedBytes]).toEqual([64 * KIB, 0])
  })

  it('gives idle buffers up for others that are needed', () => {
    const { pool } = setUp(64 * KIB)
    const buffers = [pool.acquire(32 * KIB), pool.acquire(16 * KIB), pool.acquire(16 * KIB)]
    for (const buffer of buffers) pool.release(buffer)
    pool.acquire(8 * KIB)
    expect([pool.usedBytes, pool.idleBytes]).toEqual([8 * KIB, 32 * KIB])
    pool.acquire(64 * KIB)
    expect([pool.usedBytes, pool.idleBytes]).toEqual([72 * KIB, 0])
  })

  it('gives back what nobody has used for half a minute, and keeps what is in use', () => {
    const { pool, timers } = setUp()
    const buffers = [pool.acquire(64 * KIB), pool.acquire(64 * KIB), pool.acquire(16 * KIB)]
    for (const buffer of buffers) pool.release(buffer)
    timers.advance(30_000)
    expect(pool.idleBytes).toBe(144 * KIB)
    const used = pool.acquire(64 * KIB)
    pool.release(used)
    timers.advance(30_000)
    expect(pool.idleBytes).toBe(64 * KIB)
    timers.advance(30_000)
    expect(pool.idleBytes).toBe(0)
    pool.release(pool.acquire(KIB))
    expect(pool.idleBytes).toBe(KIB)
    pool.stop()
  })

  it('frees what it does not keep at once, without waiting for a collection', () => {
    const { pool, timers } = setUp(64 * KIB)
    const buffers = [pool.acquire(32 * KIB), pool.acquire(32 * KIB), pool.acquire(32 * KIB)]
    for (const buffer of buffers) pool.release(buffer)
    expect(buffers.map(({ length }) => length / KIB)).toEqual([0, 32, 32])
    // Given up for another one, and after half a minute.
    const large = pool.acquire(64 * KIB)
    expect(buffers.map(({ length }) => length)).toEqual([0, 0, 0])
    pool.release(large)
    timers.advance(60_000)
    expect(large.length).toBe(0)
  })

  it('keeps nothing and sets no timer once it has stopped', () => {
    const { pool, timers } = setUp()
    const partial = pool.acquire(KIB)
    pool.release(pool.acquire(64 * KIB))
    pool.stop()
    // Connections end after the stop, and give back their incomplete frames then.
    pool.release(partial)
    expect([pool.usedBytes, pool.idleBytes, timers.pendingCount]).toEqual([0, 0, 0])
  })
})
