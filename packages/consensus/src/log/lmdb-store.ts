import { assert } from '@millrace/base'
import type { Entry, HardState, LogIndex, SnapshotPoint, Term } from '../raft/types.ts'
import { DamagedLogError, LogWriteError } from './damaged-log-error.ts'
import { type DatabaseChange, LmdbDatabase } from './lmdb-database.ts'
import { type LmdbStoreOptions, openLog } from './log-opening.ts'
import { isAsNewAs, type RecoveredLog, readEntry } from './log-recovery.ts'
import type { RaftStore, StoreBatch } from './raft-store.ts'
import {
  checksumOf,
  decodeEntry,
  ENTRY_HEADER_BYTES,
  encodeEntry,
  encodeState,
  entryKey,
  type LogPoint,
  type LogState,
  STATE_KEYS,
  snapshotIndexOf,
  snapshotKey,
} from './record-format.ts'
import {
  chunksOf,
  encodeHeader,
  readChunk,
  readHeader,
  SNAPSHOT_CHUNK_BYTES,
  type SnapshotHeader,
} from './snapshot-format.ts'

/** Old entries removed with one write: compaction must not stall the loop. Each is one instruction to LMDB, about 1 µs. */
const GARBAGE_PER_WRITE = 512
/** Points of entries that were read or written last; others are read again. */
const POINT_CACHE_COUNT = 4096
const KEYS_PER_SCAN = 1024
export const DEFAULT_MAX_LOG_BYTES = 4 * 1024 ** 3

/**
 * {@link RaftStore} in one LMDB file. Each write is one transaction, durable when its promise resolves; snapshots go in chunk by chunk
 * before the transaction that makes them the newest. All is verified when the log is opened; damage that shows later throws
 * {@link DamagedLogError} from whatever read it.
 */
export class LmdbStore implements RaftStore {
  readonly #path: string
  readonly #database: LmdbDatabase
  readonly #maxBytes: number
  #state: LogState
  #snapshot: SnapshotHeader | null
  #liveBytes: number
  /** In order of use: the first is dropped first. */
  readonly #points: Map<LogIndex, LogPoint>
  /** Writers queue here: one transaction at a time. */
  #turn: Promise<void>
  #snapshotTurn: Promise<void>
  #failure: Error | null
  #isClosed: boolean
  /** What was damaged when the log was opened, and how it is made good. */
  readonly findings: readonly string[]

  private constructor(options: LmdbStoreOptions, database: LmdbDatabase, recovered: RecoveredLog) {
    this.#path = options.path
    this.#database = database
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_LOG_BYTES
    this.#state = recovered.state
    this.#snapshot = recovered.snapshot
    this.#liveBytes = recovered.liveBytes
    this.#points = new Map()
    this.#turn = Promise.resolve()
    this.#snapshotTurn = Promise.resolve()
    this.#failure = null
    this.#isClosed = false
    this.findings = recovered.findings
  }

  /**
   * Opens or creates the log, reads and verifies all of it. Rejects with {@link DamagedLogError} if vote or identity cannot be read,
   * `LogIdentityError` if it is somebody else's, {@link LogWriteError} if it cannot be created.
   */
  static async open(options: LmdbStoreOptions): Promise<LmdbStore> {
    const database = LmdbDatabase.open(options.path)
    try {
      const store = new LmdbStore(options, database, await openLog(database, options))
      await store.#removeOrphans()
      return store
    } catch (error) {
      await database.close()
      throw error
    }
  }

  get hardState(): HardState {
    return this.#state.hardState
  }

  get firstIndex(): LogIndex {
    return this.#state.base.index + 1
  }

  get lastIndex(): LogIndex {
    return this.#state.last.index
  }

  get snapshot(): SnapshotPoint | null {
    return this.#snapshot?.point ?? null
  }

  get mayVote(): boolean {
    return this.#state.lost === null
  }

  /** Bytes of the entries' data and of the newest snapshot. */
  get liveBytes(): number {
    return this.#liveBytes
  }

  pointAt(index: LogIndex): LogPoint | null {
    if (index < this.#state.base.index || index > this.#state.last.index) return null
    if (index === this.#state.base.index) return this.#state.base
    if (index === this.#state.last.index) return this.#state.last
    const known = this.#points.get(index)
    if (known !== undefined) return known
    const entry = this.#verifiedEntry(index, this.#storedChain(index - 1))
    return this.#remember(entry)
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    const entries: Entry[] = []
    if (from < this.firstIndex) return entries
    let sizeBytes = 0
    let chain = this.#storedChain(from - 1)
    for (let index = from; index < to && index <= this.lastIndex; index++) {
      const entry = this.#verifiedEntry(index, chain)
      sizeBytes += entry.data.length
      if (entries.length > 0 && sizeBytes > maxBytes) break
      entries.push(entry)
      this.#remember(entry)
      chain = entry.chain
    }
    return entries
  }

  readSnapshot(index: LogIndex, offset: number, maxBytes: number): { data: Buffer; sizeBytes: number } | null {
    const header = this.#snapshot
    if (header === null || header.point.index !== index) return null
    const end = Math.min(header.sizeBytes, offset + maxBytes)
    const parts: Buffer[] = []
    for (let position = Math.max(0, offset); position < end; ) {
      const number = Math.floor(position / header.chunkBytes)
      const chunk = readChunk(this.#database, header, number)
      if (chunk === null) throw this.#damage(`the snapshot at ${index}, chunk ${number}`)
      const start = number * header.chunkBytes
      parts.push(chunk.subarray(position - start, end - start))
      position = start + header.chunkBytes
    }
    return { data: parts.length === 1 ? parts[0]! : Buffer.concat(parts), sizeBytes: header.sizeBytes }
  }

  async write(batch: StoreBatch): Promise<void> {
    const snapshot = batch.snapshot
    if (snapshot === null) return this.#exclusively(() => this.#commitBatch(batch, null))
    await this.#oneSnapshot(async () => {
      const isNewer = snapshot.point.index > this.#state.snapshotIndex
      const staged = isNewer ? await this.#stageSnapshot(snapshot.point, snapshot.data) : null
      await this.#exclusively(() => this.#commitBatch(batch, staged))
    })
  }

  async saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): Promise<void> {
    await this.#oneSnapshot(async () => {
      // A received one may have come first.
      if (point.index <= this.#state.snapshotIndex) return
      const header = await this.#stageSnapshot(point, data)
      await this.#exclusively(() => this.#publishSnapshot(header, keepFrom))
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#snapshotTurn
    await this.#turn
    await this.#database.close()
  }

  /** `staged`: of the batch's snapshot, if that is to be the newest. */
  async #commitBatch(batch: StoreBatch, staged: SnapshotHeader | null): Promise<void> {
    const before = this.#state
    const change = new ChangeDraft()
    let { base, last } = before
    let header = this.#snapshot
    if (staged !== null && staged.point.index > before.snapshotIndex) {
      const { point } = staged
      header = staged
      this.#putSnapshot(header, [before.snapshotIndex, before.previousSnapshotIndex], change)
      const goesOn = this.pointAt(point.index)?.chain.equals(point.chain) === true
      base = { index: point.index, term: point.term, chain: point.chain }
      if (!goesOn) {
        this.#removeEntries(point.index + 1, last.index + 1, change)
        last = base
      }
    }
    if (batch.truncateFrom !== null && batch.truncateFrom <= last.index) {
      const from = batch.truncateFrom
      assert(from > base.index, 'the log is truncated after its start only')
      this.#removeEntries(from, last.index + 1, change)
      last = from - 1 === base.index ? base : this.pointAt(from - 1)!
    }
    for (const entry of batch.entries) {
      assert(entry.index === last.index + 1, 'entries are written in order, without a gap')
      change.put(entryKey(entry.index), encodeEntry(entry), entry.data.length)
      last = { index: entry.index, term: entry.term, chain: Buffer.from(entry.chain) }
    }
    const hardState = batch.hardState ?? before.hardState
    assert(hardState.term >= before.hardState.term, 'terms do not go back')
    const installs = header !== this.#snapshot
    await this.#commit(change, {
      ...before,
      hardState,
      base,
      last,
      snapshotIndex: installs ? base.index : before.snapshotIndex,
      previousSnapshotIndex: installs ? 0 : before.previousSnapshotIndex,
      lost: before.lost !== null && isAsNewAs(last, before.lost) ? null : before.lost,
    })
    this.#snapshot = header
    if (installs || batch.truncateFrom !== null) this.#points.clear()
    for (const entry of batch.entries) this.#remember(entry)
  }

  async #publishSnapshot(header: SnapshotHeader, keepFrom: LogIndex): Promise<void> {
    const before = this.#state
    const index = header.point.index
    assert(index <= before.last.index, 'a snapshot is of what the log holds')
    const change = new ChangeDraft()
    this.#putSnapshot(header, [before.previousSnapshotIndex], change)
    // The log reaches back to the previous snapshot: should the newest rot, that one and the log replace it.
    const first = Math.max(before.base.index + 1, Math.min(keepFrom, before.snapshotIndex + 1, index + 1))
    await this.#commit(change, {
      ...before,
      base: this.pointAt(first - 1)!,
      snapshotIndex: index,
      previousSnapshotIndex: before.snapshotIndex,
    })
    this.#snapshot = header
  }

  /**
   * Writes the chunks, which nothing refers to before the transaction that publishes the header. Each is hashed just before: hashing all at
   * once would hold up the loop for so long that a leader loses its term.
   */
  async #stageSnapshot(point: SnapshotPoint, data: Buffer): Promise<SnapshotHeader> {
    const checksums: Buffer[] = []
    if (this.#liveBytes + data.length > this.#maxBytes) throw this.#fail(this.#sizeError())
    let number = 1
    for (const chunk of chunksOf(data)) {
      const key = snapshotKey(point.index, number++)
      checksums.push(checksumOf('chunk', chunk))
      await this.#exclusively(() => this.#commitRaw({ puts: [[key, chunk]], removes: [] }))
    }
    return { point, sizeBytes: data.length, chunkBytes: SNAPSHOT_CHUNK_BYTES, checksums }
  }

  async #commit(change: ChangeDraft, state: LogState): Promise<void> {
    // Entries before the start of the log as it is read now: readers of this moment need none of them, whatever becomes of this write.
    const start = entryKey(this.#state.base.index + 1)
    for (const key of this.#database.keys(entryKey(0), start, GARBAGE_PER_WRITE)) this.#removeEntry(key, change)
    const next: LogState = { ...state, sequence: this.#state.sequence + 1 }
    const record = encodeState(next)
    for (const key of STATE_KEYS) change.put(key, record, 0)
    const liveBytes = Math.max(0, this.#liveBytes + change.grownBytes)
    if (liveBytes > this.#maxBytes) throw this.#fail(this.#sizeError())
    await this.#commitRaw(change)
    this.#state = next
    this.#liveBytes = liveBytes
  }

  async #commitRaw(change: DatabaseChange): Promise<void> {
    try {
      await this.#database.commit(change)
    } catch (error) {
      throw this.#fail(error as Error)
    }
  }

  /** Snapshots are staged one after another: two of the same index must not mix their chunks. */
  #oneSnapshot(run: () => Promise<void>): Promise<void> {
    const result = this.#snapshotTurn.then(run)
    this.#snapshotTurn = settled(result)
    return result
  }

  /** Runs writers one after another, in the order of their calls; none after a failure. */
  #exclusively<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#failure !== null) throw this.#failure
      assert(!this.#isClosed, 'the log is open')
      return run()
    })
    this.#turn = settled(result)
    return result
  }

  #fail(error: Error): Error {
    this.#failure ??= error
    return this.#failure
  }

  #sizeError(): LogWriteError {
    return new LogWriteError(
      'LOG_SIZE_LIMIT',
      `The quorum log ${this.#path} would pass ${this.#maxBytes} bytes. Raise the limit, and see why no snapshots are taken`,
    )
  }

  #putSnapshot(header: SnapshotHeader, gone: readonly LogIndex[], change: ChangeDraft): void {
    change.put(snapshotKey(header.point.index, 0), encodeHeader(header), header.sizeBytes)
    for (const index of gone) {
      if (index === 0) continue
      change.grownBytes -= readHeader(this.#database, index)?.sizeBytes ?? 0
      change.removes.push(...this.#snapshotKeys(index))
    }
  }

  #removeEntries(from: LogIndex, to: LogIndex, change: ChangeDraft): void {
    for (let index = from; index < to; index++) this.#removeEntry(entryKey(index), change)
  }

  #removeEntry(key: Buffer, change: ChangeDraft): void {
    change.removes.push(key)
    change.grownBytes -= Math.max(0, (this.#database.get(key)?.length ?? 0) - ENTRY_HEADER_BYTES)
  }

  #snapshotKeys(index: LogIndex): Buffer[] {
    const header = readHeader(this.#database, index)
    const count = header === null ? KEYS_PER_SCAN : header.checksums.length + 1
    return this.#database.keys(snapshotKey(index, 0), snapshotKey(index + 1, 0), count)
  }

  /** Chunks of snapshots that were never published, or that a damaged header no longer names. */
  async #removeOrphans(): Promise<void> {
    const { snapshotIndex, previousSnapshotIndex } = this.#state
    const end = snapshotKey(Number.MAX_SAFE_INTEGER, 0)
    let start = snapshotKey(0, 0)
    for (;;) {
      const keys = this.#database.keys(start, end, KEYS_PER_SCAN)
      const orphans = keys.filter((key) => {
        const index = snapshotIndexOf(key)
        return index !== snapshotIndex && index !== previousSnapshotIndex
      })
      if (orphans.length > 0) await this.#commitRaw({ puts: [], removes: orphans })
      if (keys.length < KEYS_PER_SCAN) return
      start = Buffer.concat([keys.at(-1)!, Buffer.from([0])])
    }
  }

  /** Chain of `[firstIndex - 1, lastIndex]` as it is stored; what follows shows whether it is right. */
  #storedChain(index: LogIndex): Buffer {
    if (index === this.#state.base.index) return this.#state.base.chain
    const known = this.#points.get(index)
    if (known !== undefined) return known.chain
    const value = this.#database.get(entryKey(index))
    const stored = value === null ? null : decodeEntry(value)
    if (stored === null) throw this.#damage(`the entry at ${index}`)
    return stored.chain
  }

  #verifiedEntry(index: LogIndex, previousChain: Buffer): Entry {
    const entry = readEntry(this.#database, index, previousChain)
    if (entry === null) throw this.#damage(`the entry at ${index}`)
    return entry
  }

  #remember(entry: { readonly index: LogIndex; readonly term: Term; readonly chain: Buffer }): LogPoint {
    const point: LogPoint = { index: entry.index, term: entry.term, chain: Buffer.from(entry.chain) }
    this.#points.delete(point.index)
    this.#points.set(point.index, point)
    if (this.#points.size > POINT_CACHE_COUNT) this.#points.delete(this.#points.keys().next().value!)
    return point
  }

  #damage(what: string): DamagedLogError {
    return new DamagedLogError(
      `The quorum log is damaged: ${what} is not what was written`,
      this.#path,
      'Restart the node: it will fetch what it lost from the other voters if they have it',
    )
  }
}

/** The records that one transaction changes. Removes come first, so that a put to the same key stays. */
class ChangeDraft implements DatabaseChange {
  readonly puts: (readonly [Buffer, Buffer])[] = []
  readonly removes: Buffer[] = []
  /** By how much the bytes of entries and snapshots grow. */
  grownBytes = 0

  put(key: Buffer, value: Buffer, sizeBytes: number): void {
    this.puts.push([key, value])
    this.grownBytes += sizeBytes
  }
}

/** Resolves once `result` is settled; whoever has `result` handles its error. */
function settled(result: Promise<unknown>): Promise<void> {
  return result.then(
    () => undefined,
    () => undefined,
  )
}
