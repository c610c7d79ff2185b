import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DamagedLogError, LogIdentityError } from './damaged-log-error.ts'
import { LmdbStore } from './lmdb-store.ts'
import { SNAPSHOT_CHUNK_BYTES } from './snapshot-format.ts'
import { batch, entriesAfter, hardState, LogFixture, OTHER_DIRECTORY, pointOf } from './testing/log-fixture.ts'

/** Method: real files; each store is closed and opened again where a test says so. */
describe('LmdbStore', () => {
  let log: LogFixture
  let store: LmdbStore

  beforeEach(async () => {
    log = new LogFixture()
    store = await log.open()
  })

  afterEach(async () => {
    await store.close()
    log.remove()
  })

  async function reopen(): Promise<void> {
    await store.close()
    store = await log.open({ create: false })
  }

  it('begins empty, at term 0, without a vote', () => {
    expect(store.hardState).toEqual({ term: 0, vote: null })
    expect([store.firstIndex, store.lastIndex, store.snapshot, store.mayVote]).toEqual([1, 0, null, true])
    expect(store.pointAt(0)?.term).toBe(0)
    expect(store.pointAt(1)).toBeNull()
    expect(store.entries(1, 10, 1000)).toEqual([])
  })

  it('holds vote and entries after it was opened again', async () => {
    const entries = [...entriesAfter(null, 1, 1, () => Buffer.alloc(0), 'empty')]
    entries.push(...entriesAfter(entries[0]!, 4, 2))
    await store.write(batch({ hardState: hardState(2, 3), entries }))
    const check = () => {
      expect(store.hardState).toEqual(hardState(2, 3))
      expect([store.firstIndex, store.lastIndex]).toEqual([1, 5])
      expect(store.entries(1, 6, 10_000)).toEqual(entries)
      expect(store.pointAt(3)).toMatchObject({ term: 2, chain: entries[2]!.chain })
    }
    check()
    await reopen()
    check()
  })

  it('verifies a long log in slices, with a turn for others between them', async () => {
    const entries = entriesAfter(null, 12, 1, () => Buffer.alloc(300_000))
    await store.write(batch({ entries: entries.slice(0, 11) }))
    await store.saveSnapshot(pointOf(entries[1]!), Buffer.alloc(1_500_000, 7), 1)
    await store.close()
    let turnCount = 0
    const yieldTurn = async (): Promise<void> => {
      turnCount++
    }
    store = await log.open({ create: false, yieldTurn })
    expect([store.lastIndex, store.snapshot?.index, store.findings]).toEqual([11, 2, []])
    expect(turnCount).toBeGreaterThanOrEqual(3)
    expect(turnCount).toBeLessThanOrEqual(4)
    await store.write(batch({ entries: entries.slice(11) }))
  })

  it('gives entries up to a size, but always one', async () => {
    const entries = entriesAfter(null, 5, 1, () => Buffer.alloc(100))
    await store.write(batch({ entries }))
    expect(store.entries(1, 6, 250).map((entry) => entry.index)).toEqual([1, 2])
    expect(store.entries(4, 6, 1).map((entry) => entry.index)).toEqual([4])
    expect(store.entries(2, 4, 1000).map((entry) => entry.index)).toEqual([2, 3])
  })

  it('keeps entries of all sizes whole', async () => {
    const sizes = [0, 1, 100, 4095, 4096, 40_000, 300_000, 2_000_000]
    const entries = entriesAfter(null, sizes.length, 1, (index) => Buffer.alloc(sizes[index - 1]!, index))
    await store.write(batch({ entries }))
    await reopen()
    expect(store.findings).toEqual([])
    const read = store.entries(1, sizes.length + 1, Number.MAX_SAFE_INTEGER)
    for (const [slot, entry] of read.entries()) expect(entry.data.equals(entries[slot]!.data)).toBe(true)
    expect(read.length).toBe(sizes.length)
  })

  it('replaces a conflicting suffix by a shorter and by a longer one', async () => {
    const old = entriesAfter(null, 10, 1)
    await store.write(batch({ entries: old }))
    const shorter = entriesAfter(old[3]!, 2, 2)
    await store.write(batch({ truncateFrom: 5, entries: shorter }))
    expect(store.lastIndex).toBe(6)
    expect(store.entries(1, 20, 10_000)).toEqual([...old.slice(0, 4), ...shorter])
    const longer = entriesAfter(old[3]!, 8, 3)
    await store.write(batch({ truncateFrom: 5, entries: longer }))
    await reopen()
    expect(store.entries(1, 20, 10_000)).toEqual([...old.slice(0, 4), ...longer])
    expect(store.pointAt(5)?.term).toBe(3)
    await store.write(batch({ truncateFrom: 1, entries: [] }))
    expect(store.lastIndex).toBe(0)
    await reopen()
    expect([store.firstIndex, store.lastIndex]).toEqual([1, 0])
  })

  it('refuses a gap and a term that goes back', async () => {
    const entries = entriesAfter(null, 3, 1)
    await expect(store.write(batch({ entries: entries.slice(1) }))).rejects.toThrow('without a gap')
    await store.write(batch({ hardState: hardState(2), entries }))
    await expect(store.write(batch({ hardState: hardState(1) }))).rejects.toThrow('terms do not go back')
    expect(store.hardState).toEqual(hardState(2))
  })

  it('saves a snapshot, keeps the log from where it is told, and the previous snapshot with the log after it', async () => {
    const entries = entriesAfter(null, 3000, 1)
    await store.write(batch({ entries }))
    const first = Buffer.alloc(3 * SNAPSHOT_CHUNK_BYTES + 17, 'first')
    await store.saveSnapshot(pointOf(entries[999]!), first, 900)
    expect(store.firstIndex).toBe(1)
    const second = Buffer.from('second')
    await store.saveSnapshot(pointOf(entries[1999]!), second, 1900)
    expect(store.firstIndex).toBe(1001)
    expect(store.snapshot).toEqual(pointOf(entries[1999]!))
    expect(store.pointAt(1000)?.chain).toEqual(entries[999]!.chain)
    expect(store.pointAt(999)).toBeNull()
    expect(store.readSnapshot(1000, 0, 10)).toBeNull()
    expect(store.readSnapshot(2000, 0, 100)).toEqual({ data: second, sizeBytes: 6 })
    await store.saveSnapshot(pointOf(entries[2499]!), first, 2400)
    expect(store.firstIndex).toBe(2001)
    await reopen()
    expect(store.snapshot).toEqual(pointOf(entries[2499]!))
    expect(store.entries(2001, 2003, 10_000)).toEqual(entries.slice(2000, 2002))
    const read = store.readSnapshot(2500, SNAPSHOT_CHUNK_BYTES - 3, 2 * SNAPSHOT_CHUNK_BYTES)
    expect(read?.data.equals(first.subarray(SNAPSHOT_CHUNK_BYTES - 3, 3 * SNAPSHOT_CHUNK_BYTES - 3))).toBe(true)
    expect(store.readSnapshot(2500, first.length - 5, 100)?.data).toEqual(first.subarray(-5))
    expect(store.readSnapshot(2500, first.length, 100)?.data.length).toBe(0)
  })

  it('forgets the bytes of what it no longer holds', async () => {
    let last = null
    for (let round = 0; round < 30; round++) {
      const entries = entriesAfter(last, 400, 1, () => Buffer.alloc(100))
      await store.write(batch({ entries }))
      last = entries.at(-1)!
      await store.saveSnapshot(pointOf(last), Buffer.alloc(1000), last.index + 1)
    }
    // Two rounds of entries and two snapshots stay; sweeping lags at most a few writes.
    expect(store.liveBytes).toBeLessThan(4 * 40_000 + 2000)
    await reopen()
    expect(store.liveBytes).toBeLessThan(4 * 40_000 + 2000)
    expect(store.firstIndex).toBe(29 * 400 + 1)
  })

  it('installs a received snapshot and keeps the entries that go on from it', async () => {
    const entries = entriesAfter(null, 20, 1)
    await store.write(batch({ entries }))
    await store.write(batch({ snapshot: { point: pointOf(entries[9]!), data: Buffer.from('state') } }))
    expect([store.firstIndex, store.lastIndex]).toEqual([11, 20])
    await reopen()
    expect(store.entries(11, 21, 10_000)).toEqual(entries.slice(10))
    expect(store.readSnapshot(10, 0, 100)?.data.toString()).toBe('state')
  })

  it('installs a received snapshot in place of a log that does not lead to it', async () => {
    await store.write(batch({ entries: entriesAfter(null, 20, 1) }))
    const other = entriesAfter(null, 40, 2)
    await store.write(batch({ snapshot: { point: pointOf(other[9]!), data: Buffer.alloc(0) } }))
    expect([store.firstIndex, store.lastIndex]).toEqual([11, 10])
    expect(store.pointAt(10)?.chain).toEqual(other[9]!.chain)
    await store.write(
      batch({ snapshot: { point: pointOf(other[29]!), data: Buffer.from('x') }, entries: other.slice(30) }),
    )
    await reopen()
    expect([store.firstIndex, store.lastIndex]).toEqual([31, 40])
    expect(store.entries(31, 41, 10_000)).toEqual(other.slice(30))
    expect(store.readSnapshot(30, 0, 9)?.data.toString()).toBe('x')
  })

  it('lets writes pass between the chunks of a snapshot', async () => {
    const entries = entriesAfter(null, 10, 1)
    await store.write(batch({ entries }))
    let isSaved = false
    const saving = store.saveSnapshot(pointOf(entries[4]!), Buffer.alloc(40 * SNAPSHOT_CHUNK_BYTES), 6).then(() => {
      isSaved = true
    })
    await store.write(batch({ hardState: hardState(7) }))
    expect(isSaved).toBe(false)
    await saving
    await reopen()
    expect(store.hardState.term).toBe(7)
    expect(store.snapshot?.index).toBe(5)
  })

  it('keeps the newer snapshot when a received one overtakes its own', async () => {
    const entries = entriesAfter(null, 10, 1)
    await store.write(batch({ entries }))
    const saving = store.saveSnapshot(pointOf(entries[4]!), Buffer.alloc(4 * SNAPSHOT_CHUNK_BYTES), 6)
    const received = store.write(batch({ snapshot: { point: pointOf(entries[7]!), data: Buffer.from('newer') } }))
    await Promise.all([saving, received])
    await store.saveSnapshot(pointOf(entries[5]!), Buffer.from('older'), 1)
    expect(store.snapshot?.index).toBe(8)
    await reopen()
    expect(store.readSnapshot(8, 0, 10)?.data.toString()).toBe('newer')
  })

  it('refuses what would pass its size, and everything after', async () => {
    await store.close()
    store = await log.open({ create: false, maxBytes: 10_000 })
    const entries = entriesAfter(null, 2, 1, () => Buffer.alloc(4_000))
    await store.write(batch({ entries }))
    const more = entriesAfter(entries[1]!, 1, 1, () => Buffer.alloc(4_000))
    await expect(store.write(batch({ entries: more }))).rejects.toMatchObject({ code: 'LOG_SIZE_LIMIT' })
    await expect(store.write(batch({ hardState: hardState(5) }))).rejects.toMatchObject({ code: 'LOG_SIZE_LIMIT' })
    expect(store.hardState.term).toBe(0)
    await reopen()
    expect(store.lastIndex).toBe(2)
  })

  it("refuses another node's, cluster's or directory's log and changes nothing", async () => {
    await store.write(batch({ hardState: hardState(3) }))
    await store.close()
    for (const other of [{ clusterId: 'another' }, { nodeId: 2 }, { directoryId: OTHER_DIRECTORY }]) {
      await expect(log.open(other)).rejects.toThrow(LogIdentityError)
    }
    store = await log.open({ create: false })
    expect(store.hardState.term).toBe(3)
  })

  it('does not put an empty log in place of one that is gone', async () => {
    await store.write(batch({ hardState: hardState(3, 2) }))
    await store.close()
    rmSync(log.path)
    await expect(log.open({ create: false })).rejects.toThrow(DamagedLogError)
    store = await log.open({ create: true })
    expect(store.hardState.term).toBe(0)
  })

  it('takes nothing after it was closed', async () => {
    await store.close()
    await expect(store.write(batch({ hardState: hardState(1) }))).rejects.toThrow('the log is open')
    expect(store).toBeInstanceOf(LmdbStore)
  })
})
