import { fetchFrame, keyedBatch, produceError, produceFrameOf } from '../frames.ts'
import { Wire } from '../wire.ts'

/** Records of a batch of the load, and batches on their way. */
const BATCH_RECORDS = 60
const DEPTH = 5

/** What a topic is filled with: record `n` has offset `n` and one of so many keys, which come in an order that looks like none. */
export interface KeyedLog {
  readonly recordCount: number
  readonly keyCount: number
  readonly valueBytes: number
}

/** Prime, so that each key comes once in each round of all keys. */
const STRIDE = 7_368_787

function keyNumberOf(number: number, keyCount: number): number {
  return Number((BigInt(number) * BigInt(STRIDE)) % BigInt(keyCount))
}

function keyOf(number: number, keyCount: number): string {
  return `key-${keyNumberOf(number, keyCount)}`
}

export async function fillTopic(port: number, topic: string, log: KeyedLog): Promise<void> {
  const wire = new Wire(port)
  const answers: Promise<void>[] = []
  for (let number = 0; number < log.recordCount; number += BATCH_RECORDS) {
    const count = Math.min(BATCH_RECORDS, log.recordCount - number)
    const batch = keyedBatch(number, count, (record) => keyOf(record, log.keyCount), log.valueBytes)
    const answer = wire.ask(produceFrameOf(topic, -1, batch)).then((response) => {
      const error = produceError(response)
      if (error !== 0) throw new Error(`produce: error ${error}`)
    })
    answers.push(answer)
    if (answers.length >= DEPTH) await answers.shift()
  }
  await Promise.all(answers)
  wire.close()
}

/** What a reader of all of the topic found. */
export interface KeyCheck {
  readonly recordCount: number
  readonly keyCount: number
}

/** Reads all of the topic and holds each record, and the newest of each key, against what was written. Throws at the first that is wrong. */
export async function checkTopic(port: number, topic: string, log: KeyedLog): Promise<KeyCheck> {
  const wire = new Wire(port)
  const newest = new Float64Array(log.keyCount).fill(-1)
  const { frame, offsetPosition } = fetchFrame(topic, 100)
  let recordCount = 0
  for (let offset = 0; offset < log.recordCount; ) {
    frame.writeBigInt64BE(BigInt(offset), offsetPosition)
    const records = recordsOf(await wire.ask(frame), topic)
    const end = walkBatches(records, (record, number, key) => {
      if (record !== number) throw new Error(`record ${number} is at offset ${record}`)
      if (key !== keyOf(number, log.keyCount)) throw new Error(`record ${number} has key ${key}`)
      newest[keyNumberOf(number, log.keyCount)] = number
      recordCount++
    })
    if (end <= offset) throw new Error(`nothing came at offset ${offset}`)
    offset = end
  }
  wire.close()
  checkNewest(newest, log)
  return { recordCount, keyCount: newest.filter((number) => number >= 0).length }
}

function checkNewest(newest: Float64Array, { recordCount, keyCount }: KeyedLog): void {
  for (let number = Math.max(0, recordCount - keyCount); number < recordCount; number++) {
    const found = newest[keyNumberOf(number, keyCount)]
    if (found !== number) throw new Error(`of ${keyOf(number, keyCount)} the newest is ${found}, not ${number}`)
  }
}

/** Records of partition 0 in a Fetch v4 response. */
function recordsOf(response: Buffer, topic: string): Buffer {
  const partition = 4 + 4 + 4 + 2 + topic.length + 4
  const error = response.readInt16BE(partition + 4)
  if (error !== 0) throw new Error(`fetch: error ${error}`)
  const aborted = response.readInt32BE(partition + 4 + 2 + 8 + 8)
  const position = partition + 4 + 2 + 8 + 8 + 4 + Math.max(0, aborted) * 16
  return response.subarray(position + 4, position + 4 + Math.max(0, response.readInt32BE(position)))
}

/** Calls `onRecord` for each record of the whole batches; gives where the last one of them ends. */
function walkBatches(bytes: Buffer, onRecord: (offset: number, number: number, key: string) => void): number {
  let end = -1
  for (let at = 0; at + 61 <= bytes.length; ) {
    const next = at + 12 + bytes.readInt32BE(at + 8)
    if (next > bytes.length) break
    const baseOffset = Number(bytes.readBigInt64BE(at))
    const count = bytes.readInt32BE(at + 57)
    let position = at + 61
    for (let record = 0; record < count; record++) {
      const [length, start] = varintAt(bytes, position)
      const [, afterTime] = varintAt(bytes, start + 1)
      const [offsetDelta, afterOffset] = varintAt(bytes, afterTime)
      const [keyLength, keyStart] = varintAt(bytes, afterOffset)
      const [, valueStart] = varintAt(bytes, keyStart + keyLength)
      const key = bytes.toString('latin1', keyStart, keyStart + keyLength)
      onRecord(
        baseOffset + offsetDelta,
        Number.parseInt(bytes.toString('latin1', valueStart, valueStart + 20), 10),
        key,
      )
      position = start + length
    }
    end = baseOffset + bytes.readInt32BE(at + 23) + 1
    at = next
  }
  return end
}

/** Value of a zigzag varint, and where it ends. Timestamps' deltas may take more than 32 bits, which nobody looks at here. */
function varintAt(bytes: Buffer, position: number): [value: number, end: number] {
  let raw = 0
  let at = position
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++]!
    raw += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  return [raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2, at]
}
