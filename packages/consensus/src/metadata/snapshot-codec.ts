import type { MetadataImage } from './image.ts'
import { MetadataFormatError, parseRecords } from './record-codec.ts'
import type { MetadataRecord } from './records.ts'
import { applyRecords, emptyImage } from './reducer.ts'
import { snapshotRecords } from './snapshot.ts'

/**
 * Bytes of a snapshot: a header (magic `MRSN`, version byte, offset of the image in 8 bytes, length of the cluster id in 2 and the id),
 * then parts, each its length in 4 bytes and a JSON array of records in UTF-8, then a length of 0. All big-endian.
 */
const MAGIC = Buffer.from('MRSN')
const VERSION = 1
const FIXED_HEADER_BYTES = 15

/** Records in one part, chosen so that coding one takes a few milliseconds. */
const RECORDS_PER_PART = 1000

/** The bytes of a snapshot, part by part, so that whoever asks may let others run between two. All of it concatenated is one snapshot. */
export function* encodeSnapshot(image: MetadataImage): IterableIterator<Buffer> {
  const clusterId = Buffer.from(image.clusterId)
  const header = Buffer.alloc(FIXED_HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt8(VERSION, 4)
  header.writeBigUInt64BE(BigInt(image.offset), 5)
  header.writeUInt16BE(clusterId.length, 13)
  yield Buffer.concat([header, clusterId])
  let records: MetadataRecord[] = []
  for (const record of snapshotRecords(image)) {
    records.push(record)
    if (records.length < RECORDS_PER_PART) continue
    yield encodePart(records)
    records = []
  }
  if (records.length > 0) yield encodePart(records)
  yield Buffer.alloc(4)
}

/**
 * Makes the image step by step: each `next` takes one part; the last gives the image. Throws {@link MetadataFormatError} for bytes that
 * {@link encodeSnapshot} would not have written, and `AssertionError` for records that contradict each other.
 */
export function* decodeSnapshot(data: Buffer): Generator<undefined, MetadataImage> {
  const { clusterId, offset, end } = decodeHeader(data)
  let image = emptyImage(clusterId)
  let position = end
  for (;;) {
    if (position + 4 > data.length) throw new MetadataFormatError('a metadata snapshot has no end')
    const length = data.readUInt32BE(position)
    position += 4
    if (length === 0) break
    if (position + length > data.length) throw new MetadataFormatError('a part of a metadata snapshot is cut off')
    image = applyRecords(image, parseRecords(data.subarray(position, position + length))).image
    position += length
    yield
  }
  if (position !== data.length) throw new MetadataFormatError('a metadata snapshot goes on behind its end')
  return { ...image, offset }
}

/** All of {@link decodeSnapshot} at once. */
export function readSnapshot(data: Buffer): MetadataImage {
  const steps = decodeSnapshot(data)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

function encodePart(records: readonly MetadataRecord[]): Buffer {
  const text = JSON.stringify(records)
  const part = Buffer.allocUnsafe(4 + Buffer.byteLength(text))
  part.writeUInt32BE(part.length - 4, 0)
  part.write(text, 4)
  return part
}

function decodeHeader(data: Buffer): { clusterId: string; offset: number; end: number } {
  if (data.length < FIXED_HEADER_BYTES || !data.subarray(0, 4).equals(MAGIC)) {
    throw new MetadataFormatError('these bytes are no metadata snapshot')
  }
  const version = data.readUInt8(4)
  if (version !== VERSION) throw new MetadataFormatError(`version ${version} of metadata snapshots is not known`)
  const offset = Number(data.readBigUInt64BE(5))
  const end = FIXED_HEADER_BYTES + data.readUInt16BE(13)
  if (!Number.isSafeInteger(offset) || end > data.length) {
    throw new MetadataFormatError('the header of a metadata snapshot is damaged')
  }
  return { clusterId: data.toString('utf8', FIXED_HEADER_BYTES, end), offset, end }
}
