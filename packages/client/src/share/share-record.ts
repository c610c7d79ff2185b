import { CorruptBatchError, ErrorCode, recordsBuffer, type ShareFetchResponsePartitionData } from '@millrace/protocol'
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

/** What a batch of any format begins with. */
const OFFSET_BYTES = 8

/** No broker gives so many away at once: its limit of locks is 10,000 a partition at most. Gaps count, so that memory is bounded. */
const MAX_ACQUIRED = 1_000_000

/**
 * The records that were acquired, among the whole batches that came with them. Acquired offsets without a record are gaps. A batch that
 * cannot be read is rejected, since it would come back the same, and no record but its own; where not even batches can be told apart what
 * follows is released.
 */
export function readAcquired(
  place: SharePartition,
  answer: ShareFetchResponsePartitionData,
  options: DecodeOptions,
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
  const decoded = decode(place, recordsBuffer(answer.records) ?? Buffer.alloc(0), ranges[0]!.first, options)
  const { unreadable, unknownFrom, failure } = decoded
  const records: ShareRecord[] = []
  const byOffset = new Map(decoded.found.map((record) => [Number(record.offset), record]))
  let slot = 0
  for (const { first, last, deliveryCount } of ranges) {
    for (let offset = first; offset <= last; offset++) {
      while (slot < unreadable.length && unreadable[slot]!.endOffset <= offset) slot++
      const record = byOffset.get(offset)
      if (record !== undefined) records.push(new ShareRecord(record, deliveryCount))
      else if (offset >= unknownFrom) acknowledgements.add(offset, 'release')
      else acknowledgements.add(offset, (unreadable[slot]?.startOffset ?? last + 1) <= offset ? 'reject' : 'gap')
    }
  }
  return { records, acknowledgements, failure }
}

interface DecodeOptions {
  readonly checkCrcs: boolean
  readonly maxExpandedBatchBytes: number
}

interface Decoded {
  readonly found: ConsumerRecord[]
  /** What cannot be read, ascending: from where reading ended in a batch to where the next one begins. */
  readonly unreadable: { readonly startOffset: number; readonly endOffset: number }[]
  /** From here on nothing can be told. */
  unknownFrom: number
  /** The first thing that went wrong, or null. */
  failure: unknown
}

function decode(
  { topic, partition }: SharePartition,
  records: Buffer,
  startOffset: number,
  { checkCrcs, maxExpandedBatchBytes }: DecodeOptions,
): Decoded {
  const decoded: Decoded = { found: [], unreadable: [], unknownFrom: Number.POSITIVE_INFINITY, failure: null }
  const options = { topic, partition, startOffset, abortedTransactions: null, checkCrcs }
  for (let rest = records; ; ) {
    let chunk: FetchedChunk
    try {
      chunk = new FetchedChunk({ ...options, records: rest, maxExpandedBytes: maxExpandedBatchBytes })
    } catch (failure) {
      if (!(failure instanceof CorruptBatchError)) throw failure
      decoded.failure = failure
      decoded.unknownFrom = startOffset
      return decoded
    }
    try {
      chunk.read(Number.MAX_SAFE_INTEGER, decoded.found)
      return decoded
    } catch (failure) {
      decoded.failure ??= failure
      rest = rest.subarray(chunk.batchEndBytes)
      // Up to the next batch, since where this one ends stands in what is damaged.
      const endOffset = rest.length < OFFSET_BYTES ? Number.POSITIVE_INFINITY : Number(rest.readBigInt64BE(0))
      decoded.unreadable.push({ startOffset: chunk.nextOffset, endOffset })
    }
  }
}
