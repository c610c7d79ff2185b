import { chainOf, FIRST_CHAIN } from '../raft/chain.ts'
import type { Entry, LogIndex } from '../raft/types.ts'
import type { LmdbDatabase } from './lmdb-database.ts'
import { decodeEntry, entryKey, type LogPoint, type LogState } from './record-format.ts'
import { type SnapshotHeader, verifiedSnapshot } from './snapshot-format.ts'

export interface RecoveredLog {
  /** What holds from now on; stored with the next write, so that nothing changes on disk before the node has decided to go on. */
  readonly state: LogState
  readonly snapshot: SnapshotHeader | null
  /** Bytes of the entries' data and of the newest snapshot. */
  readonly liveBytes: number
  /** What was found damaged and how it is made good, in words for the operator. */
  readonly findings: readonly string[]
}

export const EMPTY_POINT: LogPoint = { index: 0, term: 0, chain: FIRST_CHAIN }

/**
 * Reads all that the log holds and decides what can still be believed (`reliability.md`, 5.2 and 5.3):
 * - newest snapshot damaged: the previous one with the log after it; without either the state has to be fetched again;
 * - damaged entry that the snapshot covers: the log begins after the snapshot;
 * - any other damaged entry: it and what follows are no longer held, and `lost` says up to where this node had acknowledged. It must then
 *   neither vote nor campaign until a leader has brought its log to that point: any quorum that committed one of those entries with this
 *   node's help has a member in every quorum without it, so that none of them is forgotten.
 *
 * Hashing takes a second for some 30 MB: yields the bytes it has just verified, so that whoever drives it can let others have a turn.
 */
export function* recoverLog(database: LmdbDatabase, stored: LogState): Generator<number, RecoveredLog, void> {
  const findings: string[] = []
  const { state: withSnapshot, snapshot } = yield* recoverSnapshot(database, stored, findings)
  const { state, dataBytes } = yield* recoverEntries(database, withSnapshot, snapshot, findings)
  return { state, snapshot, liveBytes: dataBytes + (snapshot?.sizeBytes ?? 0), findings }
}

/** Null: absent, or not the entry that follows the one with `previousChain`. */
export function readEntry(database: LmdbDatabase, index: LogIndex, previousChain: Buffer): Entry | null {
  const value = database.get(entryKey(index))
  const stored = value === null ? null : decodeEntry(value)
  if (stored === null) return null
  const entry: Entry = { index, ...stored }
  return chainOf(previousChain, entry).equals(entry.chain) ? entry : null
}

function* recoverSnapshot(
  database: LmdbDatabase,
  stored: LogState,
  findings: string[],
): Generator<number, { state: LogState; snapshot: SnapshotHeader | null }, void> {
  if (stored.snapshotIndex === 0) return { state: stored, snapshot: null }
  const newest = yield* verifiedSnapshot(database, stored.snapshotIndex)
  if (newest !== null) return { state: stored, snapshot: newest }

  const previous = yield* verifiedSnapshot(database, stored.previousSnapshotIndex)
  const previousIndex = previous?.point.index ?? 0
  if (stored.base.index <= previousIndex) {
    const instead = previous === null ? 'the whole log' : `the snapshot at ${previousIndex} and the log after it`
    findings.push(`The snapshot at ${stored.snapshotIndex} is damaged; ${instead} take its place`)
    return { state: { ...stored, snapshotIndex: previousIndex, previousSnapshotIndex: 0 }, snapshot: previous }
  }
  findings.push(
    `The snapshot at ${stored.snapshotIndex} is damaged, and the log before it is gone: all of it is fetched again`,
  )
  const empty: LogState = {
    ...stored,
    base: EMPTY_POINT,
    last: EMPTY_POINT,
    snapshotIndex: 0,
    previousSnapshotIndex: 0,
    lost: newerOf(stored.lost, stored.last),
  }
  return { state: empty, snapshot: null }
}

function* recoverEntries(
  database: LmdbDatabase,
  stored: LogState,
  snapshot: SnapshotHeader | null,
  findings: string[],
): Generator<number, { state: LogState; dataBytes: number }, void> {
  let base = stored.base
  let held = base
  let dataBytes = 0
  for (let index = base.index + 1; index <= stored.last.index; index++) {
    const entry = readEntry(database, index, held.chain)
    const isLast = index === stored.last.index
    if (entry !== null && !(isLast && !entry.chain.equals(stored.last.chain))) {
      held = { index, term: entry.term, chain: entry.chain }
      dataBytes += entry.data.length
      yield entry.data.length
      continue
    }
    if (snapshot !== null && index <= snapshot.point.index) {
      findings.push(`The entry at ${index} is damaged; the snapshot at ${snapshot.point.index} covers it`)
      base = { index: snapshot.point.index, term: snapshot.point.term, chain: snapshot.point.chain }
      held = base
      dataBytes = 0
      index = base.index
      continue
    }
    findings.push(
      `The entry at ${index} is damaged: entries ${index} to ${stored.last.index} are fetched again, and this node does not vote until then`,
    )
    return { state: { ...stored, base, last: held, lost: newerOf(stored.lost, stored.last) }, dataBytes }
  }
  return { state: { ...stored, base, last: held }, dataBytes }
}

/** Whether a log that ends at `last` holds all that this node had acknowledged when it lost entries up to `lost`. */
export function isAsNewAs(last: LogPoint, lost: NonNullable<LogState['lost']>): boolean {
  return last.term > lost.term || (last.term === lost.term && last.index >= lost.index)
}

function newerOf(lost: LogState['lost'], last: LogPoint): NonNullable<LogState['lost']> {
  if (lost !== null && !isAsNewAs(last, lost)) return lost
  return { index: last.index, term: last.term }
}
