import type { Offset, TimestampMs } from '@millrace/base'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  lastOffsetOf,
  maxTimestampOf,
  partitionLeaderEpochOf,
  RecordReader,
  recordCountOf,
} from '@millrace/protocol'
import type { FoundOffset } from './log-results.ts'
import type { Segment } from './segment.ts'

/** Headers are read in pieces of this size until a batch qualifies, which is then read whole. */
const WINDOW_BYTES = 64 * 1024
/** Of the few batches between an index entry and the next. */
const PROBE_BYTES = 8 * 1024

/**
 * First record from `position` on with a timestamp of at least `timestamp` and an offset of at least `startOffset`, within one segment;
 * null if there is none. Reads off the event loop. Rejects with `DiskError`, or with `CorruptBatchError` if a batch cannot be read.
 */
export async function findRecordAtOrAfter(
  segment: Segment,
  position: number,
  timestamp: TimestampMs,
  startOffset: Offset,
): Promise<FoundOffset | null> {
  const { writtenBytes } = segment
  let at = position
  while (at + BATCH_HEADER_BYTES <= writtenBytes) {
    const window = await readRange(segment, at, Math.min(WINDOW_BYTES, writtenBytes - at))
    let inWindow = 0
    while (inWindow + BATCH_HEADER_BYTES <= window.length) {
      const sizeBytes = batchSizeOf(window, inWindow)
      if (sizeBytes < BATCH_HEADER_BYTES || at + inWindow + sizeBytes > writtenBytes) return null
      if (maxTimestampOf(window, inWindow) >= timestamp && lastOffsetOf(window, inWindow) >= startOffset) {
        const batch =
          inWindow + sizeBytes <= window.length
            ? window.subarray(inWindow, inWindow + sizeBytes)
            : await readRange(segment, at + inWindow, sizeBytes)
        const found = findInBatch(batch, timestamp, startOffset)
        if (found !== null) return found
      }
      inWindow += sizeBytes
    }
    if (inWindow === 0) return null
    at += inWindow
  }
  return null
}

/**
 * Largest timestamp of a segment's batches that hold records, -1 if there is none: compaction leaves batches without any, which keep the
 * timestamp they had. Reads all headers, off the event loop. Rejects with `DiskError`.
 */
export async function largestRecordTimestamp(segment: Segment): Promise<TimestampMs> {
  const { writtenBytes } = segment
  let largest = -1
  for (let at = 0; at + BATCH_HEADER_BYTES <= writtenBytes; ) {
    const window = await readRange(segment, at, Math.min(WINDOW_BYTES, writtenBytes - at))
    let inWindow = 0
    while (inWindow + BATCH_HEADER_BYTES <= window.length) {
      const sizeBytes = batchSizeOf(window, inWindow)
      if (sizeBytes < BATCH_HEADER_BYTES) return largest
      if (recordCountOf(window, inWindow) > 0) largest = Math.max(largest, maxTimestampOf(window, inWindow))
      inWindow += sizeBytes
    }
    if (inWindow === 0) return largest
    at += inWindow
  }
  return largest
}

/**
 * Whether what indexes say of a place in the log is so: the batch at `position` ends with `lastOffset` (-1: whatever it is), and, on from
 * there, one ends with the offset of `named` and has its timestamp (null: none need be). Reads off the event loop. Rejects with `DiskError`.
 */
export async function confirmsIndexes(
  segment: Segment,
  position: number,
  lastOffset: Offset,
  named: { timestamp: TimestampMs; offset: Offset } | null,
): Promise<boolean> {
  if (lastOffset < 0 && named === null) return true
  const { writtenBytes } = segment
  let at = position
  while (at + BATCH_HEADER_BYTES <= writtenBytes) {
    const window = await readRange(segment, at, Math.min(PROBE_BYTES, writtenBytes - at))
    let inWindow = 0
    while (inWindow + BATCH_HEADER_BYTES <= window.length) {
      const sizeBytes = batchSizeOf(window, inWindow)
      const endsWith = lastOffsetOf(window, inWindow)
      if (sizeBytes < BATCH_HEADER_BYTES) return false
      if (at + inWindow === position && lastOffset >= 0 && endsWith !== lastOffset) return false
      if (named === null) return true
      if (endsWith >= named.offset) {
        return endsWith === named.offset && maxTimestampOf(window, inWindow) === named.timestamp
      }
      inWindow += sizeBytes
    }
    if (inWindow === 0) return false
    at += inWindow
  }
  return false
}

function findInBatch(batch: Buffer, timestamp: TimestampMs, startOffset: Offset): FoundOffset | null {
  const reader = new RecordReader()
  const baseOffset = baseOffsetOf(batch, 0)
  reader.open(batch, 0)
  while (reader.next()) {
    const offset = baseOffset + reader.offsetDelta
    const recordTimestamp = Number(reader.timestamp)
    if (recordTimestamp < timestamp || offset < startOffset) continue
    return { offset, timestamp: recordTimestamp, leaderEpoch: partitionLeaderEpochOf(batch, 0) }
  }
  return null
}

async function readRange(segment: Segment, position: number, sizeBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(sizeBytes)
  return buffer.subarray(0, await segment.file().readAsync(buffer, 0, sizeBytes, position))
}
