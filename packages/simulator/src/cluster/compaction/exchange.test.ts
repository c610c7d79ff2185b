import { describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { checkExchange, type Exchange, type TakenAway } from './exchange.ts'
import type { StoredBatch, StoredRecord, StoredSegment } from './stored-batches.ts'
import { batch, emptied, marker, segment, thinned, WRITTEN_MS } from './testing/stored-log.ts'

/** What the clock says. */
const NOW_MS = 100_000
const RETENTION_MS = 10_000

function check(segments: readonly StoredSegment[], made: StoredSegment, more: Partial<Exchange> = {}): TakenAway {
  return checkExchange(new World(1), {
    name: 'stock-0',
    segments,
    made,
    logStartOffset: 0,
    committedOffset: 100,
    nowMs: NOW_MS,
    deleteRetentionMs: RETENTION_MS,
    minCompactionLagMs: 0,
    ...more,
  })
}

const FIRST = batch(0, [
  ['a', '1'],
  ['b', '1'],
])
const SECOND = batch(2, [
  ['a', '2'],
  ['c', '1'],
])
const ACTIVE = batch(4, [['c', '2']])
const LOG = [segment(0, FIRST), segment(2, SECOND), segment(4, ACTIVE)]

describe('an exchange of segments', () => {
  it('may leave out what newer records replace, and may leave everything as it was', () => {
    expect(check(LOG, segment(0, thinned(FIRST, 1), SECOND))).toMatchObject({ recordCount: 1, tombstoneCount: 0 })
    expect(check(LOG, segment(0, FIRST))).toMatchObject({ recordCount: 0 })
    expect(check(LOG, segment(2, SECOND))).toMatchObject({ recordCount: 0 })
  })

  it('must not leave out the newest record of a key, nor one that only the active segment replaces (K1)', () => {
    expect(() => check(LOG, segment(0, emptied(FIRST), SECOND))).toThrow(/K1.*key b/)
    expect(() => check(LOG, segment(0, thinned(FIRST, 1), thinned(SECOND, 2)))).toThrow(/K1.*key c/)
  })

  it('must not take an aborted record, or one of an open transaction, for one that replaces others (K1)', () => {
    const data = batch(2, [['a', '2']], { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 })
    const log = (kind: 'commit' | 'abort') => [segment(0, FIRST), segment(2, data, marker(3, kind)), segment(4, ACTIVE)]
    expect(check(log('commit'), segment(0, thinned(FIRST, 1))).recordCount).toBe(1)
    expect(() => check(log('abort'), segment(0, thinned(FIRST, 1)))).toThrow('K1')
    const open = [segment(0, FIRST), segment(2, data), segment(3, ACTIVE)]
    expect(() => check(open, segment(0, thinned(FIRST, 1)))).toThrow('K1')
  })

  it('may leave out what was aborted', () => {
    const data = batch(2, [['d', '1']], { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 })
    const log = [segment(0, FIRST), segment(2, data, marker(3, 'abort')), segment(4, ACTIVE)]
    expect(check(log, segment(2, emptied(data), marker(3, 'abort'))).recordCount).toBe(1)
  })

  it('must hold nothing that was not there, as it was and where it was (K2)', () => {
    const [a, b] = FIRST.records
    const withRecords = (...records: StoredRecord[]) => segment(0, { ...FIRST, records })
    expect(() => check(LOG, withRecords(a!, { ...b!, value: '9' }))).toThrow('K2')
    expect(() => check(LOG, withRecords(a!, { ...b!, timestamp: 1 }))).toThrow('K2')
    expect(() => check(LOG, withRecords(b!, a!))).toThrow('K2')
    expect(() => check(LOG, segment(0, { ...FIRST, leaderEpoch: 2 }))).toThrow('K2')
    expect(() => check(LOG, segment(0, { ...FIRST, lastOffset: 2 }, SECOND))).toThrow('K2')
    expect(() => check(LOG, segment(0, thinned(FIRST, 1), batch(1, [['z', '1']]), SECOND))).toThrow('K2')
  })

  it('must cover whole segments, and not the active one (K3)', () => {
    expect(() => check(LOG, segment(0, FIRST, SECOND, ACTIVE))).toThrow(/K3.*active/)
    expect(() => check(LOG, segment(0, { ...FIRST, lastOffset: 0, records: FIRST.records.slice(0, 1) }))).toThrow('K3')
    expect(() => check(LOG, segment(1, SECOND))).toThrow('K3')
    expect(() => check(LOG, segment(0))).toThrow('K3')
  })

  it('must not go beyond what is committed, or into an open transaction (K3)', () => {
    expect(() => check(LOG, segment(2, SECOND), { committedOffset: 3 })).toThrow('K3')
    expect(check(LOG, segment(0, FIRST), { committedOffset: 3 }).recordCount).toBe(0)
    const data = batch(2, [['a', '2']], { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 })
    const log = [segment(0, FIRST), segment(2, data), segment(3, marker(3, 'commit')), segment(4, ACTIVE)]
    expect(() => check(log, segment(2, data), { committedOffset: 3 })).toThrow('K3')
    expect(check(log, segment(2, data)).recordCount).toBe(0)
  })

  it('must leave young records alone (K3)', () => {
    const minCompactionLagMs = NOW_MS - WRITTEN_MS + 1
    expect(() => check(LOG, segment(0, FIRST), { minCompactionLagMs })).toThrow('K3')
    expect(check(LOG, segment(0, FIRST), { minCompactionLagMs: minCompactionLagMs - 1 }).recordCount).toBe(0)
    expect(check(LOG, segment(0, FIRST), { minCompactionLagMs, nowMs: null }).recordCount).toBe(0)
  })
})

describe('a deletion', () => {
  const deletion = (horizonMs: number | null) =>
    batch(
      2,
      [
        ['b', null],
        ['a', '2'],
      ],
      { horizonMs },
    )
  const log = (horizonMs: number | null, ...before: StoredBatch[]) => [
    segment(0, ...before),
    segment(2, deletion(horizonMs)),
    segment(4, ACTIVE),
  ]
  const gone = (horizonMs: number | null) => segment(2, thinned(deletion(horizonMs), 3))

  it('goes when its time is over, and what it deleted is gone', () => {
    expect(check(log(NOW_MS, emptied(FIRST)), gone(NOW_MS)).tombstoneCount).toBe(1)
  })

  it('must not go before that (K1)', () => {
    expect(() => check(log(NOW_MS + 1, emptied(FIRST)), gone(NOW_MS + 1))).toThrow('K1')
    expect(() => check(log(null, emptied(FIRST)), gone(null))).toThrow('K1')
    const deleteRetentionMs = NOW_MS - WRITTEN_MS + 1
    expect(() => check(log(NOW_MS, emptied(FIRST)), gone(NOW_MS), { deleteRetentionMs })).toThrow('K1')
  })

  it('must not be given a time that is over already, or another one than it has (K1)', () => {
    const given = (horizonMs: number) => check(log(null, emptied(FIRST)), segment(2, deletion(horizonMs)))
    expect(given(NOW_MS + RETENTION_MS).tombstoneCount).toBe(0)
    expect(() => given(WRITTEN_MS + RETENTION_MS - 1)).toThrow('K1')
    expect(() => given(NOW_MS + RETENTION_MS + 1)).toThrow('K1')
    expect(() => check(log(NOW_MS, emptied(FIRST)), segment(2, deletion(NOW_MS + 1)))).toThrow('K1')
  })

  it('must not go while what it deleted stays (K4)', () => {
    expect(() => check(log(NOW_MS, FIRST), gone(NOW_MS))).toThrow(/K4.*key b/)
    // Not if nobody reads that any more.
    expect(check(log(NOW_MS, FIRST), gone(NOW_MS), { logStartOffset: 2 }).tombstoneCount).toBe(1)
    // In one new segment both go.
    expect(check(log(NOW_MS, FIRST), segment(0, emptied(FIRST), thinned(deletion(NOW_MS), 3))).tombstoneCount).toBe(1)
  })
})

describe('what compaction keeps of producers', () => {
  const data = (baseOffset: number, more: Partial<StoredBatch> = {}) =>
    batch(baseOffset, [['a', `${baseOffset}`]], {
      producerId: 7,
      producerEpoch: 0,
      baseSequence: baseOffset,
      isTransactional: true,
      ...more,
    })

  it('are markers as long as anything of their transactions is left, and until their time is over (K5)', () => {
    const log = (horizonMs: number | null, first: StoredBatch) => [
      segment(0, first),
      segment(1, marker(1, 'commit', { horizonMs })),
      segment(2, data(2)),
      segment(3, marker(3, 'commit')),
      segment(4, ACTIVE),
    ]
    const without = (horizonMs: number | null) => segment(1, emptied(marker(1, 'commit', { horizonMs })))
    expect(check(log(NOW_MS, emptied(data(0))), without(NOW_MS)).markerCount).toBe(1)
    expect(() => check(log(NOW_MS + 1, emptied(data(0))), without(NOW_MS + 1))).toThrow('K5')
    expect(() => check(log(null, emptied(data(0))), without(null))).toThrow('K5')
    expect(() => check(log(NOW_MS, data(0)), without(NOW_MS))).toThrow(/K5.*record 0/)
  })

  it('are their last batches, if only the headers (K5)', () => {
    const plain = (offset: number) => data(offset, { isTransactional: false })
    const log = [segment(0, plain(0)), segment(1, plain(1)), segment(2, SECOND), segment(4, ACTIVE)]
    expect(check(log, segment(0, emptied(plain(0)), emptied(plain(1)))).recordCount).toBe(2)
    const filler = batch(0, [], { lastOffset: 1 })
    expect(() => check(log, segment(0, filler))).toThrow(/K5.*producer 7/)
    // What comes behind a marker of a later epoch begins anew.
    const fenced = [
      segment(0, data(0)),
      segment(1, marker(1, 'abort', { producerEpoch: 1 })),
      segment(2, SECOND),
      segment(4, ACTIVE),
    ]
    expect(check(fenced, segment(0, batch(0, [], { lastOffset: 0 }))).recordCount).toBe(1)
  })
})
