import type { Offset, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { BatchBuilder, BatchCursor, type BatchOptions, isControlBatch, RecordReader } from '@millrace/protocol'
import { AppendResult, type CleanerSettings, type Log, ReadResult } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import { type Opened, open } from './log-driver.ts'

/** A few dozen records make a segment; nothing is too clean to be compacted. */
export const COMPACTED: Partial<LogConfig> = {
  segmentBytes: 2000,
  indexIntervalBytes: 200,
  retentionMs: -1,
  fileDeleteDelayMs: 500,
  cleanupDelete: false,
  cleanupCompact: true,
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 10_000,
}

/** Small, so that a test may fill it. */
export const CLEANER: CleanerSettings = {
  enabled: true,
  threadCount: 1,
  dedupeBufferBytes: 24 * 1000,
  loadFactor: 0.9,
  ioBufferBytes: 1024,
  maxBytesPerSecond: Number.MAX_VALUE,
  // Only when a test says so.
  backoffMs: 10 ** 9,
}

/** A record as it is appended, or as it is read. */
export interface KeyedRecord {
  key: string | null
  value: string | null
}

export interface StoredRecord extends KeyedRecord {
  offset: Offset
  timestamp: number
}

/** A batch as it is stored. */
export interface StoredBatch {
  baseOffset: Offset
  lastOffset: Offset
  isControl: boolean
  header: Buffer
  records: StoredRecord[]
}

/** As `open`, with a cleaner that compacts when it is told to. */
export function openCompacted(
  disk: SimulatedDisk,
  config: Partial<LogConfig> = {},
  settings: Partial<CleanerSettings> = {},
  options: { clock?: SimulatedClock; timers?: SimulatedTimers; directories?: readonly string[] } = {},
): Promise<Opened> {
  const cleaner = { settings: () => ({ ...CLEANER, ...settings }) }
  return open(disk, { ...COMPACTED, ...config }, { ...options, cleaner })
}

export function keyedBatch(
  records: readonly KeyedRecord[],
  options: BatchOptions & { timestamp?: number } = {},
): Buffer {
  const { timestamp = 1000, ...rest } = options
  const builder = new BatchBuilder(rest)
  for (const { key, value } of records) builder.append(timestamp, key, value)
  return Buffer.from(builder.build())
}

/** Appends one batch, has it flushed, and raises the high watermark; gives its first offset. */
export function appendKeyed(
  { manager }: Opened,
  log: Log,
  records: readonly KeyedRecord[],
  options: BatchOptions & { timestamp?: number } = {},
): Offset {
  const result = new AppendResult()
  const batch = keyedBatch(records, options)
  const code = log.append(batch, 0, batch.length, options.control === true ? 'coordinator' : 'client', 1, result)
  if (code !== 0) throw new Error(`append: error ${code}`)
  manager.flushStaged()
  log.setHighWatermark(log.logEndOffset)
  return result.baseOffset
}

/** Compacts, letting pass what time that needs. */
export async function compact({ manager, timers }: Opened): Promise<void> {
  let isDone = false
  let failure: unknown = null
  const done = manager
    .compact()
    .catch((error: unknown) => {
      failure = error
    })
    .finally(() => {
      isDone = true
    })
  for (let count = 0; !isDone; count++) {
    if (count > 20_000) throw new Error('compaction does not end')
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    timers.advance(1)
  }
  await done
  if (failure !== null) throw failure
}

/** All batches from the log start to `endOffset`. */
export async function readBatches(log: Log, endOffset: Offset = log.logEndOffset): Promise<StoredBatch[]> {
  const out = new ReadResult()
  const batches: StoredBatch[] = []
  for (let offset = log.logStartOffset; offset < endOffset; ) {
    if (!(await log.read(offset, 5000, endOffset, true, out))) throw new Error(`read at ${offset}: ${out.errorCode}`)
    const bytes = Buffer.concat(out.buffers)
    if (bytes.length === 0) break
    for (const batch of batchesIn(bytes)) {
      batches.push(batch)
      offset = batch.lastOffset + 1
    }
  }
  return batches
}

export function batchesIn(bytes: Buffer): StoredBatch[] {
  const batches: StoredBatch[] = []
  const cursor = new BatchCursor(bytes)
  const reader = new RecordReader()
  while (cursor.next()) {
    cursor.checkCrc()
    const { position } = cursor
    const records: StoredRecord[] = []
    reader.open(bytes, position)
    while (reader.next()) {
      const key = reader.key()?.toString('latin1') ?? null
      const value = reader.value()?.toString('latin1') ?? null
      records.push({ key, value, offset: reader.offset, timestamp: reader.timestamp })
    }
    const baseOffset = Number(bytes.readBigInt64BE(position))
    const lastOffset = baseOffset + bytes.readInt32BE(position + 23)
    const isControl = isControlBatch(bytes, position)
    batches.push({ baseOffset, lastOffset, isControl, header: bytes.subarray(position, position + 61), records })
  }
  return batches
}

/** Newest value of each key; deleted keys are left out. */
export function latestOf(batches: readonly StoredBatch[]): Map<string, string> {
  const latest = new Map<string, string>()
  for (const { isControl, records } of batches) {
    for (const { key, value } of isControl ? [] : records) {
      if (key === null) continue
      if (value === null) latest.delete(key)
      else latest.set(key, value)
    }
  }
  return latest
}
