/** A record as a log file holds it. Keys and values as latin1 text, which tells any two of them apart. */
export interface StoredRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: string
}

/** A batch as a log file holds it. */
export interface StoredBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly isTransactional: boolean
  readonly isControl: boolean
  /** When its tombstones, or the marker that it is, may go; null: nobody has said so yet. */
  readonly horizonMs: number | null
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Of a batch that ends a transaction; null: it does not, or it is empty. */
  readonly marker: 'commit' | 'abort' | null
  readonly records: readonly StoredRecord[]
}

/** The batches of one log file. */
export interface StoredSegment {
  readonly baseOffset: number
  readonly batches: readonly StoredBatch[]
}

const HEADER_BYTES = 61
/** Of the header: base offset and length. */
const PREFIX_BYTES = 12
const MAGIC = 2
const CHECKSUM_AT = 17
const CHECKED_FROM = 21

/**
 * Reads the contents of a log file (KIP-98; zeros behind the last batch are room that is not written yet), with no help from the code that
 * wrote it. Null: a batch is compressed or damaged, and nothing is told.
 */
export function readSegment(bytes: Buffer, baseOffset: number): StoredSegment | null {
  const batches: StoredBatch[] = []
  for (let position = 0; position + HEADER_BYTES <= bytes.length; ) {
    const end = position + PREFIX_BYTES + bytes.readInt32BE(position + 8)
    if (bytes[position + 16] === 0) break
    if (bytes[position + 16] !== MAGIC || end < position + HEADER_BYTES || end > bytes.length) return null
    if ((bytes[position + 22]! & 0x07) !== 0) return null
    if (checksumOf(bytes, position + CHECKED_FROM, end) !== bytes.readUInt32BE(position + CHECKSUM_AT)) return null
    batches.push(readBatch(bytes, position, end))
    position = end
  }
  return { baseOffset, batches }
}

function readBatch(bytes: Buffer, position: number, end: number): StoredBatch {
  const baseOffset = Number(bytes.readBigInt64BE(position))
  const attributes = bytes[position + 22]!
  const isControl = (attributes & 0x20) !== 0
  const baseTimestamp = Number(bytes.readBigInt64BE(position + 27))
  const cursor = { bytes, position: position + HEADER_BYTES }
  const records: StoredRecord[] = []
  const count = bytes.readInt32BE(position + 57)
  for (let slot = 0; slot < count && cursor.position < end; slot++) {
    records.push(readRecord(cursor, baseOffset, baseTimestamp))
  }
  return {
    baseOffset,
    lastOffset: baseOffset + bytes.readInt32BE(position + 23),
    leaderEpoch: bytes.readInt32BE(position + 12),
    isTransactional: (attributes & 0x10) !== 0,
    isControl,
    horizonMs: (attributes & 0x40) === 0 ? null : baseTimestamp,
    maxTimestamp: Number(bytes.readBigInt64BE(position + 35)),
    producerId: Number(bytes.readBigInt64BE(position + 43)),
    producerEpoch: bytes.readInt16BE(position + 51),
    baseSequence: bytes.readInt32BE(position + 53),
    marker: isControl && records.length > 0 ? markerOf(records[0]!) : null,
    records,
  }
}

interface Cursor {
  readonly bytes: Buffer
  position: number
}

function readRecord(cursor: Cursor, baseOffset: number, baseTimestamp: number): StoredRecord {
  const length = readVarint(cursor)
  const end = cursor.position + length
  // Its attributes say nothing.
  cursor.position++
  const timestamp = baseTimestamp + readVarint(cursor)
  const offset = baseOffset + readVarint(cursor)
  const key = readText(cursor)
  const value = readText(cursor)
  const headers = cursor.bytes.toString('latin1', cursor.position, end)
  cursor.position = end
  return { offset, timestamp, key, value, headers }
}

function readText(cursor: Cursor): string | null {
  const length = readVarint(cursor)
  if (length < 0) return null
  const text = cursor.bytes.toString('latin1', cursor.position, cursor.position + length)
  cursor.position += length
  return text
}

/** Zigzag, of up to 64 bits; whatever it is for here fits into a double. */
function readVarint(cursor: Cursor): number {
  let unsigned = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = cursor.bytes[cursor.position++]!
    unsigned += (byte & 0x7f) * scale
    if (byte < 0x80) break
  }
  return unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2
}

/** The key of a control record: its version, and its kind. */
function markerOf({ key }: StoredRecord): 'commit' | 'abort' | null {
  const kind = key === null || key.length < 4 ? -1 : key.charCodeAt(2) * 256 + key.charCodeAt(3)
  return kind === 1 ? 'commit' : kind === 0 ? 'abort' : null
}

/** CRC-32C of `bytes[start, end)`. */
export function checksumOf(bytes: Buffer, start: number, end: number): number {
  let crc = ~0
  for (let position = start; position < end; position++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[position]!) & 0xff]!
  return ~crc >>> 0
}

/** Of the polynomial of Castagnoli, its bits reversed. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  return crc
})
