import { type Disk, DiskError, type Offset } from '@millrace/base'
import { replaceFile, replaceFileAsync } from './atomic-file.ts'
import {
  CLEANER_OFFSET_FILE,
  HIGH_WATERMARK_FILE,
  LOG_START_FILE,
  partitionDirectoryName,
  RECOVERY_POINT_FILE,
} from './file-names.ts'
import type { LogCore } from './log-core.ts'
import type { StorageContext } from './storage-context.ts'
import { encodeTextCheckpoint } from './text-checkpoint.ts'

/** The log directory as its checkpoints see it. */
export interface CheckpointHome {
  readonly path: string
  readonly online: boolean
  /** Future ones included. */
  readonly logs: ReadonlySet<LogCore>
  /** Watermarks, log starts or recovery points changed since the checkpoints were written. */
  offsetsChanged: boolean
  onDiskError(error: DiskError): void
}

/**
 * Kafka's text checkpoints of a log directory: recovery points, log starts, high watermarks and compacted offsets of all its logs. They are
 * written from time to time, off the main thread, and at once where what they say must not be believed any more.
 */
export class OffsetCheckpoints {
  readonly #context: StorageContext
  readonly #home: CheckpointHome
  #writing: Promise<void> | null
  /** How often something was written out of turn: an older writing under way is then dropped. */
  #lowerings: number
  /** Names of the logs, those of their directories, that the checkpoint of log starts on the disk may hold. */
  #logStartNames: Set<string>
  /** What the start found in the checkpoint of recovery points, by such names, until that is written anew: more, perhaps, than the logs say. */
  #foundRecoveryPoints: ReadonlyMap<string, Offset>
  /** What the checkpoint of compacted offsets on the disk may hold, by such names. */
  #cleanedOffsets: ReadonlyMap<string, Offset>

  constructor(context: StorageContext, home: CheckpointHome) {
    this.#context = context
    this.#home = home
    this.#writing = null
    this.#lowerings = 0
    this.#logStartNames = new Set()
    this.#foundRecoveryPoints = new Map()
    this.#cleanedOffsets = new Map()
  }

  get #disk(): Disk {
    return this.#context.disk
  }

  /** The checkpoint of recovery points, by the names of the logs' directories. A start may take the logs for less. */
  onRecoveryPointsRead(points: ReadonlyMap<string, Offset>): void {
    this.#foundRecoveryPoints = points
  }

  /** Names of logs, those of their directories, that the checkpoint of log starts may hold. */
  onLogStartsRead(names: Iterable<string>): void {
    for (const name of names) this.#logStartNames.add(name)
  }

  /** The checkpoint of compacted offsets, by the names of the logs' directories. A start may take the logs for less. */
  onCleanedOffsetsRead(offsets: ReadonlyMap<string, Offset>): void {
    this.#cleanedOffsets = offsets
  }

  /**
   * A log was made. One of its name may have been deleted since the checkpoint of log starts was written: the start of that one must not
   * be taken for its own, or a crash would have its data set aside. Throws `DiskError`.
   */
  onCreated(log: LogCore): void {
    const name = partitionDirectoryName(log.topic, log.partition)
    if (this.#logStartNames.has(name)) this.onLogStartLowered()
    // Nor may this one be taken for compacted as far as that one was.
    if (this.#cleanedOffsets.has(name)) this.#writeCleanedOffsetsNow()
  }

  /** All logs are loaded: what the checkpoint says of one that ends below is no more true of what comes next. Throws `DiskError`. */
  settleCleanedOffsets(): void {
    for (const { topic, partition, cleanedOffset, isFuture } of this.#home.logs) {
      const found = this.#cleanedOffsets.get(partitionDirectoryName(topic, partition)) ?? 0
      if (!isFuture && found > cleanedOffset) {
        this.#writeCleanedOffsetsNow()
        return
      }
    }
  }

  /** Before a truncation: none may name what is about to go. Throws `DiskError`. */
  lower(log: LogCore, offset: Offset): void {
    const name = partitionDirectoryName(log.topic, log.partition)
    const found = this.#foundRecoveryPoints.get(name) ?? 0
    if (Math.max(log.cleanedOffset, this.#cleanedOffsets.get(name) ?? 0) > offset) {
      // At once as well: tombstones that are appended in the place of what goes would be taken for old ones, and go before the records
      // that they delete.
      log.cleanedOffset = Math.min(log.cleanedOffset, offset)
      this.#writeCleanedOffsetsNow()
    }
    if (Math.max(log.recoveryPoint, found) > offset) {
      // At once: above the old point, recovery would trust indexes, epochs and producer snapshots of what was cut off. Where the mark is
      // lost, it would also take what was cut off for lost.
      log.recoveryPoint = Math.min(log.recoveryPoint, offset)
      this.#lowerings++
      this.#writeRecoveryPointsNow()
      this.#home.offsetsChanged = true
    }
  }

  /** A truncation took a log's start down: at once, or the old one would be believed after a crash. Throws `DiskError`. */
  onLogStartLowered(): void {
    this.#lowerings++
    this.#home.offsetsChanged = true
    const lines = this.#logStarts()
    try {
      replaceFile(this.#disk, this.#home.path, LOG_START_FILE, encodeTextCheckpoint(lines), '.lowered')
      this.#logStartNames = namesOf(lines)
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
      // A crash before the next checkpoint would have recovery start the log anew and set its data aside.
      this.#context.logger.warn('lowered log start could not be written', {
        directory: this.#home.path,
        error: error.message,
      })
    }
  }

  /** Writes the text checkpoints if anything changed. Never rejects: a failure takes the directory offline. */
  write(): Promise<void> {
    if (!this.#home.offsetsChanged || !this.#home.online) return this.#writing ?? Promise.resolve()
    if (this.#writing !== null) return this.#writing.then(() => this.write())
    this.#home.offsetsChanged = false
    this.#writing = this.#writeAll()
      .catch((error: unknown) => {
        if (!(error instanceof DiskError)) throw error
        // Still to be written, if there is space or a descriptor for it later.
        this.#home.offsetsChanged = true
        this.#home.onDiskError(error)
      })
      .finally(() => {
        this.#writing = null
      })
    return this.#writing
  }

  /** The text checkpoints on the disk say what is so. */
  get areWritten(): boolean {
    return !this.#home.offsetsChanged && this.#writing === null
  }

  async #writeAll(): Promise<void> {
    const logStarts = this.#logStarts()
    this.onLogStartsRead(namesOf(logStarts))
    const highWatermarks = encodeTextCheckpoint(
      Array.from(this.#home.logs, ({ topic, partition, highWatermark }) => `${topic} ${partition} ${highWatermark}`),
    )
    const cleaned = this.#cleaned()
    this.#context.failpoint('offset-checkpoint')
    const lowerings = this.#lowerings
    const isCurrent = (): boolean => this.#home.online && lowerings === this.#lowerings
    const recoveryPoints = encodeTextCheckpoint(this.#recoveryPoints())
    await replaceFileAsync(this.#disk, this.#home.path, RECOVERY_POINT_FILE, recoveryPoints, isCurrent)
    if (isCurrent()) this.#foundRecoveryPoints = new Map()
    await replaceFileAsync(this.#disk, this.#home.path, LOG_START_FILE, encodeTextCheckpoint(logStarts), isCurrent)
    if (isCurrent()) this.#logStartNames = namesOf(logStarts)
    await replaceFileAsync(this.#disk, this.#home.path, HIGH_WATERMARK_FILE, highWatermarks, () => this.#home.online)
    await this.#writeCleanedOffsets(cleaned, isCurrent)
  }

  /** Only what changed: most directories have nothing compacted, or not every time. */
  async #writeCleanedOffsets(cleaned: ReadonlyMap<string, Offset>, isCurrent: () => boolean): Promise<void> {
    const before = this.#cleanedOffsets
    if (linesOf(cleaned).join() === linesOf(before).join() || !isCurrent()) return
    // Either may be what a crash leaves.
    this.#cleanedOffsets = new Map([...before, ...cleaned])
    const contents = encodeTextCheckpoint(linesOf(cleaned))
    await replaceFileAsync(this.#disk, this.#home.path, CLEANER_OFFSET_FILE, contents, isCurrent)
    if (isCurrent()) this.#cleanedOffsets = cleaned
  }

  #writeCleanedOffsetsNow(): void {
    this.#lowerings++
    this.#home.offsetsChanged = true
    const cleaned = this.#cleaned()
    try {
      replaceFile(this.#disk, this.#home.path, CLEANER_OFFSET_FILE, encodeTextCheckpoint(linesOf(cleaned)), '.lowered')
      this.#cleanedOffsets = cleaned
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
      // Without the file logs are compacted from their beginning, and nothing is wrong; taking it away needs no space.
      if (this.#disk.stat(`${this.#home.path}/${CLEANER_OFFSET_FILE}`) !== null) {
        this.#disk.removeFile(`${this.#home.path}/${CLEANER_OFFSET_FILE}`)
        this.#disk.syncDirectory(this.#home.path)
      }
      this.#cleanedOffsets = new Map()
    }
  }

  #cleaned(): Map<string, Offset> {
    const cleaned = new Map<string, Offset>()
    for (const { topic, partition, cleanedOffset, isFuture } of this.#home.logs) {
      if (cleanedOffset > 0 && !isFuture) cleaned.set(partitionDirectoryName(topic, partition), cleanedOffset)
    }
    return cleaned
  }

  #writeRecoveryPointsNow(): void {
    try {
      replaceFile(
        this.#disk,
        this.#home.path,
        RECOVERY_POINT_FILE,
        encodeTextCheckpoint(this.#recoveryPoints()),
        '.lowered',
      )
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
      // Without the file recovery reads more, and nothing wrong; taking it away needs no space.
      if (this.#disk.stat(`${this.#home.path}/${RECOVERY_POINT_FILE}`) === null) return
      this.#disk.removeFile(`${this.#home.path}/${RECOVERY_POINT_FILE}`)
      this.#disk.syncDirectory(this.#home.path)
    }
    this.#foundRecoveryPoints = new Map()
  }

  #recoveryPoints(): string[] {
    return Array.from(
      this.#home.logs,
      ({ topic, partition, recoveryPoint }) => `${topic} ${partition} ${recoveryPoint}`,
    )
  }

  /** Of logs that start inside of a segment; the others start where their files do. */
  #logStarts(): string[] {
    const lines: string[] = []
    for (const { topic, partition, logStartOffset, segments } of this.#home.logs) {
      if (logStartOffset > segments.first.baseOffset) lines.push(`${topic} ${partition} ${logStartOffset}`)
    }
    return lines
  }
}

/** Lines of a checkpoint, from offsets by the names of the logs' directories. */
function linesOf(offsets: ReadonlyMap<string, Offset>): string[] {
  return Array.from(offsets, ([name, offset]) => {
    const split = name.lastIndexOf('-')
    return `${name.slice(0, split)} ${name.slice(split + 1)} ${offset}`
  })
}

/** The logs that lines of a checkpoint are about, as their directories are named. */
function namesOf(lines: readonly string[]): Set<string> {
  return new Set(lines.map((line) => line.split(' ', 2).join('-')))
}
