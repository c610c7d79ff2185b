import { checksumOf, type StoredBatch, type StoredRecord } from '../stored-batches.ts'

/** The contents of a log file with these batches, uncompressed. */
export function encodeSegment(...batches: readonly StoredBatch[]): Buffer {
  return Buffer.concat(batches.map(encodeBatch))
}

function encodeBatch(batch: StoredBatch): Buffer {
  const { baseOffset, horizonMs, isTransactional, isControl, records } = batch
  const baseTimestamp = horizonMs ?? records[0]?.timestamp ?? -1
  const body = Buffer.concat(records.map((record) => encodeRecord(record, baseOffset, baseTimestamp)))
  const header = Buffer.alloc(61)
  header.writeBigInt64BE(BigInt(baseOffset), 0)
  header.writeInt32BE(header.length - 12 + body.length, 8)
  header.writeInt32BE(batch.leaderEpoch, 12)
  header[16] = 2
  header[22] = (isTransactional ? 0x10 : 0) | (isControl ? 0x20 : 0) | (horizonMs === null ? 0 : 0x40)
  header.writeInt32BE(batch.lastOffset - baseOffset, 23)
  header.writeBigInt64BE(BigInt(baseTimestamp), 27)
  header.writeBigInt64BE(BigInt(batch.maxTimestamp), 35)
  header.writeBigInt64BE(BigInt(batch.producerId), 43)
  header.writeInt16BE(batch.producerEpoch, 51)
  header.writeInt32BE(batch.baseSequence, 53)
  header.writeInt32BE(records.length, 57)
  const bytes = Buffer.concat([header, body])
  bytes.writeUInt32BE(checksumOf(bytes, 21, bytes.length), 17)
  return bytes
}

function encodeRecord({ offset, timestamp, key, value, headers }: StoredRecord, base: number, baseMs: number): Buffer {
  const fields = [Buffer.alloc(1), varint(timestamp - baseMs), varint(offset - base), text(key), text(value)]
  const body = Buffer.concat([...fields, Buffer.from(headers, 'latin1')])
  return Buffer.concat([varint(body.length), body])
}

function text(value: string | null): Buffer {
  if (value === null) return varint(-1)
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([varint(bytes.length), bytes])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(rest)])
}
