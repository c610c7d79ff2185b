import type { StoredBatch, StoredRecord, StoredSegment } from '../stored-batches.ts'

/** When the records of {@link batch} were written. */
export const WRITTEN_MS = 50_000

/** A batch of records with these keys and values, of no producer. */
export function batch(
  baseOffset: number,
  entries: readonly (readonly [key: string, value: string | null])[],
  more: Partial<StoredBatch> = {},
): StoredBatch {
  const records = entries.map(([key, value], slot): StoredRecord => {
    return { offset: baseOffset + slot, timestamp: WRITTEN_MS, key, value, headers: '\0' }
  })
  return {
    baseOffset,
    lastOffset: baseOffset + entries.length - 1,
    leaderEpoch: 1,
    isTransactional: false,
    isControl: false,
    horizonMs: null,
    maxTimestamp: WRITTEN_MS,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    marker: null,
    records,
    ...more,
  }
}

/** The end of a transaction of producer 7. */
export function marker(offset: number, kind: 'commit' | 'abort', more: Partial<StoredBatch> = {}): StoredBatch {
  const key = `\0\0\0${kind === 'commit' ? '\x01' : '\0'}`
  const control = { isControl: true, isTransactional: true, marker: kind, producerId: 7, producerEpoch: 0 }
  return batch(offset, [[key, '']], { ...control, ...more })
}

/** A batch of which nothing but the header is left. */
export function emptied(full: StoredBatch): StoredBatch {
  return { ...full, records: [], marker: null, horizonMs: null }
}

/** One of which only some records are left, by their offsets. */
export function thinned(full: StoredBatch, ...offsets: number[]): StoredBatch {
  return { ...full, records: full.records.filter(({ offset }) => offsets.includes(offset)) }
}

export function segment(baseOffset: number, ...batches: StoredBatch[]): StoredSegment {
  return { baseOffset, batches }
}
