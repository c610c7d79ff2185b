import { BaseError } from '@millrace/base'
import { isMetadataRecord } from './record-shapes.ts'
import type { MetadataRecord } from './records.ts'

/** Bytes of a batch or a snapshot are not what this software writes: another version of it, or damage that a checksum missed. */
export class MetadataFormatError extends BaseError {
  constructor(message: string) {
    super('METADATA_FORMAT', message)
  }
}

/** Most records in one batch: what one request may cause (`controller.md`, 1.2). */
export const MAX_BATCH_RECORDS = 10_000

const VERSION = 1
/** Version (1 byte), record count (4), offset of the first record (8). All big-endian. */
const HEADER_BYTES = 13

/** Records that are applied together or not at all: the data of one entry of the quorum's log. */
export interface RecordBatch {
  /** Count of all records before. */
  readonly baseOffset: number
  readonly records: readonly MetadataRecord[]
}

/** Header, then the records as a JSON array in UTF-8. */
export function encodeBatch({ baseOffset, records }: RecordBatch): Buffer {
  const text = JSON.stringify(records)
  const data = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(text))
  data.writeUInt8(VERSION, 0)
  data.writeUInt32BE(records.length, 1)
  data.writeBigUInt64BE(BigInt(baseOffset), 5)
  data.write(text, HEADER_BYTES)
  return data
}

/** Throws {@link MetadataFormatError} for anything that {@link encodeBatch} would not have written. */
export function decodeBatch(data: Buffer): RecordBatch {
  if (data.length < HEADER_BYTES)
    throw new MetadataFormatError(`a metadata batch of ${data.length} bytes has no header`)
  const version = data.readUInt8(0)
  if (version !== VERSION) throw new MetadataFormatError(`version ${version} of metadata batches is not known`)
  const count = data.readUInt32BE(1)
  const baseOffset = Number(data.readBigUInt64BE(5))
  if (!Number.isSafeInteger(baseOffset)) throw new MetadataFormatError('the offset of a metadata batch is too large')
  const records = parseRecords(data.subarray(HEADER_BYTES))
  if (records.length !== count || count > MAX_BATCH_RECORDS) {
    throw new MetadataFormatError(`a metadata batch of ${count} records has ${records.length}`)
  }
  return { baseOffset, records }
}

/** Records from a JSON array. Throws {@link MetadataFormatError}. */
export function parseRecords(text: Buffer): MetadataRecord[] {
  let value: unknown
  try {
    value = JSON.parse(text.toString())
  } catch (error) {
    throw new MetadataFormatError(`metadata records are no JSON: ${(error as Error).message}`)
  }
  if (!Array.isArray(value)) throw new MetadataFormatError('metadata records are no list')
  const position = value.findIndex((record) => !isMetadataRecord(record))
  if (position === -1) return value
  const type = String((value[position] as { type?: unknown } | null)?.type)
  throw new MetadataFormatError(`metadata record ${position} (${type}) is not of a known form`)
}
