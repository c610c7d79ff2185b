import {
  attributesOf,
  BatchCursor,
  baseOffsetOf,
  CorruptBatchError,
  DELETE_HORIZON_BIT,
  lastOffsetOf,
  RecordReader,
} from '@millrace/protocol'
import { reasonOf, type WalkedBatch } from './segment-walk.ts'

/** What is looked at besides the checksum. */
export interface BatchChecks {
  /** The records, which have to be expanded for it. */
  records: boolean
  /** Order among the batches and attributes. */
  order: boolean
}

/** Bits of the attributes that have a meaning: the highest is the last. */
const DEFINED_BITS = 2 * DELETE_HORIZON_BIT - 1

/**
 * Everything that is wrong with a batch that may follow one that ended before `expectedOffset`. The checksum is always looked at; where it
 * does not match, nothing else is said, since nothing else can be believed.
 */
export function problemsOf(batch: WalkedBatch, expectedOffset: number, checks: BatchChecks): string[] {
  const { buffer, start, sizeBytes, magic } = batch
  const problems: string[] = []
  attempt(problems, () => {
    const cursor = new BatchCursor(buffer, start, start + sizeBytes)
    cursor.next()
    cursor.checkCrc()
  })
  if (problems.length > 0) return problems
  if (checks.order && magic === 2) {
    const baseOffset = baseOffsetOf(buffer, start)
    if (baseOffset < expectedOffset) problems.push(`base offset ${baseOffset} is below the expected ${expectedOffset}`)
    if ((attributesOf(buffer, start) & ~DEFINED_BITS) !== 0) problems.push('attribute bits that are not defined')
  }
  if (checks.records) attempt(problems, () => checkRecords(batch, problems))
  return problems
}

/** Offset of the last record. In old formats a message has its own, a compressed one that of the last inside. */
export function lastOffsetIn({ buffer, start, magic }: WalkedBatch): number {
  return magic < 2 ? baseOffsetOf(buffer, start) : lastOffsetOf(buffer, start)
}

function checkRecords(batch: WalkedBatch, problems: string[]): void {
  const reader = new RecordReader()
  reader.open(batch.buffer, batch.start)
  let last = Number.NEGATIVE_INFINITY
  while (reader.next()) {
    if (reader.offset <= last) problems.push(`offset ${reader.offset} follows ${last}`)
    last = reader.offset
  }
  if (last > lastOffsetIn(batch)) problems.push(`record ${last} is behind the batch's last offset`)
}

function attempt(problems: string[], check: () => void): void {
  try {
    check()
  } catch (error) {
    if (!(error instanceof CorruptBatchError)) throw error
    problems.push(reasonOf(error))
  }
}
