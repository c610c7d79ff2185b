import type { LeaderEpoch, Offset } from '@millrace/base'
import { STAMPED_BYTES, stampBatch } from './batch-stamp.ts'
import type { LogCore, LogHome } from './log-core.ts'
import type { Segment } from './segment.ts'
import { maybeExtend, WriteRate, zeroTail } from './segment-extension.ts'
import { STAGING_BYTES_MAX } from './staging-pool.ts'
import type { StorageContext } from './storage-context.ts'

/** From this size on a batch goes to the file at once: copying it first costs more than sharing a write call saves. */
const DIRECT_WRITE_BYTES = 48 * 1024

/**
 * Brings a log's appends to its files: staged in memory within a turn of the loop, written in one call when it ends, synced after
 * that. Methods that write throw `DiskError`; what was staged is then still staged.
 */
export class LogWriter {
  readonly #context: StorageContext
  readonly #home: LogHome
  readonly #log: LogCore
  readonly #rate: WriteRate
  readonly #stamp: Buffer
  #staging: Buffer | null
  #stagedBytes: number
  /** In the list of logs to flush when the turn ends. */
  #isDirty: boolean
  /** Segments written to since their last sync began, oldest first. */
  readonly #unsynced: Segment[]
  /** Written since the log was opened. */
  totalBytes: number
  /** The names of the partition directory and of its metadata file are not durable yet. */
  #isNew: boolean

  constructor(context: StorageContext, home: LogHome, log: LogCore, isNew: boolean) {
    this.#context = context
    this.#home = home
    this.#log = log
    this.#rate = new WriteRate()
    this.#stamp = Buffer.alloc(STAMPED_BYTES)
    this.#staging = null
    this.#stagedBytes = 0
    this.#isDirty = false
    this.#unsynced = []
    this.totalBytes = 0
    this.#isNew = isNew
  }

  get hasStaged(): boolean {
    return this.#stagedBytes > 0
  }

  get needsSync(): boolean {
    return this.#unsynced.length > 0
  }

  /**
   * Takes a batch: into the staging buffer, or, if it is large, into the file together with what is staged, which returns true.
   * `stamped`: the stored copy gets base offset and leader epoch. The caller counts the batch afterwards. Hot path.
   */
  store(
    segment: Segment,
    buffer: Buffer,
    start: number,
    end: number,
    baseOffset: Offset,
    leaderEpoch: LeaderEpoch,
    stamped: boolean,
  ): boolean {
    const sizeBytes = end - start
    if (sizeBytes >= DIRECT_WRITE_BYTES) {
      this.#storeDirectly(segment, buffer, start, end, baseOffset, leaderEpoch, stamped)
      return true
    }
    const staging = this.#roomInStaging(segment, sizeBytes)
    buffer.copy(staging, this.#stagedBytes, start, end)
    if (stamped) stampBatch(staging, this.#stagedBytes, baseOffset, leaderEpoch)
    this.#stagedBytes += sizeBytes
    return false
  }

  /** The log wants to be flushed when the turn ends. */
  markDirty(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#context.dirtyLogs.push(this.#log)
  }

  onTurnEnd(): void {
    this.#isDirty = false
  }

  /** Writes what is staged to the segment that it was appended to, the active one. */
  writeStaged(segment: Segment): void {
    if (this.#stagedBytes === 0) return
    const staging = this.#staging!
    const sizeBytes = this.#stagedBytes
    const nowMs = this.#context.clock.monotonicMs()
    this.#rate.onWrite(nowMs, sizeBytes)
    this.totalBytes += sizeBytes
    this.#context.failpoint('append')
    const tail = this.#log.config.writeCaching ? null : this.#zeroTail(segment, sizeBytes)
    if (tail === null) segment.file().write(staging, 0, sizeBytes, segment.writtenBytes)
    else segment.file().writeMany([staging.subarray(0, sizeBytes), tail], segment.writtenBytes)
    this.#dropStaged()
    segment.onWritten()
    if (tail !== null) segment.fileBytes = Math.max(segment.fileBytes, segment.writtenBytes + tail.length)
    this.onWritten(segment)
  }

  /** The segment's file was written to, or cut. */
  onWritten(segment: Segment): void {
    if (!segment.hasUnsyncedBytes || !this.#unsynced.includes(segment)) this.#unsynced.push(segment)
    segment.hasUnsyncedBytes = true
    this.#context.openLogs.add(this.#log)
    if (!segment.sealed) this.#maybeExtend(segment)
  }

  /** Makes everything written so far durable. Rejects with `DiskError`. */
  async sync(): Promise<void> {
    const segments = this.#unsynced.splice(0)
    let namesChanged = false
    for (const segment of segments) {
      segment.hasUnsyncedBytes = false
      if (segment.needsDirectorySync) namesChanged = true
      segment.needsDirectorySync = false
    }
    this.#context.failpoint('sync')
    // One file nearly always; of several, all must be down before the end of the last counts.
    if (segments.length === 1) await segments[0]!.file().syncData()
    else await Promise.all(segments.map((segment) => segment.file().syncData()))
    if (namesChanged) await this.#syncNames()
  }

  /** The same on this thread. */
  syncNow(): void {
    const isNew = this.#isNew
    let namesChanged = false
    for (const segment of this.#unsynced.splice(0)) {
      segment.hasUnsyncedBytes = false
      if (segment.needsDirectorySync) namesChanged = true
      segment.needsDirectorySync = false
      segment.file().syncDataNow()
    }
    if (!namesChanged) return
    this.#context.disk.syncDirectory(this.#log.path)
    if (isNew) this.#context.disk.syncDirectory(this.#home.path)
    this.#isNew = false
  }

  /** Drops what is staged and forgets unsynced segments that are no longer the log's: it was truncated, deleted or has failed. */
  forget(isGone: (segment: Segment) => boolean): void {
    this.#dropStaged()
    for (let slot = this.#unsynced.length - 1; slot >= 0; slot--) {
      if (isGone(this.#unsynced[slot]!)) this.#unsynced.splice(slot, 1)
    }
  }

  async #syncNames(): Promise<void> {
    await this.#context.disk.syncDirectoryAsync(this.#log.path)
    if (!this.#isNew) return
    await this.#context.disk.syncDirectoryAsync(this.#home.path)
    this.#isNew = false
  }

  #storeDirectly(
    segment: Segment,
    buffer: Buffer,
    start: number,
    end: number,
    baseOffset: Offset,
    leaderEpoch: LeaderEpoch,
    stamped: boolean,
  ): void {
    const parts: Buffer[] = []
    if (this.#stagedBytes > 0) parts.push(this.#staging!.subarray(0, this.#stagedBytes))
    if (stamped) {
      buffer.copy(this.#stamp, 0, start, start + STAMPED_BYTES)
      stampBatch(this.#stamp, 0, baseOffset, leaderEpoch)
      parts.push(this.#stamp, buffer.subarray(start + STAMPED_BYTES, end))
    } else {
      parts.push(buffer.subarray(start, end))
    }
    this.#rate.onWrite(this.#context.clock.monotonicMs(), end - start + this.#stagedBytes)
    this.totalBytes += end - start + this.#stagedBytes
    this.#context.failpoint('append')
    segment.file().writeMany(parts, segment.writtenBytes)
    this.#dropStaged()
  }

  #roomInStaging(segment: Segment, sizeBytes: number): Buffer {
    const neededBytes = this.#stagedBytes + sizeBytes
    if (this.#staging !== null && neededBytes <= this.#staging.length) return this.#staging
    if (neededBytes > STAGING_BYTES_MAX) {
      this.writeStaged(segment)
      return this.#roomInStaging(segment, sizeBytes)
    }
    const larger = this.#context.staging.take(neededBytes)
    if (this.#staging !== null) {
      this.#staging.copy(larger, 0, 0, this.#stagedBytes)
      this.#context.staging.give(this.#staging)
    }
    this.#staging = larger
    return larger
  }

  #dropStaged(): void {
    if (this.#staging !== null) this.#context.staging.give(this.#staging)
    this.#staging = null
    this.#stagedBytes = 0
  }

  #zeroTail(segment: Segment, writeBytes: number): Buffer | null {
    return zeroTail(segment, writeBytes, this.#rate, this.#log.config.segmentBytes)
  }

  #maybeExtend(segment: Segment): void {
    if (this.#home.isFull) return
    maybeExtend(segment, this.#rate, this.#log.config.segmentBytes, (error) => this.#home.onDiskError(error))
  }
}
