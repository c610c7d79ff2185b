import { ErrorCode, recordsBuffer, type ShareFetchResponsePartitionData } from '@millrace/protocol'
import type { ConsumerRecord } from '../consumer/consumer-record.ts'
import { FetchedChunk } from '../consumer/fetched-chunk.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { Acknowledgements } from './acknowledgements.ts'
import type { SharePartition } from './share-session.ts'

/** One record as a share group delivers it. As with `ConsumerRecord`, copy what you keep for long. */
export class ShareRecord {
  /** How often it was delivered, this time included: from 1 up. */
  readonly deliveryCount: number
  readonly #record: ConsumerRecord

  constructor(record: ConsumerRecord, deliveryCount: number) {
    this.#record = record
    this.deliveryCount = deliveryCount
  }

  get topic(): string {
    return this.#record.topic
  }

  get partition(): number {
    return this.#record.partition
  }

  get offset(): bigint {
    return this.#record.offset
  }

  get timestamp(): number {
    return this.#record.timestamp
  }

  get key(): Buffer | null {
    return this.#record.key
  }

  get value(): Buffer | null {
    return this.#record.value
  }

  get headers(): ConsumerRecord['headers'] {
    return this.#record.headers
  }

  /** The record as plain data, as loggers show it. */
  toJSON(): Record<string, unknown> {
    return { ...this.#record.toJSON(), deliveryCount: this.deliveryCount }
  }
}

/** What one answer brought for one partition. */
export interface AcquiredRecords {
  records: ShareRecord[]
  /** To be sent without asking the application: gaps, and what cannot be read. */
  acknowledgements: Acknowledgements
  /** Why some could not be read, or null. */
  failure: unknown
}

/** No broker gives so many away at once: its limit of locks is 10,000 a partition at most. Gaps count, so that memory is bounded. */
const MAX_ACQUIRED = 1_000_000

/**
 * The records that were acquired, among the whole batches that came with them. Acquired offsets without a record are gaps. Where bytes
 * are damaged, the rest of the acquired range is rejected, since it would come back damaged, and ranges behind it are released.
 */
export function readAcquired(
  place: SharePartition,
  answer: ShareFetchResponsePartitionData,
  options: { checkCrcs: boolean; maxExpandedBatchBytes: number },
): AcquiredRecords {
  const ranges = answer.acquiredRecords.map(({ firstOffset, lastOffset, deliveryCount }) => {
    return { first: Number(firstOffset), last: Number(lastOffset), deliveryCount }
  })
  const acknowledgements = new Acknowledgements()
  if (ranges.length === 0) return { records: [], acknowledgements, failure: null }
  const acquiredCount = ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0)
  if (acquiredCount > MAX_ACQUIRED) {
    const message = `the broker gave away ${acquiredCount} offsets at once`
    return {
      records: [],
      acknowledgements,
      failure: new ProtocolError(ErrorCode.UNKNOWN_SERVER_ERROR, { ...place, message }),
    }
  }
  const { found, failure, readUpTo } = decode(place, recordsBuffer(answer.records), ranges[0]!.first, options)
  const records: ShareRecord[] = []
  const byOffset = new Map(found.map((record) => [Number(record.offset), record]))
  for (const { first, last, deliveryCount } of ranges) {
    for (let offset = first; offset <= last; offset++) {
      const record = byOffset.get(offset)
      if (record !== undefined) records.push(new ShareRecord(record, deliveryCount))
      else if (offset < readUpTo) acknowledgements.add(offset, 'gap')
      else acknowledgements.add(offset, first <= readUpTo ? 'reject' : 'release')
    }
  }
  return { records, acknowledgements, failure }
}

function decode(
  { topic, partition }: SharePartition,
  records: Buffer | null,
  startOffset: number,
  { checkCrcs, maxExpandedBatchBytes }: { checkCrcs: boolean; maxExpandedBatchBytes: number },
): { found: ConsumerRecord[]; failure: unknown; readUpTo: number } {
  const found: ConsumerRecord[] = []
  let readUpTo = startOffset
  try {
    const chunk = new FetchedChunk({
      topic,
      partition,
      records: records ?? Buffer.alloc(0),
      startOffset,
      abortedTransactions: null,
      checkCrcs,
      maxExpandedBytes: maxExpandedBatchBytes,
    })
    try {
      chunk.read(Number.MAX_SAFE_INTEGER, found)
    } finally {
      readUpTo = chunk.nextOffset
    }
    return { found, failure: null, readUpTo: Number.MAX_SAFE_INTEGER }
  } catch (failure) {
    return { found, failure, readUpTo }
  }
}
