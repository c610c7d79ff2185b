import { type Uuid, ZERO_UUID } from '@millrace/base'
import {
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  decodeProduceRequest,
  encodeProduceRequest,
  MalformedMessageError,
  Reader,
  Writer,
} from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProduceRequestView } from './produce-request.ts'

const versions = fc.integer({ min: 3, max: 13 })
const requests = fc.record({
  transactionalId: fc.option(fc.string({ maxLength: 20 }), { nil: null }),
  acks: fc.integer({ min: -32768, max: 32767 }),
  timeoutMs: fc.integer({ min: -1000, max: 1_000_000 }),
  topics: fc.array(
    fc.record({
      name: fc.string({ maxLength: 60 }),
      id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      partitions: fc.array(
        fc.record({
          index: fc.integer({ min: -5, max: 100 }),
          records: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null }),
        }),
        { maxLength: 4 },
      ),
    }),
    { maxLength: 4 },
  ),
})

function encode(
  request: typeof requests extends fc.Arbitrary<infer Request> ? Request : never,
  version: number,
): Buffer {
  const writer = new Writer()
  const topicData = request.topics.map((topic) =>
    createTopicProduceData({
      name: version >= 13 ? '' : topic.name,
      topicId: version >= 13 ? (Buffer.from(topic.id).toString('base64url') as Uuid) : ZERO_UUID,
      partitionData: topic.partitions.map((partition) =>
        createPartitionProduceData({
          index: partition.index,
          records: partition.records === null ? null : Buffer.from(partition.records),
        }),
      ),
    }),
  )
  const { transactionalId, acks, timeoutMs } = request
  encodeProduceRequest(writer, createProduceRequest({ transactionalId, acks, timeoutMs, topicData }), version)
  return Buffer.from(writer.toBuffer())
}

function describeView(view: ProduceRequestView, bytes: Buffer): unknown {
  return {
    head: [view.transactionalId, view.acks, view.timeoutMs],
    partitions: Array.from({ length: view.partitionCount }, (_, at) => [
      view.topicName[at],
      view.topicId[at],
      view.partition[at],
      view.recordsStart[at]! < 0 ? null : bytes.toString('hex', view.recordsStart[at], view.recordsEnd[at]),
    ]),
  }
}

function describeDecoded(bytes: Buffer, version: number): unknown {
  const reader = new Reader(bytes)
  const request = decodeProduceRequest(reader, version)
  reader.expectEnd()
  return {
    head: [request.transactionalId, request.acks, request.timeoutMs],
    partitions: request.topicData.flatMap((topic) =>
      topic.partitionData.map((partition) => [
        topic.name,
        topic.topicId,
        partition.index,
        partition.records === null ? null : partition.records.toString('hex'),
      ]),
    ),
  }
}

function outcomeOf(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedMessageError)
    return 'malformed'
  }
}

describe('produce request view', () => {
  const view = new ProduceRequestView()

  it('reads what the generated decoder reads', () => {
    fc.assert(
      fc.property(requests, versions, (request, version) => {
        const bytes = encode(request, version)
        view.read(new Reader(bytes), version)
        expect(describeView(view, bytes)).toEqual(describeDecoded(bytes, version))
      }),
    )
  })

  it('refuses what the generated decoder refuses, and reads the same of damaged bytes', () => {
    fc.assert(
      fc.property(
        requests,
        versions,
        fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), { maxLength: 4 }),
        fc.nat(8),
        (request, version, damages, cut) => {
          let bytes = encode(request, version)
          bytes = bytes.subarray(0, Math.max(0, bytes.length - cut))
          for (const { at, value } of damages) if (bytes.length > 0) bytes[at % bytes.length] = value
          const viewed = outcomeOf(() => {
            view.read(new Reader(bytes), version)
            return describeView(view, bytes)
          })
          expect(viewed).toEqual(outcomeOf(() => describeDecoded(bytes, version)))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('keeps few names of earlier requests', () => {
    const view = new ProduceRequestView()
    for (const count of [5_000, 1]) {
      const topicData = Array.from({ length: count }, (_, n) =>
        createTopicProduceData({ name: `topic ${n}`, partitionData: [createPartitionProduceData({ index: 0 })] }),
      )
      const writer = new Writer()
      encodeProduceRequest(writer, createProduceRequest({ topicData }), 9)
      view.read(new Reader(Buffer.from(writer.toBuffer())), 9)
      expect(view.partitionCount).toBe(count)
    }
    expect(view.topicName.length).toBeLessThanOrEqual(1_000)
  })
})
