import type { Offset } from '@millrace/base'
import { CorruptBatchError, ErrorCode, isControlBatch, RecordReader } from '@millrace/protocol'
import { ReadResult } from '@millrace/storage'
import type { Partition } from '../../partition/partition.ts'
import { batchesIn } from '../fetch/log-batches.ts'
import type { DeadLetter, SourceRecord } from './dead-letter-batch.ts'

const READ_BYTES = 256 * 1024
/**
 * Letters, and bytes of the records copied for them, that are made in one go. A batch may hold, or claim to hold, any number of records: what
 * a producer compresses nobody looks into before it is stored.
 */
const MAX_LETTERS = 1000
const MAX_COPIED_BYTES = 1024 * 1024

/** Letters for the records of `[startOffset, endOffset)`; the offset up to which they go. */
export interface SourceLetters {
  readonly letters: readonly DeadLetter[]
  readonly endOffset: Offset
}

/**
 * Reads the records that dead letters are about, as far as one read goes, and no more than are to be had in memory; `copies`: their contents
 * as well. Offsets at which there is no record any more, or never was one (markers of transactions, what compaction took), get no letter;
 * records that were deleted, or cannot be made out, get one that says so, very many of them one for all. Null: it cannot be told yet. A new
 * leader does not know at once what is committed, and what it does not know is not gone. Rejects with errors of the disk.
 */
export async function readSource(
  partition: Partition,
  startOffset: Offset,
  endOffset: Offset,
  copies: boolean,
): Promise<SourceLetters | null> {
  const { log } = partition
  if (startOffset < log.logStartOffset) {
    const deletedEnd = Math.min(endOffset, log.logStartOffset)
    return { letters: emptyLetters(startOffset, deletedEnd, 'the record was deleted before'), endOffset: deletedEnd }
  }
  if (endOffset > log.highWatermark) return null
  const out = new ReadResult()
  const isRead = await log.read(startOffset, READ_BYTES, log.highWatermark, true, out)
  if (partition.log !== log) return null
  if (!isRead) return onUnreadable(partition, startOffset, endOffset, out.errorCode)
  // All of them were taken by compaction.
  if (out.sizeBytes === 0) return { letters: [], endOffset }
  return lettersIn(out.buffers, startOffset, endOffset, copies)
}

/** What is known to be lost is told so, and only that; anything else may pass. */
function onUnreadable(
  partition: Partition,
  startOffset: Offset,
  endOffset: Offset,
  errorCode: number,
): SourceLetters | null {
  if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return null
  const damage = partition.log.faultyRanges.find(
    (range) => range.startOffset <= startOffset && startOffset < range.endOffset,
  )
  // Another replica may have it, and mends this one.
  if (partition.replicaCount > 1 || (damage === undefined && errorCode !== ErrorCode.CORRUPT_MESSAGE)) return null
  const damagedEnd = Math.min(endOffset, damage?.endOffset ?? startOffset + 1)
  return {
    letters: emptyLetters(startOffset, damagedEnd, 'the record is lost by damage of the disk'),
    endOffset: damagedEnd,
  }
}

function lettersIn(buffers: readonly Buffer[], startOffset: Offset, endOffset: Offset, copies: boolean): SourceLetters {
  const letters: DeadLetter[] = []
  let copiedBytes = 0
  let readEnd = startOffset
  for (const batch of batchesIn(buffers)) {
    if (batch.startOffset >= endOffset) {
      readEnd = endOffset
      break
    }
    const from = Math.max(startOffset, batch.startOffset)
    const end = Math.min(endOffset, batch.endOffset)
    readEnd = end
    // The marker of a transaction is nothing that anybody could have processed.
    if (isControlBatch(batch.buffer, batch.position)) continue
    try {
      for (const record of recordsOf(batch.buffer, batch.position, from, end, copies)) {
        if (letters.length >= MAX_LETTERS || copiedBytes > MAX_COPIED_BYTES)
          return { letters, endOffset: record.offset }
        letters.push({ offset: record.offset, record: copies ? record : null, note: null })
        copiedBytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      }
    } catch (error) {
      if (!(error instanceof CorruptBatchError)) throw error
      // Of this batch only: which of its records there are cannot be told any more.
      const told = letters.at(-1)?.offset ?? -1
      letters.push(...emptyLetters(Math.max(from, told + 1), end, 'the record cannot be read'))
    }
  }
  return { letters, endOffset: Math.max(readEnd, startOffset + 1) }
}

/** `copies`: with their contents, of which these are copies: the batch may be a view of the log, or be expanded into memory of its own. */
function* recordsOf(
  buffer: Buffer,
  position: number,
  startOffset: Offset,
  endOffset: Offset,
  copies: boolean,
): Generator<SourceRecord> {
  const reader = new RecordReader()
  reader.open(buffer, position)
  while (reader.next()) {
    const { offset } = reader
    if (offset < startOffset || offset >= endOffset) continue
    if (!copies) {
      yield { offset, key: null, value: null, headers: [] }
      continue
    }
    const headers = reader.headers().map(({ key, value }) => ({ key, value: copyOf(value) }))
    yield { offset, key: copyOf(reader.key()), value: copyOf(reader.value()), headers }
  }
}

function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}

/** One letter each, unless they are more than anybody would read, if they ever were there. */
function emptyLetters(startOffset: Offset, endOffset: Offset, note: string): DeadLetter[] {
  const count = endOffset - startOffset
  if (count > MAX_LETTERS) {
    return [{ offset: startOffset, record: null, note: `${note}, nor can the ${count - 1} behind it be had` }]
  }
  const letters: DeadLetter[] = []
  for (let offset = startOffset; offset < endOffset; offset++) letters.push({ offset, record: null, note })
  return letters
}
