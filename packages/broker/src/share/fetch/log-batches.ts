import type { Offset } from '@millrace/base'
import {
  BatchCursor,
  baseOffsetOf,
  ControlRecordType,
  controlTypeOf,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetOf,
  producerIdOf,
  RecordReader,
} from '@millrace/protocol'
import type { Acquired, LogBatchSpan } from '../window/acquire.ts'

/** A batch in what was read: where it stands, and what of. */
export interface ReadBatch extends LogBatchSpan {
  readonly buffer: Buffer
  readonly position: number
  readonly sizeBytes: number
}

/**
 * The batches in some buffers, in order: those that begin before `neededEnd`, and in any case those within `minCount` offsets of the first, which
 * may stand behind a gap. Throws `CorruptBatchError` where the headers are none.
 */
export function batchesIn(
  buffers: readonly Buffer[],
  neededEnd: Offset = Number.POSITIVE_INFINITY,
  minCount = 0,
): ReadBatch[] {
  const batches: ReadBatch[] = []
  for (const buffer of buffers) {
    const cursor = new BatchCursor(buffer)
    while (cursor.next()) {
      const { position, sizeInBytes: sizeBytes } = cursor
      const startOffset = baseOffsetOf(buffer, position)
      if (batches.length > 0 && startOffset >= Math.max(neededEnd, batches[0]!.startOffset + minCount)) return batches
      batches.push({ startOffset, endOffset: lastOffsetOf(buffer, position) + 1, buffer, position, sizeBytes })
    }
  }
  return batches
}

/** The bytes of the batches that hold what was acquired, from the first to the last of them. */
export function cutRecords(batches: readonly ReadBatch[], acquired: readonly Acquired[]): Buffer[] {
  const firstOffset = acquired[0]!.firstOffset
  const lastOffset = acquired.at(-1)!.lastOffset
  const cut: Buffer[] = []
  for (const { startOffset, endOffset, buffer, position, sizeBytes } of batches) {
    if (endOffset <= firstOffset || startOffset > lastOffset) continue
    cut.push(buffer.subarray(position, position + sizeBytes))
  }
  return cut
}

/**
 * Those of the batches that are of aborted transactions. `aborted` are the transactions that the log knows of, by the offset of their first
 * record; one ends with its marker. Throws `CorruptBatchError` for a marker that is none.
 */
export function abortedBatches(
  batches: readonly ReadBatch[],
  aborted: readonly { readonly producerId: number; readonly firstOffset: Offset }[],
): LogBatchSpan[] {
  if (aborted.length === 0) return []
  const pending = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
  const open = new Set<number>()
  const hidden: LogBatchSpan[] = []
  let next = 0
  for (const { startOffset, endOffset, buffer, position } of batches) {
    for (; next < pending.length && pending[next]!.firstOffset < endOffset; next++) open.add(pending[next]!.producerId)
    const producerId = producerIdOf(buffer, position)
    if (!isTransactionalBatch(buffer, position)) continue
    if (isControlBatch(buffer, position)) {
      if (isAbortMarker(buffer, position)) open.delete(producerId)
    } else if (open.has(producerId)) {
      hidden.push({ startOffset, endOffset })
    }
  }
  return hidden
}

function isAbortMarker(buffer: Buffer, position: number): boolean {
  const reader = new RecordReader()
  reader.open(buffer, position)
  return reader.next() && controlTypeOf(reader) === ControlRecordType.ABORT
}
