import { ArgumentError } from '../errors/client-errors.ts'

/** Bytes of a key, value or header: text is written as UTF-8, null stays null (a tombstone, as a value). */
export type Bytes = Buffer | Uint8Array | string | null

/** Header names with their values; a name may come more than once, so a list of pairs says everything and an object is short. */
export type HeadersInput =
  | readonly (readonly [name: string, value: Bytes])[]
  | Readonly<Record<string, Bytes | readonly Bytes[]>>

/** One record to produce. */
export interface ProducerRecord {
  topic: string
  value: Bytes
  key?: Bytes
  headers?: HeadersInput
  /** Left out: the partitioner chooses. */
  partition?: number
  /** Milliseconds since the Unix epoch; left out: now. */
  timestamp?: number
}

/** Where a record is stored. */
export interface RecordMetadata {
  topic: string
  partition: number
  /** -1n if the broker did not say (`acks` 0, or a duplicate it no longer knows the place of). */
  offset: bigint
  /** The record's timestamp as stored: the broker's when the topic uses LogAppendTime. */
  timestamp: number
}

/** One header in the form of the wire. */
export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** The bytes in a form that goes into a batch as it is: text is not copied before. Hot path. */
export function toValue(bytes: Bytes | undefined): Buffer | string | null {
  return typeof bytes === 'string' ? bytes : toBuffer(bytes)
}

/** The bytes as a buffer, without copying what is one already. Hot path. */
export function toBuffer(bytes: Bytes | undefined): Buffer | null {
  if (bytes === null || bytes === undefined) return null
  if (typeof bytes === 'string') return Buffer.from(bytes, 'utf8')
  if (Buffer.isBuffer(bytes)) return bytes
  if (bytes instanceof Uint8Array) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  throw new ArgumentError('record', 'keys, values and header values must be a string, bytes or null')
}

/** Headers in the form of the wire, in the order given; null for none. */
export function toHeaders(headers: HeadersInput | undefined): readonly RecordHeader[] | null {
  if (headers === undefined) return null
  if (Array.isArray(headers)) {
    return (headers as readonly (readonly [string, Bytes])[]).map(([key, value]) => ({ key, value: toBuffer(value) }))
  }
  const list: RecordHeader[] = []
  for (const [key, value] of Object.entries(headers as Readonly<Record<string, Bytes | readonly Bytes[]>>)) {
    if (Array.isArray(value)) for (const one of value as readonly Bytes[]) list.push({ key, value: toBuffer(one) })
    else list.push({ key, value: toBuffer(value as Bytes) })
  }
  return list
}
