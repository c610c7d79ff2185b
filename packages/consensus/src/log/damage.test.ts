import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../raft/types.ts'
import { DamagedLogError } from './damaged-log-error.ts'
import { entryKey, IDENTITY_KEY, STATE_KEYS, snapshotKey } from './record-format.ts'
import { batch, changeRecord, entriesAfter, hardState, LogFixture, pointOf } from './testing/log-fixture.ts'

/**
 * Goal: damage of any record is noticed, and never ends in less than what was acknowledged being taken for all (`reliability.md`, 5.2 and
 * 5.3). Method: records are changed behind the store's back, through LMDB itself.
 */
describe('A damaged quorum log', () => {
  let log: LogFixture

  beforeEach(() => {
    log = new LogFixture()
  })

  afterEach(() => log.remove())

  /** 20 entries of term 2, a snapshot at 8 and one at 16; the log begins at 9. Vote for node 3 in term 4. */
  async function filled(): Promise<Entry[]> {
    const store = await log.open()
    const entries = entriesAfter(null, 20, 2)
    await store.write(batch({ hardState: hardState(4, 3), entries }))
    await store.saveSnapshot(pointOf(entries[7]!), Buffer.from('state at 8'), 5)
    await store.saveSnapshot(pointOf(entries[15]!), Buffer.from('state at 16'), 12)
    await store.close()
    return entries
  }

  const change = (key: Buffer, edit: (value: Buffer) => Buffer | null) => changeRecord(log.path, key, edit)

  const flip = (position: number) => (value: Buffer) => {
    value[position] = value[position]! ^ 0x10
    return value
  }
  const gone = () => null
  const cut = (value: Buffer) => value.subarray(0, value.length - 1)
  const empty = () => Buffer.alloc(0)

  it('is noticed at each byte of the state, and the other copy stands in', async () => {
    await filled()
    let sizeBytes = 0
    await change(STATE_KEYS[0], (value) => {
      sizeBytes = value.length
      return value
    })
    for (let position = 0; position < sizeBytes; position += 7) {
      await change(STATE_KEYS[position % 2]!, flip(position))
      const store = await log.open({ create: false })
      expect(store.hardState).toEqual(hardState(4, 3))
      expect([store.firstIndex, store.lastIndex, store.mayVote]).toEqual([9, 20, true])
      // Writes both copies anew.
      await store.write(batch())
      await store.close()
    }
  })

  it.each([
    ['flipped', flip(12)],
    ['cut', cut],
    ['empty', empty],
    ['gone', gone],
  ])('without a readable vote is not opened: both copies %s', async (_, edit) => {
    await filled()
    for (const key of STATE_KEYS) await change(key, edit)
    await expect(log.open({ create: false })).rejects.toThrow(DamagedLogError)
    await expect(log.open({ create: true })).rejects.toThrow('Term and vote')
  })

  it('takes the newer of two copies that differ', async () => {
    await filled()
    let old: Buffer | null = null
    await change(STATE_KEYS[1], (value) => {
      old = Buffer.from(value)
      return value
    })
    const store = await log.open({ create: false })
    await store.write(batch({ hardState: hardState(9) }))
    await store.close()
    await change(STATE_KEYS[1], () => old)
    const again = await log.open({ create: false })
    expect(again.hardState).toEqual(hardState(9))
    await again.close()
  })

  it.each([
    ['flipped', flip(3)],
    ['gone', gone],
  ])('of which the identity is %s is not opened', async (_, edit) => {
    await filled()
    await change(IDENTITY_KEY, edit)
    await expect(log.open({ create: true })).rejects.toThrow('whose quorum log')
  })

  /** Bytes 0: version, 1: kind, 5: term, 20: chain, 27: data. */
  const entryEdits = [
    ['version', flip(0)],
    ['kind', flip(1)],
    ['term', flip(5)],
    ['chain', flip(20)],
    ['data', flip(27)],
    ['end', cut],
    ['presence', gone],
  ] as const

  it.each(entryEdits)('before the snapshot begins after the snapshot: %s of entry 12', async (_, edit) => {
    const entries = await filled()
    await change(entryKey(12), edit)
    const store = await log.open({ create: false })
    expect(store.findings).toHaveLength(1)
    expect([store.firstIndex, store.lastIndex, store.mayVote]).toEqual([17, 20, true])
    expect(store.entries(17, 21, 10_000)).toEqual(entries.slice(16))
    await store.close()
  })

  it.each(entryEdits)('after the snapshot drops what follows and does not vote: %s of entry 18', async (_, edit) => {
    const entries = await filled()
    await change(entryKey(18), edit)
    let store = await log.open({ create: false })
    expect(store.findings).toHaveLength(1)
    expect([store.firstIndex, store.lastIndex, store.mayVote]).toEqual([9, 17, false])
    expect(store.entries(9, 30, 10_000)).toEqual(entries.slice(8, 17))
    // What it lost comes back from the leader, piece by piece, and a restart in between forgets nothing.
    await store.write(batch({ entries: entries.slice(17, 19) }))
    expect(store.mayVote).toBe(false)
    await store.close()
    store = await log.open({ create: false })
    expect([store.lastIndex, store.mayVote, store.findings]).toEqual([19, false, []])
    await store.write(batch({ entries: entries.slice(19) }))
    expect(store.mayVote).toBe(true)
    await store.close()
  })

  it('votes again once a later term has written over the lost entries', async () => {
    const entries = await filled()
    await change(entryKey(18), flip(27))
    const store = await log.open({ create: false })
    await store.write(batch({ entries: entriesAfter(entries[16]!, 1, 5) }))
    expect([store.lastIndex, store.mayVote]).toEqual([18, true])
    await store.close()
  })

  it('with an outdated last entry takes that entry for lost', async () => {
    const entries = await filled()
    let store = await log.open({ create: false })
    await store.write(batch({ truncateFrom: 20, entries: entriesAfter(entries[18]!, 1, 4) }))
    await store.close()
    await change(entryKey(20), (value) => {
      const old = Buffer.from(value)
      old.writeUInt32BE(2, 6)
      entries[19]!.chain.copy(old, 10)
      return Buffer.concat([old.subarray(0, 26), entries[19]!.data])
    })
    store = await log.open({ create: false })
    expect([store.lastIndex, store.mayVote]).toEqual([19, false])
    await store.close()
  })

  it.each([
    ['header', 0, flip(4)],
    ['header', 0, gone],
    ['chunk', 1, flip(2)],
    ['chunk', 1, cut],
    ['chunk', 1, gone],
  ] as const)('with a damaged snapshot %s (%i) uses the one before and the log', async (_, number, edit) => {
    const entries = await filled()
    await change(snapshotKey(16, number), edit)
    let store = await log.open({ create: false })
    expect(store.findings).toHaveLength(1)
    expect([store.snapshot?.index, store.firstIndex, store.lastIndex, store.mayVote]).toEqual([8, 9, 20, true])
    expect(store.readSnapshot(8, 0, 100)?.data.toString()).toBe('state at 8')
    await store.saveSnapshot(pointOf(entries[15]!), Buffer.from('state at 16'), 12)
    await store.close()
    store = await log.open({ create: false })
    expect(store.readSnapshot(16, 0, 100)?.data.toString()).toBe('state at 16')
    expect(store.findings).toEqual([])
    await store.close()
  })

  it('with both snapshots damaged holds nothing, says so and does not vote until it has a state again', async () => {
    const entries = await filled()
    await change(snapshotKey(16, 1), flip(0))
    await change(snapshotKey(8, 1), flip(0))
    let store = await log.open({ create: false })
    expect([store.firstIndex, store.lastIndex, store.snapshot, store.mayVote]).toEqual([1, 0, null, false])
    expect(store.hardState).toEqual(hardState(4, 3))
    await store.write(batch({ snapshot: { point: pointOf(entries[18]!), data: Buffer.from('state at 19') } }))
    expect(store.mayVote).toBe(false)
    await store.write(batch({ entries: entries.slice(19) }))
    await store.close()
    store = await log.open({ create: false })
    expect([store.firstIndex, store.lastIndex, store.mayVote, store.findings]).toEqual([20, 20, true, []])
    await store.close()
  })

  it('without any snapshot before is replayed from its beginning', async () => {
    const entries = entriesAfter(null, 5, 1)
    let store = await log.open()
    await store.write(batch({ entries }))
    await store.saveSnapshot(pointOf(entries[3]!), Buffer.from('state at 4'), 4)
    await store.close()
    await change(snapshotKey(4, 1), flip(0))
    store = await log.open({ create: false })
    expect([store.firstIndex, store.lastIndex, store.snapshot, store.mayVote]).toEqual([1, 5, null, true])
    await store.close()
  })

  it('that rots while it is open throws where it is read', async () => {
    await filled()
    const store = await log.open({ create: false })
    await change(entryKey(18), flip(27))
    await change(snapshotKey(16, 1), flip(0))
    expect(() => store.entries(17, 20, 10_000)).toThrow(DamagedLogError)
    expect(() => store.pointAt(18)).toThrow('entry at 18')
    expect(() => store.readSnapshot(16, 0, 10)).toThrow(DamagedLogError)
    expect(store.entries(9, 18, 10_000)).toHaveLength(9)
    await store.close()
  })
})
