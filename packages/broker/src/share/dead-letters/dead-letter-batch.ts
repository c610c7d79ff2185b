import type { Offset, TimestampMs } from '@millrace/base'
import { BATCH_HEADER_BYTES, BatchBuilder, type RecordHeaderInput } from '@millrace/protocol'
import type { FailureReason } from '../window/record-range.ts'

/** Headers of dead letters (KIP-1191). */
const HEADERS = {
  topic: '__dlq.errors.topic',
  partition: '__dlq.errors.partition',
  offset: '__dlq.errors.offset',
  group: '__dlq.errors.group',
  deliveryCount: '__dlq.errors.delivery.count',
  message: '__dlq.errors.message',
} as const

const MESSAGES: Readonly<Record<FailureReason, string>> = {
  rejected: 'rejected by a consumer',
  'delivery-limit': 'delivered as often as the limit of the group allows',
}

/** Around a record's own bytes: lengths, deltas, the count of headers. */
const RECORD_OVERHEAD_BYTES = 32
const HEADER_OVERHEAD_BYTES = 10

/** A record as it stands in its topic. */
export interface SourceRecord {
  readonly offset: Offset
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeaderInput[]
}

/** What is to be told of a record that was given up. */
export interface DeadLetter {
  readonly offset: Offset
  /** Null: it cannot be had, or is not to be copied. */
  readonly record: SourceRecord | null
  /** Why there is no copy though there should be; null: there is one, or none is wanted. */
  readonly note: string | null
}

/** Where dead letters come from. */
export interface DeadLetterOrigin {
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  readonly deliveryCount: number
  readonly reason: FailureReason
}

/** A dead letter that says no more than which record it is about, and why it says no more. */
export function withoutContents({ offset }: DeadLetter, note: string): DeadLetter {
  return { offset, record: null, note }
}

/**
 * Puts dead letters into batches of at most `maxBytes` each, in order; one that is larger by itself gets a batch of its own. `letters` must
 * not be empty.
 */
export function splitLetters(
  letters: readonly DeadLetter[],
  origin: DeadLetterOrigin,
  maxBytes: number,
): DeadLetter[][] {
  const batches: DeadLetter[][] = []
  let sizeBytes = Number.POSITIVE_INFINITY
  for (const letter of letters) {
    const letterBytes = sizeOf(letter, origin)
    if (sizeBytes + letterBytes > maxBytes) {
      batches.push([])
      sizeBytes = BATCH_HEADER_BYTES
    }
    batches.at(-1)!.push(letter)
    sizeBytes += letterBytes
  }
  return batches
}

/** One batch, uncompressed, without a producer. */
export function encodeLetters(
  letters: readonly DeadLetter[],
  origin: DeadLetterOrigin,
  timestampMs: TimestampMs,
): Buffer {
  const builder = new BatchBuilder()
  for (const letter of letters) {
    const { record } = letter
    builder.append(timestampMs, record?.key ?? null, record?.value ?? null, headersOf(letter, origin))
  }
  return builder.build()
}

function headersOf(letter: DeadLetter, origin: DeadLetterOrigin): RecordHeaderInput[] {
  const { offset, record, note } = letter
  const message = note === null ? MESSAGES[origin.reason] : `${MESSAGES[origin.reason]}; ${note}`
  return [
    ...(record?.headers ?? []),
    header(HEADERS.topic, origin.topic),
    header(HEADERS.partition, String(origin.partition)),
    header(HEADERS.offset, String(offset)),
    header(HEADERS.group, origin.groupId),
    header(HEADERS.deliveryCount, String(origin.deliveryCount)),
    header(HEADERS.message, message),
  ]
}

function header(key: string, text: string): RecordHeaderInput {
  return { key, value: Buffer.from(text) }
}

/** At least as much as it takes in a batch. */
function sizeOf(letter: DeadLetter, origin: DeadLetterOrigin): number {
  let sizeBytes = RECORD_OVERHEAD_BYTES + (letter.record?.key?.length ?? 0) + (letter.record?.value?.length ?? 0)
  for (const { key, value } of headersOf(letter, origin)) {
    sizeBytes += HEADER_OVERHEAD_BYTES + Buffer.byteLength(key) + (value?.length ?? 0)
  }
  return sizeBytes
}
