import type { Uuid } from '@millrace/base'
import { DamagedLogError, LogIdentityError, REJOIN_REMEDY } from './damaged-log-error.ts'
import type { LmdbDatabase } from './lmdb-database.ts'
import { EMPTY_POINT, type RecoveredLog, recoverLog } from './log-recovery.ts'
import {
  decodeIdentity,
  decodeState,
  encodeIdentity,
  encodeState,
  IDENTITY_KEY,
  type LogIdentity,
  type LogState,
  STATE_KEYS,
} from './record-format.ts'

/** Verified in one turn at the opening: some 30 ms. */
const SLICE_BYTES = 1024 * 1024

export interface LmdbStoreOptions {
  /** Path of the database file, for example `quorum.mdb` in the metadata log directory. LMDB puts a `-lock` file beside it. */
  readonly path: string
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: Uuid
  /**
   * Whether a missing log may be created: only while the directory id has never been in use. Where a log was lost under a known
   * directory id, an empty one in its place would vote a second time in terms that it has forgotten (C2, C15).
   */
  readonly create: boolean
  /** Most bytes of entries and newest snapshot. The file may take about twice as much. */
  readonly maxBytes?: number
  /** Resolves in a later turn: what is verified at the opening is verified in slices. Left out: all in one turn. */
  yieldTurn?(): Promise<void>
}

/**
 * Reads and verifies all of a log, which is created if it may be. Rejects with {@link DamagedLogError} if it is gone, or vote or identity
 * cannot be read, and with {@link LogIdentityError} if it is somebody else's.
 */
export async function openLog(database: LmdbDatabase, options: LmdbStoreOptions): Promise<RecoveredLog> {
  const { clusterId, nodeId, directoryId, path } = options
  const identity = { clusterId, nodeId, directoryId }
  if (database.keys(Buffer.from([0]), Buffer.from([0xff]), 1).length === 0) {
    if (!options.create) throw new DamagedLogError('The quorum log of this directory is gone', path, REJOIN_REMEDY)
    await database.commit({ puts: firstRecords(identity), removes: [] })
  }
  checkIdentity(database, identity, path)
  return inSlices(recoverLog(database, readState(database, path)), options)
}

/** Runs work that yields the bytes it has done, with a turn for others after each {@link SLICE_BYTES}. */
async function inSlices<T>(work: Generator<number, T, void>, options: LmdbStoreOptions): Promise<T> {
  let sliceBytes = 0
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    sliceBytes += step.value
    if (sliceBytes < SLICE_BYTES || options.yieldTurn === undefined) continue
    sliceBytes = 0
    await options.yieldTurn()
  }
}

function firstRecords(identity: LogIdentity): (readonly [Buffer, Buffer])[] {
  const state = encodeState({
    sequence: 1,
    hardState: { term: 0, vote: null },
    base: EMPTY_POINT,
    last: EMPTY_POINT,
    snapshotIndex: 0,
    previousSnapshotIndex: 0,
    lost: null,
  })
  return [[IDENTITY_KEY, encodeIdentity(identity)], ...STATE_KEYS.map((key) => [key, state] as const)]
}

function checkIdentity(database: LmdbDatabase, expected: LogIdentity, path: string): void {
  const record = database.get(IDENTITY_KEY)
  const stored = record === null ? null : decodeIdentity(record)
  if (stored === null) throw new DamagedLogError('It cannot be told whose quorum log this is', path, REJOIN_REMEDY)
  for (const part of ['clusterId', 'nodeId', 'directoryId'] as const) {
    if (stored[part] === expected[part]) continue
    throw new LogIdentityError(`The quorum log ${path} has ${part} ${stored[part]}, this node has ${expected[part]}`)
  }
}

/** The newer of the copies that can be read. Term and vote are never guessed: without either copy the node must not take part (C2). */
function readState(database: LmdbDatabase, path: string): LogState {
  let newest: LogState | null = null
  for (const key of STATE_KEYS) {
    const record = database.get(key)
    const state = record === null ? null : decodeState(record)
    if (state !== null && (newest === null || state.sequence > newest.sequence)) newest = state
  }
  if (newest === null) throw new DamagedLogError('Term and vote of this node cannot be read', path, REJOIN_REMEDY)
  return newest
}
