/** The few requests that the probes send, encoded by hand: they must cost nothing and depend on nothing that is measured. */

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc >>> 0
})

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 255] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value << 1
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
  return bytes
}

const int16 = (value: number) => Buffer.from([(value >> 8) & 255, value & 255])

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

const text = (value: string) => Buffer.concat([int16(value.length), Buffer.from(value)])

function frame(apiKey: number, version: number, body: Buffer): Buffer {
  const header = Buffer.concat([int16(apiKey), int16(version), int32(1), text('bench')])
  return Buffer.concat([int32(header.length + body.length), header, body])
}

/** A record without key: attributes, deltas of timestamp and offset, key, value, headers. */
function record(offsetDelta: number, value: Buffer): Buffer {
  const fields = Buffer.from([0, 0, ...varint(offsetDelta), 1, ...varint(value.length)])
  const content = Buffer.concat([fields, value, Buffer.from([0])])
  return Buffer.concat([Buffer.from(varint(content.length)), content])
}

/** A batch of equal records, not compressed: format v2. */
function batch(valueBytes: number, recordCount: number): Buffer {
  const value = Buffer.alloc(valueBytes, 'x')
  const records = Array.from({ length: recordCount }, (_, offsetDelta) => record(offsetDelta, value))
  return sealed(recordCount, records)
}

function sealed(recordCount: number, records: readonly Buffer[]): Buffer {
  const now = int64(Date.now())
  // attributes, lastOffsetDelta, both timestamps, producerId, producerEpoch, baseSequence, record count
  const head = [int16(0), int32(recordCount - 1), now, now, int64(-1), int16(-1), int32(-1), int32(recordCount)]
  const checked = Buffer.concat([...head, ...records])
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32c(checked))
  return Buffer.concat([int64(0), int32(9 + checked.length), int32(-1), Buffer.from([2]), crc, checked])
}

/** The same with a key of its own for each record; the values begin with the number of the record. */
export function keyedBatch(
  firstNumber: number,
  recordCount: number,
  keyOf: (number: number) => string,
  valueBytes: number,
): Buffer {
  const records = Array.from({ length: recordCount }, (_, offsetDelta) => {
    const number = firstNumber + offsetDelta
    const key = Buffer.from(keyOf(number))
    const value = Buffer.alloc(valueBytes, '.')
    value.write(`${number} `)
    const fields = Buffer.from([0, 0, ...varint(offsetDelta), ...varint(key.length)])
    const content = Buffer.concat([fields, key, Buffer.from(varint(value.length)), value, Buffer.from([0])])
    return Buffer.concat([Buffer.from(varint(content.length)), content])
  })
  return sealed(recordCount, records)
}

/** Produce v7 of a batch, of one record unless more are wanted, to a partition (0). */
export function produceFrame(topic: string, acks: number, valueBytes: number, recordCount = 1, partition = 0): Buffer {
  return produceFrameOf(topic, acks, batch(valueBytes, recordCount), partition)
}

/** The same of a batch that is there. */
export function produceFrameOf(topic: string, acks: number, records: Buffer, partition = 0): Buffer {
  const data = Buffer.concat([int32(1), int32(partition), int32(records.length), records])
  return frame(0, 7, Buffer.concat([int16(-1), int16(acks), int32(30_000), int32(1), text(topic), data]))
}

/** Error code of partition 0 in a Produce v7 response that comes without its length prefix. */
export function produceError(response: Buffer): number {
  const topicLength = response.readInt16BE(8)
  return response.readInt16BE(10 + topicLength + 4 + 4)
}

/** Fetch v4 of partition 0 that waits up to `maxWaitMs` for one byte; `offsetPosition` is where its offset lies. */
export function fetchFrame(topic: string, maxWaitMs: number): { frame: Buffer; offsetPosition: number } {
  const before = Buffer.concat([int32(-1), int32(maxWaitMs), int32(1), int32(1 << 20), Buffer.from([0])])
  const partition = Buffer.concat([int32(1), int32(0), int64(0), int32(1 << 20)])
  const request = frame(1, 4, Buffer.concat([before, int32(1), text(topic), partition]))
  return { frame: request, offsetPosition: request.length - 12 }
}

/** Metadata v4 of one topic, which the broker creates if it is absent. */
export function metadataFrame(topic: string): Buffer {
  return frame(3, 4, Buffer.concat([int32(1), text(topic), Buffer.from([1])]))
}
