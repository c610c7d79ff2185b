import { BaseError, type Disk, DiskError, type DiskFile, type Uuid } from '@millrace/base'
import { applyRecords, emptyImage, type MetadataImage, type MetadataRecord, snapshotRecords } from '@millrace/consensus'
import type { Logger } from '../logger.ts'
import { decodeFrame, encodeFrame, type Frame, findFrame } from './journal-frame.ts'
import { MetadataStoreError } from './metadata-store-error.ts'

const FORMAT_VERSION = 1
const JOURNAL_NAME = 'journal'
const TEMPORARY_NAME = 'journal.tmp'

/** Records per frame of a snapshot: no frame is larger than a few megabytes. */
const SNAPSHOT_FRAME_RECORDS = 5000

/** The journal in its directory. */
export function journalPath(directory: string): string {
  return `${directory}/${JOURNAL_NAME}`
}

export interface JournalOptions {
  readonly disk: Disk
  /** Made if absent. */
  readonly directory: string
  /** The cluster that the journal must belong to; null: any. */
  readonly clusterId: string | null
  /** Asked if there is no journal. */
  newCluster(): { clusterId: string; records: readonly MetadataRecord[] }
  readonly logger: Logger
}

/** A journal and what it says. */
export interface OpenedJournal {
  readonly journal: MetadataJournal
  readonly image: MetadataImage
  /** Names of the topics whose removal it holds, by id: those of the time since its snapshot. */
  readonly removedTopics: ReadonlyMap<Uuid, string>
}

/** First frame of a file. */
interface JournalHeader {
  readonly version: number
  readonly clusterId: string
  /** Metadata offset of the snapshot that follows. */
  readonly offset: number
  /** The first records of the file are this many records of the snapshot. */
  readonly snapshotRecordCount: number
}

/**
 * The metadata of one node on disk: one file with a snapshot and the records since, in frames with checksums. A frame is what one
 * sync covers; the next is written only after that sync. So an undamaged frame behind a damaged one proves that synced bytes
 * have rotted, and the journal refuses to open; damage at the very end is a write that was never acknowledged, and is cut off.
 * `close` writes an empty last frame, so that after a clean stop even damage to the last records is told from a torn write.
 */
export class MetadataJournal {
  readonly #disk: Disk
  readonly #directory: string
  #file: DiskFile
  #endPosition: number
  #sequence: number
  #snapshotSizeBytes: number

  private constructor(disk: Disk, directory: string, file: DiskFile, state: ReadState) {
    this.#disk = disk
    this.#directory = directory
    this.#file = file
    this.#endPosition = state.end
    this.#sequence = state.nextSequence
    this.#snapshotSizeBytes = state.snapshotSizeBytes
  }

  /**
   * Opens the journal of a directory and replays it, or makes one for a new cluster with `firstRecords`. Throws
   * `MetadataStoreError` for damage, another version or another cluster than `clusterId` (null: any), `DiskError` for the disk.
   */
  static open(options: JournalOptions): OpenedJournal & { created: boolean } {
    const { disk, directory } = options
    disk.makeDirectory(directory)
    const path = journalPath(directory)
    if (disk.stat(path) !== null) return { ...MetadataJournal.#reopen(options, path), created: false }
    const { clusterId, records } = options.newCluster()
    const { image } = applyRecords(emptyImage(clusterId), records)
    const { file, state } = writeWhole(disk, directory, image)
    file.syncDataNow()
    install(disk, directory)
    const journal = new MetadataJournal(disk, directory, reopenFile(disk, file, path), state)
    return { journal, image, removedTopics: new Map(), created: true }
  }

  static #reopen(options: JournalOptions, path: string): OpenedJournal {
    const { disk, directory, logger } = options
    const bytes = disk.readFile(path)
    const { image, removedTopics, state } = replay(path, bytes, options.clusterId)
    const file = disk.openFile(path, { create: false })
    if (state.end < bytes.length) {
      logger.warn('metadata journal: an unfinished write at its end is cut off', {
        path,
        position: state.end,
        sizeBytes: bytes.length - state.end,
      })
      file.truncate(state.end)
      file.syncDataNow()
    }
    const temporary = `${directory}/${TEMPORARY_NAME}`
    if (disk.stat(temporary) !== null) disk.removeFile(temporary)
    return { journal: new MetadataJournal(disk, directory, file, state), image, removedTopics }
  }

  /** Bytes of records since the snapshot. */
  get tailSizeBytes(): number {
    return this.#endPosition - this.#snapshotSizeBytes
  }

  get snapshotSizeBytes(): number {
    return this.#snapshotSizeBytes
  }

  /**
   * Appends records as one frame and syncs it. Not to be called again before it is done. A failure of the write itself is undone:
   * the journal goes on as if it had not been asked (`DiskError`). After a failed sync the file must not be trusted
   * (`FatalJournalError`).
   */
  async append(records: readonly MetadataRecord[]): Promise<void> {
    const payload = Buffer.from(JSON.stringify(records))
    const frame = encodeFrame(this.#sequence, records.length, payload)
    try {
      this.#file.write(frame, 0, frame.length, this.#endPosition)
    } catch (error) {
      // Left alone, the torn bytes could stand behind a later, shorter frame.
      orFatal(() => this.#file.truncate(this.#endPosition))
      throw error
    }
    await this.#file.syncData().catch(rethrowFatal)
    this.#endPosition += frame.length
    this.#sequence++
  }

  /**
   * Replaces all records by a snapshot of the image: a new file is written and synced, then takes the old one's name. Until then
   * the old file is untouched, so a failure of the write leaves all as it was (`DiskError`); a later one is a `FatalJournalError`.
   */
  async compact(image: MetadataImage): Promise<void> {
    const { file, state } = writeWhole(this.#disk, this.#directory, image)
    await file.syncData().catch(rethrowFatal)
    orFatal(() => install(this.#disk, this.#directory))
    // From here on the old file has no name: records that went to it, since the new one could not be opened, would be lost.
    const reopened = orFatal(() => reopenFile(this.#disk, file, journalPath(this.#directory)))
    this.#file.close()
    this.#file = reopened
    this.#endPosition = state.end
    this.#sequence = state.nextSequence
    this.#snapshotSizeBytes = state.snapshotSizeBytes
  }

  /**
   * Marks the end as clean and closes the file. Nothing may be under way. Throws `DiskError` if the mark could not be written: the file
   * is closed then too, and what was appended is as safe as before.
   */
  close(): void {
    const frame = encodeFrame(this.#sequence, 0, Buffer.from('[]'))
    try {
      this.#file.write(frame, 0, frame.length, this.#endPosition)
      this.#file.syncDataNow()
    } finally {
      this.#file.close()
    }
  }

  /** Closes the file as it is, after a failure. */
  abandon(): void {
    this.#file.close()
  }
}

/** A failed sync, or a failed undo: what is on disk is unknown, so this process must not go on with it (S7). */
export class FatalJournalError extends BaseError {
  constructor(cause: DiskError) {
    super('METADATA_NOT_SYNCED', `the metadata journal is in an unknown state: ${cause.message}`, { cause })
  }
}

function rethrowFatal(error: unknown): never {
  throw error instanceof DiskError ? new FatalJournalError(error) : error
}

function orFatal<Result>(operation: () => Result): Result {
  try {
    return operation()
  } catch (error) {
    rethrowFatal(error)
  }
}

interface ReadState {
  readonly end: number
  readonly nextSequence: number
  readonly snapshotSizeBytes: number
}

interface Replayed {
  readonly image: MetadataImage
  readonly removedTopics: ReadonlyMap<Uuid, string>
  readonly state: ReadState
}

/** Applies all frames. Throws `MetadataStoreError` unless what is damaged is the end of the file. */
function replay(path: string, bytes: Buffer, clusterId: string | null): Replayed {
  const first = decodeFrame(bytes, 0)
  // The file got its name only after its first frames were synced, so these cannot be torn.
  if (first === null || first.sequence !== 0) throw corrupt(path, 0)
  const header = parseHeader(path, first.payload, clusterId)
  let image = emptyImage(header.clusterId)
  const removedTopics = new Map<Uuid, string>()
  let frame: Frame | null = first
  let end = first.end
  let nextSequence = 1
  let snapshotSizeBytes = first.end
  let snapshotLeft = header.snapshotRecordCount
  if (snapshotLeft === 0) image = { ...image, offset: header.offset }
  for (;;) {
    frame = decodeFrame(bytes, end)
    if (frame === null) break
    if (frame.sequence !== nextSequence) throw corrupt(path, end)
    const records = parseRecords(path, end, frame)
    const applied = applyRecords(image, records)
    image = applied.image
    for (const { id, name } of applied.delta.removedTopics) removedTopics.set(id, name)
    end = frame.end
    nextSequence++
    if (snapshotLeft === 0) continue
    snapshotLeft -= records.length
    if (snapshotLeft < 0) throw corrupt(path, end)
    snapshotSizeBytes = end
    if (snapshotLeft === 0) image = { ...image, offset: header.offset }
  }
  if (snapshotLeft > 0 || findFrame(bytes, end + 1) !== -1) throw corrupt(path, end)
  return { image, removedTopics, state: { end, nextSequence, snapshotSizeBytes } }
}

function parseHeader(path: string, payload: Buffer, clusterId: string | null): JournalHeader {
  const header = JSON.parse(payload.toString()) as JournalHeader
  if (header.version !== FORMAT_VERSION) {
    const message = `${path} has format ${header.version}, but this software reads format ${FORMAT_VERSION}`
    throw new MetadataStoreError('METADATA_VERSION', path, 0, message)
  }
  if (clusterId !== null && clusterId !== header.clusterId) {
    const message = `${path} belongs to cluster ${header.clusterId}, but the log directories belong to ${clusterId}`
    throw new MetadataStoreError('METADATA_CLUSTER_MISMATCH', path, 0, message)
  }
  return header
}

function parseRecords(path: string, position: number, frame: Frame): MetadataRecord[] {
  const records = JSON.parse(frame.payload.toString()) as MetadataRecord[]
  if (records.length !== frame.recordCount) throw corrupt(path, position)
  return records
}

function corrupt(path: string, position: number): MetadataStoreError {
  return new MetadataStoreError(
    'METADATA_CORRUPT',
    path,
    position,
    `${path} is damaged at byte ${position}, in a part that was synced: restore the file from a copy, ` +
      'or move its directory away to start with empty metadata (topics must then be created anew)',
  )
}

/** Writes header and snapshot into the temporary file, not yet synced. */
function writeWhole(disk: Disk, directory: string, image: MetadataImage): { file: DiskFile; state: ReadState } {
  const path = `${directory}/${TEMPORARY_NAME}`
  if (disk.stat(path) !== null) disk.removeFile(path)
  const records = [...snapshotRecords(image)]
  const header: JournalHeader = {
    version: FORMAT_VERSION,
    clusterId: image.clusterId,
    offset: image.offset,
    snapshotRecordCount: records.length,
  }
  const frames = [encodeFrame(0, 0, Buffer.from(JSON.stringify(header)))]
  for (let start = 0; start < records.length; start += SNAPSHOT_FRAME_RECORDS) {
    const part = records.slice(start, start + SNAPSHOT_FRAME_RECORDS)
    frames.push(encodeFrame(frames.length, part.length, Buffer.from(JSON.stringify(part))))
  }
  const file = disk.openFile(path, { create: true })
  try {
    file.writeMany(frames, 0)
  } catch (error) {
    file.close()
    throw error
  }
  const sizeBytes = frames.reduce((sum, frame) => sum + frame.length, 0)
  return { file, state: { end: sizeBytes, nextSequence: frames.length, snapshotSizeBytes: sizeBytes } }
}

/** The synced temporary file takes the journal's name, durably. */
function install(disk: Disk, directory: string): void {
  disk.rename(`${directory}/${TEMPORARY_NAME}`, journalPath(directory))
  disk.syncDirectory(directory)
}

/** A descriptor under the final name, so that errors name the right path. */
function reopenFile(disk: Disk, file: DiskFile, path: string): DiskFile {
  file.close()
  return disk.openFile(path, { create: false })
}
