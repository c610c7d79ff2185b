import type { Disk, DiskFile, LeaderEpoch, Offset, TimestampMs } from '@millrace/base'
import { BatchBuilder, lastOffsetOf, maxTimestampOf, partitionLeaderEpochOf } from '@millrace/protocol'
import { openEmpty } from '../atomic-file.ts'
import {
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from '../file-names.ts'
import { OffsetIndex } from '../offset-index.ts'
import { TimeIndex } from '../time-index.ts'
import { type AbortedTransaction, TransactionIndex } from '../transaction-index.ts'

/** Positions in a log file are int32 in its index. */
const SIZE_BYTES_MAX = 2 ** 31 - 1

/** The files of a segment that compaction makes, with a suffix to their names; of no use to anybody before {@link finish}. */
export class CleanedSegment {
  readonly #disk: Disk
  readonly #file: DiskFile
  readonly #offsets: OffsetIndex
  readonly #times: TimeIndex
  readonly #transactions: TransactionIndex
  readonly #indexIntervalBytes: number
  readonly #buffer: Buffer
  #bufferedBytes: number
  #bytesSinceEntry: number
  #maxTimestamp: TimestampMs
  #maxTimestampOffset: Offset
  /** Bytes of the log file, what is still buffered included. */
  sizeBytes: number
  nextOffset: Offset
  hasTransactions: boolean
  /** An empty batch was added at its end. */
  isFilled: boolean
  #lastEpoch: LeaderEpoch
  #isClosed: boolean
  /** Given to the file since its last sync. */
  #unsyncedBytes: number

  /** Replaces what an earlier try left. Throws `DiskError`. */
  constructor(
    disk: Disk,
    directory: string,
    suffix: string,
    baseOffset: Offset,
    bufferBytes: number,
    indexIntervalBytes: number,
  ) {
    const path = (kind: string): string => `${directory}/${offsetFileName(baseOffset, kind)}${suffix}`
    this.#disk = disk
    removeFiles(disk, CLEANED_KINDS.map(path))
    this.#offsets = new OffsetIndex(disk, path(OFFSET_INDEX_SUFFIX), baseOffset, true)
    this.#times = new TimeIndex(disk, path(TIME_INDEX_SUFFIX), baseOffset, true)
    this.#transactions = new TransactionIndex(disk, path(TRANSACTION_INDEX_SUFFIX), true)
    this.#indexIntervalBytes = indexIntervalBytes
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(BUFFER_BYTES_MIN, bufferBytes))
    this.#bufferedBytes = 0
    this.#bytesSinceEntry = 0
    this.#maxTimestamp = -1
    this.#maxTimestampOffset = baseOffset
    this.sizeBytes = 0
    this.nextOffset = baseOffset
    this.hasTransactions = false
    this.isFilled = false
    this.#lastEpoch = -1
    this.#isClosed = false
    this.#unsyncedBytes = 0
    this.#file = openEmpty(disk, path(LOG_SUFFIX))
  }

  /** Whether a batch of this size still has a place. */
  hasRoom(sizeBytes: number): boolean {
    return this.sizeBytes + sizeBytes <= SIZE_BYTES_MAX
  }

  /** Appends the batch `bytes[start, end)`, which is copied or written. Throws `DiskError`. */
  append(bytes: Buffer, start: number, end: number): void {
    const batchBytes = end - start
    const lastOffset = lastOffsetOf(bytes, start)
    const maxTimestamp = maxTimestampOf(bytes, start)
    if (maxTimestamp > this.#maxTimestamp) {
      this.#maxTimestamp = maxTimestamp
      this.#maxTimestampOffset = lastOffset
    }
    // As appends do (`SegmentIndexes.onAppended`): what is rebuilt from the log is the same.
    if (this.#bytesSinceEntry > this.#indexIntervalBytes) {
      this.#offsets.append(lastOffset, this.sizeBytes)
      this.#times.maybeAppend(this.#maxTimestamp, this.#maxTimestampOffset)
      this.#bytesSinceEntry = 0
    }
    this.#bytesSinceEntry += batchBytes
    this.#write(bytes, start, end)
    this.sizeBytes += batchBytes
    this.nextOffset = lastOffset + 1
    this.#lastEpoch = partitionLeaderEpochOf(bytes, start)
  }

  /**
   * Has the segment end at `endOffset`, with an empty batch if it does not yet: Kafka's compaction lets segments end earlier, which could
   * not be told from a loss. Throws `DiskError`.
   */
  fillTo(endOffset: Offset): void {
    if (this.nextOffset >= endOffset) return
    const { nextOffset: baseOffset } = this
    const lastOffsetDelta = endOffset - 1 - baseOffset
    // The epoch of the batch before: the log's epochs are held against it.
    const batch = new BatchBuilder({ baseOffset, lastOffsetDelta, partitionLeaderEpoch: this.#lastEpoch }).build()
    this.isFilled = true
    this.append(batch, 0, batch.length)
  }

  /** An aborted transaction whose marker stays. In order of the markers. */
  addAborted(transaction: AbortedTransaction): void {
    this.#transactions.append(transaction)
    this.hasTransactions = true
  }

  /**
   * Syncs what the file was given, once that is much: a gigabyte at once would keep the syncs of appends waiting until it is on the disk.
   * Rejects with `DiskError`.
   */
  async settle(): Promise<void> {
    if (this.#unsyncedBytes < UNSYNCED_BYTES_MAX) return
    this.#unsyncedBytes = 0
    await this.#file.syncData()
  }

  /** Everything is in its files, and durable with its names. Rejects with `DiskError`. */
  async finish(directory: string): Promise<void> {
    this.#flush()
    if (this.#maxTimestamp >= 0) this.#times.maybeAppend(this.#maxTimestamp, this.#maxTimestampOffset)
    this.#offsets.file.create()
    this.#times.file.create()
    for (const { file } of this.#indexes) {
      file.flush()
      await file.sync()
    }
    await this.#file.syncData()
    this.close()
    await this.#disk.syncDirectoryAsync(directory)
  }

  /** Gives up the descriptors. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { file } of this.#indexes) file.close()
    this.#file.close()
  }

  get #indexes(): readonly (OffsetIndex | TimeIndex | TransactionIndex)[] {
    return [this.#offsets, this.#times, this.#transactions]
  }

  #write(bytes: Buffer, start: number, end: number): void {
    if (this.#bufferedBytes + end - start > this.#buffer.length) this.#flush()
    if (end - start > this.#buffer.length) {
      this.#unsyncedBytes += end - start
      this.#file.write(bytes, start, end, this.sizeBytes)
      return
    }
    bytes.copy(this.#buffer, this.#bufferedBytes, start, end)
    this.#bufferedBytes += end - start
  }

  #flush(): void {
    if (this.#bufferedBytes === 0) return
    this.#file.write(this.#buffer, 0, this.#bufferedBytes, this.sizeBytes - this.#bufferedBytes)
    this.#unsyncedBytes += this.#bufferedBytes
    this.#bufferedBytes = 0
  }
}

/** The kinds of files of which a cleaned segment may have one each; the log first. */
export const CLEANED_KINDS = [LOG_SUFFIX, OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]

/** Removes what is there of some files. Throws `DiskError`. */
export function removeFiles(disk: Disk, paths: readonly string[]): void {
  for (const path of paths) if (disk.stat(path) !== null) disk.removeFile(path)
}

const BUFFER_BYTES_MIN = 4096
const UNSYNCED_BYTES_MAX = 1 << 20
