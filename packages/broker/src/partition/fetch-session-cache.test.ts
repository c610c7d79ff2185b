import { type Clock, type Random, SeededRandom, ZERO_UUID } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { FetchPartition, fetchPartitionKey, nextFetchEpoch } from './fetch-session.ts'
import { FetchSessionCache } from './fetch-session-cache.ts'

class ManualClock implements Clock {
  nowMs = 1_000
  monotonicMs(): number {
    return this.nowMs
  }
  wallMs(): number {
    return this.nowMs
  }
}

function partitions(count: number): Map<string, FetchPartition> {
  const map = new Map<string, FetchPartition>()
  for (let i = 0; i < count; i++) {
    map.set(fetchPartitionKey('t', ZERO_UUID, i, false), new FetchPartition('t', ZERO_UUID, i, 0, -1, -1, 1024))
  }
  return map
}

function setUp(slots: number, maxPartitions?: number) {
  const clock = new ManualClock()
  const random: Random = new SeededRandom(7)
  return { clock, cache: new FetchSessionCache(clock, random, slots, maxPartitions) }
}

describe('fetch session epochs', () => {
  it('count up, wrap to 1 and keep the final epoch', () => {
    expect(nextFetchEpoch(0)).toBe(1)
    expect(nextFetchEpoch(1)).toBe(2)
    expect(nextFetchEpoch(2147483647)).toBe(1)
    expect(nextFetchEpoch(-1)).toBe(-1)
  })
})

describe('fetch session cache', () => {
  it('gives no session when it has no slots', () => {
    expect(setUp(0).cache.create(false, false, partitions(1))).toBeNull()
  })

  it('refuses a newcomer when every session is young', () => {
    const { cache } = setUp(1)
    expect(cache.create(false, false, partitions(1))).not.toBeNull()
    expect(cache.create(false, false, partitions(100))).toBeNull()
  })

  it('holds no more partitions than allowed, whatever the slots', () => {
    const { cache, clock } = setUp(1000, 100)
    const first = cache.create(false, false, partitions(60))!
    expect(cache.create(false, false, partitions(41))).toBeNull()
    const second = cache.create(false, false, partitions(40))!
    expect([cache.partitionCount, cache.isOverfull]).toEqual([100, false])
    second.apply([new FetchPartition('u', ZERO_UUID, 0, 0, -1, -1, 1024)], [])
    expect(cache.isOverfull).toBe(true)
    clock.nowMs += 119_000
    cache.touch(second)
    clock.nowMs += 2_000
    expect(cache.create(false, false, partitions(50))).not.toBeNull()
    expect([cache.get(first.id), cache.get(second.id), cache.evictions]).toEqual([undefined, second, 1])
  })

  it('displaces a session that nobody used for two minutes', () => {
    const { cache, clock } = setUp(2)
    const first = cache.create(false, false, partitions(10))!
    const second = cache.create(false, false, partitions(10))!
    clock.nowMs += 119_000
    cache.touch(second)
    clock.nowMs += 2_000
    expect(cache.create(false, false, partitions(1))).not.toBeNull()
    expect(cache.get(first.id)).toBeUndefined()
    expect(cache.get(second.id)).toBe(second)
  })

  it('lets a larger newcomer displace a smaller old session, not the other way round', () => {
    const { cache, clock } = setUp(1)
    const old = cache.create(false, false, partitions(5))!
    clock.nowMs += 121_000
    cache.touch(old)
    expect(cache.create(false, false, partitions(5))).toBeNull()
    expect(cache.create(false, false, partitions(6))).not.toBeNull()
    expect(cache.evictions).toBe(1)
  })

  it('lets a follower displace any consumer, and no consumer displace a follower', () => {
    const { cache, clock } = setUp(1)
    cache.create(false, false, partitions(50))
    const follower = cache.create(true, true, partitions(1))!
    expect(follower).not.toBeNull()
    clock.nowMs += 121_000
    cache.touch(follower)
    expect(cache.create(false, false, partitions(100))).toBeNull()
  })

  it('counts the partitions that it remembers', () => {
    const { cache } = setUp(3)
    cache.create(false, false, partitions(5))
    cache.create(false, false, partitions(7))
    expect(cache.size).toBe(2)
    expect(cache.partitionCount).toBe(12)
  })
})

describe('fetch session', () => {
  it('reads what returned records last next time', () => {
    const { cache } = setUp(1)
    const session = cache.create(false, false, partitions(3))!
    const first = [...session.partitions.values()][0]!
    session.moveToBack(first)
    expect([...session.partitions.values()].map((p) => p.partition)).toEqual([1, 2, 0])
  })

  it('adds, updates and forgets', () => {
    const { cache } = setUp(1)
    const session = cache.create(false, false, partitions(2))!
    const changed = new FetchPartition('t', ZERO_UUID, 1, 77, 3, 2, 9)
    const added = new FetchPartition('u', ZERO_UUID, 0, 5, -1, -1, 1)
    session.apply([changed, added], [fetchPartitionKey('t', ZERO_UUID, 0, false)])
    const left = [...session.partitions.values()]
    expect(left.map((p) => `${p.topic}${p.partition}@${p.fetchOffset}`)).toEqual(['t1@77', 'u0@5'])
    expect(left[0]!.maxBytes).toBe(9)
  })
})
