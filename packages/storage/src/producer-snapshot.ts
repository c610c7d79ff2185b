import { crc32c } from '@millrace/protocol'
import { ProducerEntry } from './producer-entry.ts'
import { CorruptFileError } from './text-checkpoint.ts'

const VERSION = 1
const CRC_POSITION = 2
const COUNT_POSITION = 6
const HEADER_BYTES = 10
const ENTRY_BYTES = 46

/**
 * `.snapshot`: version int16 = 1, CRC-32C (uint32) of what follows it, count (int32), then per producer id (int64), epoch (int16),
 * last sequence (int32), last offset (int64), offset delta (int32), timestamp (int64), coordinator epoch (int32), first offset of
 * the open transaction (int64, -1 none). Only the newest of the five kept batches is stored.
 */
export function encodeProducerSnapshot(producers: Iterable<ProducerEntry>, count: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + count * ENTRY_BYTES)
  bytes.writeInt16BE(VERSION, 0)
  bytes.writeInt32BE(count, COUNT_POSITION)
  let position = HEADER_BYTES
  for (const entry of producers) {
    bytes.writeBigInt64BE(BigInt(entry.producerId), position)
    bytes.writeInt16BE(entry.producerEpoch, position + 8)
    bytes.writeInt32BE(entry.lastSequence, position + 10)
    bytes.writeBigInt64BE(BigInt(entry.lastDataOffset), position + 14)
    bytes.writeInt32BE(entry.lastOffsetDelta, position + 22)
    bytes.writeBigInt64BE(BigInt(entry.lastTimestamp), position + 26)
    bytes.writeInt32BE(entry.coordinatorEpoch, position + 34)
    bytes.writeBigInt64BE(BigInt(entry.currentTransactionFirstOffset), position + 38)
    position += ENTRY_BYTES
  }
  bytes.writeUInt32BE(crc32c(bytes, COUNT_POSITION, bytes.length), CRC_POSITION)
  return bytes
}

/** Throws `CorruptFileError`. */
export function decodeProducerSnapshot(path: string, bytes: Buffer): ProducerEntry[] {
  if (bytes.length < HEADER_BYTES || bytes.readInt16BE(0) !== VERSION)
    throw new CorruptFileError(path, 'unknown version')
  if (crc32c(bytes, COUNT_POSITION, bytes.length) !== bytes.readUInt32BE(CRC_POSITION)) {
    throw new CorruptFileError(path, 'checksum does not match')
  }
  const count = bytes.readInt32BE(COUNT_POSITION)
  if (count < 0 || bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) {
    throw new CorruptFileError(path, 'count does not match')
  }
  const entries: ProducerEntry[] = []
  for (let position = HEADER_BYTES; position < bytes.length; position += ENTRY_BYTES) {
    entries.push(decodeEntry(bytes, position))
  }
  return entries
}

function decodeEntry(bytes: Buffer, position: number): ProducerEntry {
  const entry = new ProducerEntry(Number(bytes.readBigInt64BE(position)))
  const producerEpoch = bytes.readInt16BE(position + 8)
  const lastOffset = Number(bytes.readBigInt64BE(position + 14))
  const timestamp = Number(bytes.readBigInt64BE(position + 26))
  if (lastOffset >= 0) {
    const lastSequence = bytes.readInt32BE(position + 10)
    entry.addBatch(producerEpoch, lastSequence, lastOffset, bytes.readInt32BE(position + 22), timestamp)
  }
  entry.producerEpoch = producerEpoch
  entry.lastTimestamp = timestamp
  entry.coordinatorEpoch = bytes.readInt32BE(position + 34)
  entry.currentTransactionFirstOffset = Number(bytes.readBigInt64BE(position + 38))
  return entry
}
