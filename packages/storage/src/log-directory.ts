import { type Disk, DiskError, type FileSystem, type Offset, type Timer, type Uuid } from '@millrace/base'
import { DurableMark } from './durable-mark.ts'
import { fingerprintOfAll, fingerprintOfClosed } from './fingerprint.ts'
import { GroupCommit } from './group-commit.ts'
import type { LogCore, LogHome } from './log-core.ts'
import { markIdOf } from './log-identities.ts'
import { type MovedReplica, MovedReplicas } from './moved-replicas.ts'
import { type CheckpointHome, OffsetCheckpoints } from './offset-checkpoints.ts'
import { isOutOfDescriptors } from './open-segments.ts'
import type { StorageContext } from './storage-context.ts'
import { StrayFiles } from './stray-files.ts'
import type { CorruptFileError } from './text-checkpoint.ts'

/**
 * Syncs of one directory at a time while few logs wait, where the pool has so many threads for them: enough to keep a disk busy, few enough
 * that each covers many appends. Eight producers that commit transactions, on 16 logs, end 1.5 to 2.6 times as many with three as with two
 * (the disk's queue takes what is flushed together for one flush), and a producer to eight partitions sends a fifth more for less CPU.
 */
const SYNC_CONCURRENCY = 3
const SYNC_CONCURRENCY_MIN = 2
/** Durable marks are written this long after the first commit they name, and synced this long after that. */
const MARK_WRITE_MS = 25
const MARK_SYNC_MS = 1000
/**
 * Once a write has found no space appends are refused until this much is free, or a tenth of the disk if that is less: enough for the files
 * that recovery needs, and as much again, so that a directory near full does not refuse and accept in turn.
 */
const SPACE_WANTED_BYTES_MAX = 128 << 20
const SPACE_CHECK_MS = 1000
/** After which is tried again what found no descriptor. */
const PUT_OFF_MS = 100
/** As `DiskError` names what makes writes durable. */
const SYNC_OPERATIONS: ReadonlySet<string> = new Set(['sync', 'sync directory', 'sync all'])

/** One log directory that is online: its logs, their group commit, durable mark and checkpoints, and what happens when it fails. */
export class LogDirectory implements LogHome, CheckpointHome {
  readonly path: string
  readonly id: Uuid
  readonly mark: DurableMark
  /** Future ones included. */
  readonly logs: Set<LogCore>
  readonly strays: StrayFiles
  /** Broker epoch that the clean stop before this start named, -1 for none; null where the directory was not stopped cleanly. */
  foundStopEpoch: number | null
  /** By their names, directories with segments that the start did not load, since nobody can tell whose they are, and why not. */
  readonly leftOut: Map<string, CorruptFileError>
  /** Logs of it whose place others have taken, elsewhere. */
  readonly moved: MovedReplicas
  readonly checkpoints: OffsetCheckpoints
  online: boolean
  /** Too little space is left: appends are refused until there is more. */
  isFull: boolean
  /** Watermarks, log starts or recovery points changed since the checkpoints were written. */
  offsetsChanged: boolean
  readonly #context: StorageContext
  /** Null where the disk cannot sync all of it at once. */
  readonly #fileSystem: FileSystem | null
  readonly #commit: GroupCommit
  readonly #onFailed: (error: DiskError) => void
  #markWriteTimer: Timer | null
  #markSyncTimer: Timer | null
  #spaceTimer: Timer | null
  /** Logs whose writes or syncs found no descriptor, and when they are tried again. */
  readonly #putOff: Set<LogCore>
  #putOffTimer: Timer | null

  /** `moved`: what the directory's `moved-replicas` says. */
  constructor(
    context: StorageContext,
    path: string,
    id: Uuid,
    moved: readonly MovedReplica[],
    onFailed: (error: DiskError) => void,
  ) {
    this.path = path
    this.id = id
    this.mark = new DurableMark(context.disk, path)
    if (this.mark.damage !== null) {
      const details = { directory: path, damage: this.mark.damage }
      context.logger.warn('durable mark is damaged, logs that it does not tell of are walked', details)
    }
    this.logs = new Set()
    this.strays = new StrayFiles(context.disk)
    this.foundStopEpoch = null
    this.leftOut = new Map()
    this.moved = new MovedReplicas(context.disk, path, moved)
    this.checkpoints = new OffsetCheckpoints(context, this)
    this.online = true
    this.isFull = false
    this.offsetsChanged = false
    this.#context = context
    this.#fileSystem = context.disk.openFileSystem(path)
    const concurrency = Math.max(SYNC_CONCURRENCY_MIN, Math.min(SYNC_CONCURRENCY, context.syncThreadCount))
    this.#commit = new GroupCommit(concurrency, context.syncThreadCount, (error) => this.fail(error))
    this.#onFailed = onFailed
    this.#markWriteTimer = null
    this.#markSyncTimer = null
    this.#spaceTimer = null
    this.#putOff = new Set()
    this.#putOffTimer = null
  }

  get disk(): Disk {
    return this.#context.disk
  }

  /** What the log has written will be synced soon. */
  scheduleSync(log: LogCore): void {
    if (this.online && log.needsSync) this.#commit.schedule(log)
  }

  onPutOff(log: LogCore, error: DiskError): void {
    this.onDiskError(error)
    if (!this.online) return
    this.#putOff.add(log)
    this.#putOffTimer ??= this.#context.timers.setTimer(PUT_OFF_MS, () => this.#retryPutOff())
  }

  #retryPutOff(): void {
    this.#putOffTimer = null
    const logs = [...this.#putOff]
    this.#putOff.clear()
    for (const log of logs) if (!log.failed) log.retry()
    this.#context.flushSoon()
  }

  /** A sync of the log ended: everything below `offset`, which ends at `positionBytes` of a segment, is durable. */
  onSynced(log: LogCore, offset: Offset, segmentBaseOffset: Offset, positionBytes: number): void {
    if (offset <= log.durableOffset) return
    log.durableOffset = offset
    this.mark.note(markIdOf(log.topic, log.topicId), log.partition, offset, segmentBaseOffset, positionBytes)
    this.#writeMarkSoon()
    log.onDurable()
  }

  onCheckpointed(log: LogCore, recoveryPoint: Offset): void {
    this.#noteRecoveryPoint(log, recoveryPoint)
    log.recoveryPoint = recoveryPoint
    this.offsetsChanged = true
    this.#writeMarkSoon()
  }

  syncedRecoveryPoint(log: LogCore): Offset {
    return this.mark.syncedRecoveryPoint(markIdOf(log.topic, log.topicId), log.partition)
  }

  /** Part of a clean stop: makes all that these logs have durable at once, where the disk can. A failure takes the directory offline. */
  async syncAll(logs: readonly LogCore[]): Promise<void> {
    if (this.#fileSystem === null) return
    this.#commit.clear()
    await this.whenSynced()
    for (const log of logs) await log.whenQuiet()
    if (!this.online) return
    const settled = logs.filter((log) => log.settle())
    try {
      await this.#fileSystem.syncAll()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.fail(error)
      return
    }
    for (const log of settled) log.onSyncedAll()
  }

  /** Part of a clean stop: the log ends exactly here. */
  markClean(log: LogCore): void {
    const { active } = log.segments
    this.mark.note(
      markIdOf(log.topic, log.topicId),
      log.partition,
      log.durableOffset,
      active.baseOffset,
      active.writtenBytes,
    )
    // Of an empty log there is no file, and the next start finds no segment.
    const segments = log.segments.all.filter(({ exists }) => exists)
    const fingerprint = fingerprintOfAll(this.disk, log.path, segments, log.epochs.fileChecksum)
    this.mark.noteClean(markIdOf(log.topic, log.topicId), log.partition, log.producerStates.isKnownEmpty, fingerprint)
  }

  /** Before a truncation: neither mark nor recovery point may name what is about to go. Throws `DiskError`. */
  lowerMark(log: LogCore, offset: Offset, segmentBaseOffset: Offset, positionBytes: number): void {
    // What may find no descriptor comes first: a mark that was lowered although nothing went would take damage for a torn tail.
    const fingerprint = fingerprintOfClosed(log.segments.all, offset)
    this.checkpoints.lower(log, offset)
    this.mark.lowerNow(
      markIdOf(log.topic, log.topicId),
      log.partition,
      offset,
      segmentBaseOffset,
      positionBytes,
      fingerprint,
    )
  }

  /** A log was made. Throws `DiskError`. */
  onCreated(log: LogCore): void {
    this.logs.add(log)
    this.checkpoints.onCreated(log)
  }

  onLogStartLowered(): void {
    this.checkpoints.onLogStartLowered()
  }

  onEmptied(log: LogCore, offset: Offset): void {
    try {
      // At once: until the mark knows, recovery would take the log for one that lost its head.
      this.mark.note(markIdOf(log.topic, log.topicId), log.partition, offset, offset, 0)
      this.#noteRecoveryPoint(log, log.recoveryPoint)
      this.mark.syncNow()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.fail(error)
      return
    }
    this.onSynced(log, offset, offset, 0)
  }

  async beforeRemoval(log: LogCore): Promise<void> {
    this.#noteRecoveryPoint(log, log.recoveryPoint)
    await this.mark.sync()
  }

  beforeRemovalNow(log: LogCore): void {
    this.#noteRecoveryPoint(log, log.recoveryPoint)
    this.mark.syncNow()
  }

  onOffsetsChanged(): void {
    this.offsetsChanged = true
  }

  /**
   * A full disk refuses appends for a while, and want of a descriptor what needs one; everything else is final for the directory. So is a
   * sync that found no space: the system tells of lost writes once, and takes the pages for clean from then on, so that the next sync
   * would succeed over what is lost (S7). One without a descriptor was not even tried.
   */
  onDiskError(error: DiskError): void {
    if (isOutOfDescriptors(error)) this.#context.openSegments.onRefused(error)
    else if (error.code === 'DISK_FULL' && !SYNC_OPERATIONS.has(error.operation)) this.#onFull(error)
    else this.fail(error)
  }

  /** Takes the directory offline for good: its logs answer KAFKA_STORAGE_ERROR, nothing of it is written or synced again (S7). */
  fail(error: DiskError): void {
    if (!this.online) return
    this.online = false
    this.#commit.stop()
    this.#stopTimers()
    this.#context.logger.error('log directory failed', { directory: this.path, error: error.message })
    for (const log of this.logs) log.fail()
    this.#onFailed(error)
  }

  /** Resolves when no sync is queued or running. */
  whenSynced(): Promise<void> {
    return this.#commit.whenIdle()
  }

  /** Stops timers and closes the mark. */
  close(): void {
    this.#stopTimers()
    this.#commit.stop()
    this.mark.close()
    this.#fileSystem?.close()
  }

  #onFull(error: DiskError): void {
    if (this.isFull || !this.online) return
    this.isFull = true
    this.#context.logger.error('no space left, appends are refused until there is', {
      directory: this.path,
      error: error.message,
      ...this.#spaceNow(),
    })
    if (!this.online) return
    this.#context.closeIdleSoon()
    this.#spaceTimer = this.#context.timers.setTimer(SPACE_CHECK_MS, () => this.#checkSpace())
  }

  #checkSpace(): void {
    this.#spaceTimer = null
    const space = this.#spaceNow()
    if (space === null) return
    if (space.usableBytes < space.wantedBytes) {
      this.#spaceTimer = this.#context.timers.setTimer(SPACE_CHECK_MS, () => this.#checkSpace())
      return
    }
    this.isFull = false
    this.#context.logger.info('appends are accepted again', { directory: this.path, ...space })
    // What was staged when the disk filled up is still to be written.
    for (const log of this.logs) if (log.hasStaged) log.markDirty()
    this.#context.flushSoon()
  }

  /** Null: that cannot be told, and the directory has failed. */
  #spaceNow(): { usableBytes: number; wantedBytes: number } | null {
    try {
      const { totalBytes, usableBytes } = this.disk.space(this.path)
      return { usableBytes, wantedBytes: Math.min(SPACE_WANTED_BYTES_MAX, Math.floor(totalBytes / 10)) }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.fail(error)
      return null
    }
  }

  #noteRecoveryPoint(log: LogCore, recoveryPoint: Offset): void {
    const fingerprint = fingerprintOfClosed(log.segments.all, recoveryPoint)
    this.mark.noteRecoveryPoint(markIdOf(log.topic, log.topicId), log.partition, recoveryPoint, fingerprint)
  }

  #writeMarkSoon(): void {
    if (this.online) this.#markWriteTimer ??= this.#context.timers.setTimer(MARK_WRITE_MS, () => this.#writeMark())
  }

  #writeMark(): void {
    this.#markWriteTimer = null
    try {
      this.#context.failpoint('mark')
      this.mark.write()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.onDiskError(error)
      return
    }
    this.#markSyncTimer ??= this.#context.timers.setTimer(MARK_SYNC_MS, () => this.#syncMark())
  }

  #syncMark(): void {
    this.#markSyncTimer = null
    const synced = this.mark.sync().catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error
      this.fail(error)
    })
    // Entries that were added are counted by the header once they are on the disk.
    void synced.then(() => {
      if (this.mark.needsSync) this.#writeMarkSoon()
    })
  }

  #stopTimers(): void {
    this.#markWriteTimer?.cancel()
    this.#markWriteTimer = null
    this.#markSyncTimer?.cancel()
    this.#markSyncTimer = null
    this.#spaceTimer?.cancel()
    this.#spaceTimer = null
    this.#putOffTimer?.cancel()
    this.#putOffTimer = null
  }
}
