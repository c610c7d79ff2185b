import { int32At, int64At, LOG_OVERHEAD_BYTES, magicOf } from './batch-header.ts'
import { CorruptBatchError } from './corrupt-batch-error.ts'

/**
 * Messages of formats 0 and 1, before KIP-98: offset i64, size i32, crc u32 (CRC-32 of all that follows it), magic i8, attributes i8,
 * with magic 1 timestamp i64, then key and value as bytes of an int32 length, -1 for null. A compressed message holds a message set
 * in its value. Kafka 4 neither takes nor writes them; clients meet them in what older brokers stored.
 */

/** Size of a message of format 0 without key and value, overhead included. Format 1 has 8 more for the timestamp. */
export const LEGACY_MIN_BYTES = 26

const CRC_POSITION = 12
const MAGIC_POSITION = 16
const ATTRIBUTES_POSITION = 17
const TIMESTAMP_POSITION = 18

/** Codec, bits 0–2, of the message at `position`. */
export function legacyCodecOf(buffer: Buffer, position: number): number {
  return buffer[position + ATTRIBUTES_POSITION]! & 0x07
}

/** Whether a message of format 1 carries the broker's time. */
export function legacyHasLogAppendTime(buffer: Buffer, position: number): boolean {
  return magicOf(buffer, position) === 1 && (buffer[position + ATTRIBUTES_POSITION]! & 0x08) !== 0
}

/** The message's own timestamp, -1 with format 0. */
export function legacyTimestampOf(buffer: Buffer, position: number): number {
  return magicOf(buffer, position) === 0 ? -1 : int64At(buffer, position + TIMESTAMP_POSITION)
}

/** Where the length of the key stands. */
export function legacyKeyPosition(buffer: Buffer, position: number): number {
  return position + TIMESTAMP_POSITION + (magicOf(buffer, position) === 0 ? 0 : 8)
}

/** The stored checksum, unsigned. */
export function legacyCrcOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + CRC_POSITION) >>> 0
}

/** Size of the message at `position` by its size field, overhead included. */
export function legacySizeOf(buffer: Buffer, position: number): number {
  return int32At(buffer, position + 8) + LOG_OVERHEAD_BYTES
}

/** Whether the message of `sizeInBytes` has the checksum that it stores. */
export function legacyCrcOk(buffer: Buffer, position: number, sizeInBytes: number): boolean {
  return crc32(buffer, position + MAGIC_POSITION, position + sizeInBytes) === legacyCrcOf(buffer, position)
}

/** One uncompressed message as it is written; `timestamp` is left out with format 0. */
export interface LegacyMessage {
  readonly offset: number | bigint
  readonly timestamp: number | bigint
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

/**
 * Encodes uncompressed messages one after another; `attributes` 8 marks the timestamps of format 1 as the broker's. For tests and tools:
 * nothing of ours produces these formats.
 */
export function encodeMessageSet(magic: 0 | 1, messages: readonly LegacyMessage[], attributes: 0 | 8 = 0): Buffer {
  return Buffer.concat(messages.map((message) => encodeMessage(magic, attributes, message)))
}

/** Encodes one message; with a codec in `attributes`, `message.value` is the compressed inner set. For tests and tools. */
export function encodeMessage(magic: 0 | 1, attributes: number, message: LegacyMessage): Buffer {
  const { key, value } = message
  const bytes = Buffer.alloc(LEGACY_MIN_BYTES + 8 * magic + (key?.length ?? 0) + (value?.length ?? 0))
  bytes.writeBigInt64BE(BigInt(message.offset), 0)
  bytes.writeInt32BE(bytes.length - LOG_OVERHEAD_BYTES, 8)
  bytes[MAGIC_POSITION] = magic
  bytes[ATTRIBUTES_POSITION] = attributes
  if (magic === 1) bytes.writeBigInt64BE(BigInt(message.timestamp), TIMESTAMP_POSITION)
  let position = legacyKeyPosition(bytes, 0)
  for (const field of [key, value]) {
    position = bytes.writeInt32BE(field === null ? -1 : field.length, position)
    if (field !== null) bytes.set(field, position)
    position += field?.length ?? 0
  }
  bytes.writeUInt32BE(crc32(bytes, MAGIC_POSITION, bytes.length), CRC_POSITION)
  return bytes
}

/** Throws unless the offset, size and fixed fields of an inner message fit into `bytes[position, end)`; returns its size. */
export function checkedInnerSize(bytes: Buffer, position: number, end: number, batchPosition: number): number {
  if (end - position >= LEGACY_MIN_BYTES) {
    const size = legacySizeOf(bytes, position)
    const magic = magicOf(bytes, position)
    if ((magic === 0 || magic === 1) && size >= LEGACY_MIN_BYTES + 8 * magic && size <= end - position) return size
  }
  throw new CorruptBatchError('record', batchPosition, 'an inner message is cut off or has an impossible size')
}

const CRC_TABLE = buildTable()

function buildTable(): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let register = byte
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? 0xedb88320 : 0)
    table[byte] = register
  }
  return table
}

/** CRC-32 (the one of zlib) of `buffer[start, end)`, unsigned, continuing `crc`. */
export function crc32(buffer: Uint8Array, start: number, end: number, crc = 0): number {
  let register = ~crc
  for (let position = start; position < end; position++) {
    register = (register >>> 8) ^ CRC_TABLE[(register ^ buffer[position]!) & 0xff]!
  }
  return ~register >>> 0
}
