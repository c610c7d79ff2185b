import { type DiskFile, type LeaderEpoch, type Offset, ZERO_UUID } from '@millrace/base'
import { STAMPED_BYTES, stampBatch } from './batch-stamp.ts'
import { PARTITION_METADATA_FILE } from './file-names.ts'
import type { LogCore, LogHome } from './log-core.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import type { Segment } from './segment.ts'
import { maybeExtend, WriteRate, zeroTail } from './segment-extension.ts'
import { isTemporary, settleAll } from './settle-all.ts'
import { STAGING_BYTES_MAX } from './staging-pool.ts'
import type { StorageContext } from './storage-context.ts'

/**
 * From this size on a batch goes to the file at once. Below, copying it into the staging buffer saves more than it costs, if others
 * follow in the same turn: a write that does not start at a page boundary gets small folios, so one call of 512 KiB takes half the CPU
 * time of eight of 64 KiB (docs/adr/0002).
 */
const DIRECT_WRITE_BYTES = 256 * 1024
/** The same while a turn brings the log one batch only. */
const LONE_DIRECT_WRITE_BYTES = 32 * 1024
/** Segments of one log that are synced at a time: recovery may find more of them unsynced than files may be open. */
const SYNCED_AT_ONCE = 4

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
  /** Batches of this turn and of the last one. */
  #turnCount: number
  #lastTurnCount: number
  /** In the list of logs to flush when the turn ends. */
  #isDirty: boolean
  /** Segments written to since their last sync began, or whose sync was put off; oldest first. */
  readonly #unsynced: Segment[]
  /** Written since the log was opened. */
  totalBytes: number
  /** The directory's name and metadata were never synced: the first sync of data does that before any of it counts. */
  #namesUnsynced: boolean
  /** Data was synced whose names were not: it counts for nothing before they are. */
  #namesDue: boolean
  /** See `LogParts.filesUnsettled`. The first sync settles them, before any of it counts: a name that comes back would take its place. */
  #filesUnsettled: boolean

  constructor(context: StorageContext, home: LogHome, log: LogCore, namesUnsynced: boolean, filesUnsettled: boolean) {
    this.#context = context
    this.#home = home
    this.#log = log
    this.#rate = new WriteRate()
    this.#stamp = Buffer.alloc(STAMPED_BYTES)
    this.#staging = null
    this.#stagedBytes = 0
    this.#turnCount = 0
    this.#lastTurnCount = 0
    this.#isDirty = false
    this.#unsynced = []
    this.totalBytes = 0
    this.#namesUnsynced = namesUnsynced
    this.#namesDue = false
    this.#filesUnsettled = filesUnsettled
  }

  get hasStaged(): boolean {
    return this.#stagedBytes > 0
  }

  get needsSync(): boolean {
    return this.#unsynced.length > 0 || this.#namesDue
  }

  /** See `LogCore.isUnsettled`. */
  get isUnsettled(): boolean {
    return this.#filesUnsettled || this.#log.segments.all.some(hasUnsyncedName)
  }

  /** A start found them, and no sync has settled them: some of their names may be in memory only. */
  get areFoundFilesUnsettled(): boolean {
    return this.#filesUnsettled
  }

  /** Has the next sync settle the files, although nothing was written. Of what was found, the end of the last one only is not known. */
  settleFiles(): void {
    if (!this.isUnsettled) return
    this.#namesDue = true
    const { all, active } = this.#log.segments
    for (const segment of all) {
      const isFound = this.#filesUnsettled && segment === active && segment.exists
      if (isFound || hasUnsyncedName(segment)) this.onWritten(segment)
    }
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
    const isLone = this.#lastTurnCount <= 1 && this.#turnCount === 0
    this.#turnCount++
    if (sizeBytes >= (isLone ? LONE_DIRECT_WRITE_BYTES : DIRECT_WRITE_BYTES)) {
      this.#storeDirectly(segment, buffer, start, end, baseOffset, leaderEpoch, stamped)
      return true
    }
    // Now, when the append can still be refused for want of a descriptor: what is staged is going to be written.
    segment.file()
    this.#dropUncounted(segment)
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
    this.#lastTurnCount = this.#turnCount
    this.#turnCount = 0
  }

  /** Writes what is staged to the segment that it was appended to, the active one. */
  writeStaged(segment: Segment): void {
    this.#dropUncounted(segment)
    if (this.#stagedBytes === 0) return
    const staging = this.#staging!
    const sizeBytes = this.#stagedBytes
    const nowMs = this.#context.clock.monotonicMs()
    this.#rate.onWrite(nowMs, sizeBytes)
    this.#context.failpoint('append')
    const tail = this.#log.config.writeCaching ? null : this.#zeroTail(segment, sizeBytes)
    if (tail === null) segment.file().write(staging, 0, sizeBytes, segment.writtenBytes)
    else segment.file().writeMany([staging.subarray(0, sizeBytes), tail], segment.writtenBytes)
    this.totalBytes += sizeBytes
    this.dropStaged()
    segment.onWritten()
    if (tail !== null) segment.fileBytes = Math.max(segment.fileBytes, segment.writtenBytes + tail.length)
    this.onWritten(segment)
    this.extendAhead(segment)
  }

  /** The segment's file was written to, or cut. */
  onWritten(segment: Segment): void {
    if (!segment.hasUnsyncedBytes || !this.#unsynced.includes(segment)) this.#unsynced.push(segment)
    segment.hasUnsyncedBytes = true
    this.#context.openLogs.add(this.#log)
  }

  /**
   * Makes everything written so far durable. Rejects with `DiskError`; for want of a descriptor (EMFILE) it may be tried again, and goes on
   * with what was not synced. Any other error is final, also where something else found no descriptor.
   */
  async sync(): Promise<void> {
    if (this.#filesUnsettled) this.settleFiles()
    const segments = this.#unsynced.splice(0)
    let syncedCount = 0
    try {
      this.#context.failpoint('sync')
      // One file nearly always; of several, all must be down before the end of the last counts.
      while (syncedCount < segments.length) {
        if (segments.length === 1) await this.#syncSegment(segments[0]!)
        else {
          const next = segments.slice(syncedCount, syncedCount + SYNCED_AT_ONCE)
          await settleAll(next, (segment) => this.#syncSegment(segment))
        }
        syncedCount += SYNCED_AT_ONCE
      }
      if (this.#namesDue || this.#namesUnsynced) await this.#syncNames()
    } catch (error) {
      if (isTemporary(error)) this.#putBack(segments.slice(syncedCount))
      throw error
    }
  }

  /** What is noted of the segment changes once its file is open: until then it has bytes that no sync covers, and stays open if it is. */
  #syncSegment(segment: Segment): Promise<void> {
    // Taken from the log while others were synced: its file may be gone.
    if (!this.#log.segments.all.includes(segment)) return Promise.resolve()
    const synced = segment.sync()
    segment.hasUnsyncedBytes = false
    if (segment.needsDirectorySync) this.#namesDue = true
    segment.needsDirectorySync = false
    return synced
  }

  /** The next sync begins with them. */
  #putBack(segments: readonly Segment[]): void {
    const { all } = this.#log.segments
    const left = segments.filter((segment) => all.includes(segment) && !this.#unsynced.includes(segment))
    for (const segment of left) segment.hasUnsyncedBytes = true
    this.#unsynced.unshift(...left)
  }

  /** The whole file system was synced since the last write. */
  onSyncedAll(): void {
    for (const segment of this.#unsynced.splice(0)) segment.hasUnsyncedBytes = false
    for (const segment of this.#log.segments.all) segment.needsDirectorySync = false
    this.#namesUnsynced = false
    this.#namesDue = false
    this.#filesUnsettled = false
  }

  /** Forgets unsynced segments that are no longer the log's. */
  forget(segments: readonly Segment[]): void {
    for (let slot = this.#unsynced.length - 1; slot >= 0; slot--) {
      if (segments.includes(this.#unsynced[slot]!)) this.#unsynced.splice(slot, 1)
    }
  }

  /** What was staged and then not counted, since its append failed after all, is not the log's: the next batch takes its place. */
  #dropUncounted({ sizeBytes, writtenBytes }: Segment): void {
    if (this.#stagedBytes > sizeBytes - writtenBytes) this.#stagedBytes = sizeBytes - writtenBytes
  }

  /** Gives up what is staged: the log starts anew. */
  dropStaged(): void {
    if (this.#staging !== null) this.#context.staging.give(this.#staging)
    this.#staging = null
    this.#stagedBytes = 0
  }

  /** The names of its directory and metadata outlive a crash. */
  get hasDurableNames(): boolean {
    return !this.#namesUnsynced
  }

  /** Has the next sync make the log's names durable, although nothing was written. */
  settleNames(): void {
    if (this.#namesUnsynced) this.#namesDue = true
  }

  /** Its directory got another name: nothing more of the log counts as durable before that name is. */
  onRenamed(): void {
    this.#namesUnsynced = true
    this.#namesDue = true
  }

  /** Gives up everything: the log was deleted, or its directory failed. */
  close(): void {
    this.dropStaged()
    this.#unsynced.length = 0
    this.#namesDue = false
  }

  /** Makes the names of the log's files durable, on this thread. */
  syncNamesNow(): void {
    const { disk } = this.#context
    const metadata = this.#namesUnsynced ? this.#rewriteMetadata() : null
    try {
      metadata?.syncDataNow()
    } finally {
      metadata?.close()
    }
    disk.syncDirectory(this.#log.path)
    for (const segment of this.#log.segments.all) segment.needsDirectorySync = false
    if (this.#namesUnsynced) disk.syncDirectory(this.#home.path)
    this.#namesUnsynced = false
    this.#namesDue = false
  }

  async #syncNames(): Promise<void> {
    // Deleted meanwhile: another log may live in a directory of this name now.
    if (this.#log.failed) return
    const { disk } = this.#context
    const { path } = this.#log
    const wasUnsynced = this.#namesUnsynced
    // Until it has succeeded as a whole: what has been synced so far waits for it.
    this.#namesDue = true
    const metadata = wasUnsynced ? this.#rewriteMetadata() : null
    try {
      await metadata?.syncData()
    } finally {
      metadata?.close()
    }
    if (this.#filesUnsettled) await this.#log.epochs.syncFound()
    await disk.syncDirectoryAsync(path)
    if (wasUnsynced) await disk.syncDirectoryAsync(this.#home.path)
    this.#namesUnsynced = false
    this.#namesDue = false
    this.#filesUnsettled = false
  }

  /**
   * Written once more, on the descriptor that is synced: a failed write-back of what another descriptor wrote might go unnoticed, and
   * keeping that one open would cost a descriptor for each empty partition.
   */
  #rewriteMetadata(): DiskFile | null {
    const { path, topicId } = this.#log
    if (topicId === ZERO_UUID) return null
    const file = this.#context.disk.openFile(`${path}/${PARTITION_METADATA_FILE}`, { create: true })
    try {
      const contents = metadataToWrite(file, encodePartitionMetadata(topicId))
      file.write(contents, 0, contents.length, 0)
    } catch (error) {
      file.close()
      throw error
    }
    return file
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
    this.#dropUncounted(segment)
    if (this.#stagedBytes > 0) parts.push(this.#staging!.subarray(0, this.#stagedBytes))
    if (stamped) {
      buffer.copy(this.#stamp, 0, start, start + STAMPED_BYTES)
      stampBatch(this.#stamp, 0, baseOffset, leaderEpoch)
      parts.push(this.#stamp, buffer.subarray(start + STAMPED_BYTES, end))
    } else {
      parts.push(buffer.subarray(start, end))
    }
    const sizeBytes = end - start + this.#stagedBytes
    this.#rate.onWrite(this.#context.clock.monotonicMs(), sizeBytes)
    this.#context.failpoint('append')
    segment.file().writeMany(parts, segment.writtenBytes)
    this.totalBytes += sizeBytes
    this.dropStaged()
  }

  #roomInStaging(segment: Segment, sizeBytes: number): Buffer {
    const neededBytes = this.#stagedBytes + sizeBytes
    if (this.#staging !== null && neededBytes <= this.#staging.length) return this.#staging
    if (neededBytes > STAGING_BYTES_MAX) {
      // By way of the log, which counts what is in its file: a sync may begin before the turn ends.
      this.#log.writeStaged()
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

  #zeroTail(segment: Segment, writeBytes: number): Buffer | null {
    return zeroTail(segment, writeBytes, this.#rate, this.#log.config.segmentBytes)
  }

  /** Grows the file of a segment that gets appends. Not part of {@link onWritten}: cutting the tail of a log that closes grew another. */
  extendAhead(segment: Segment): void {
    if (segment.sealed) return
    if (this.#home.isFull) return
    maybeExtend(
      segment,
      this.#rate,
      this.#log.config.segmentBytes,
      () => this.#onTailCut(segment),
      (error) => this.#home.onDiskError(error),
    )
  }

  #onTailCut(segment: Segment): void {
    if (this.#log.failed) return
    this.onWritten(segment)
    if (!this.#log.config.writeCaching) this.#home.scheduleSync(this.#log)
  }
}

function hasUnsyncedName({ exists, needsDirectorySync }: Segment): boolean {
  return exists && needsDirectorySync
}

/** That of a later version may be longer: ours at its start would leave something that nobody can read, so it is written as it is. */
function metadataToWrite(file: DiskFile, encoded: Buffer): Buffer {
  const sizeBytes = file.sizeBytes()
  if (sizeBytes <= encoded.length) return encoded
  const contents = Buffer.alloc(sizeBytes)
  return contents.subarray(0, file.read(contents, 0, sizeBytes, 0))
}
