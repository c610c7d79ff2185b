import { createRequire } from 'node:module'
import type { Uuid } from '@millrace/base'
import { test } from 'vitest'
import type * as Protocol from '../index.ts'

/** Loaded by Node itself: the runner's own loader puts a getter before every import, four times the cost of a small encoder. */
const protocol = createRequire(import.meta.url)('../index.ts') as typeof Protocol
const { Reader, Writer } = protocol

/** Calls per sample, so that the harness's own cost does not hide a call of 100 ns. */
const CALL_COUNT = 100

/** The versions that current clients use: Java 4.x, and librdkafka 2.x. */
for (const version of [13, 9]) {
  test(`${CALL_COUNT} times a produce request v${version} of one batch, header included`, async ({ bench }) => {
    const bytes = produceRequest(version)
    const reader = new Reader(bytes)
    await bench('decode', () => {
      for (let call = 0; call < CALL_COUNT; call++) {
        reader.reset(bytes)
        protocol.readRequestHeader(reader)
        protocol.decodeProduceRequest(reader, version)
      }
    }).run()
  })
}

for (const [topicCount, partitionCount] of [
  [0, 0],
  [1, 1],
  [10, 10],
] as const) {
  const size = `${topicCount} topics × ${partitionCount} partitions`
  test(`${CALL_COUNT} times a fetch request v13 of ${size}`, async ({ bench }) => {
    const bytes = fetchRequest(topicCount, partitionCount)
    const reader = new Reader(bytes)
    await bench('decode', () => {
      for (let call = 0; call < CALL_COUNT; call++) protocol.decodeFetchRequest(reader.reset(bytes), 13)
    }).run()
  })

  test(`${CALL_COUNT} times a fetch response v13 of ${size}, records spliced`, async ({ bench }) => {
    const response = fetchResponse(topicCount, partitionCount)
    const writer = new Writer(64 * 1024)
    await bench('encode', () => {
      for (let call = 0; call < CALL_COUNT; call++) {
        writer.beginFrame()
        protocol.encodeFetchResponse(writer, response, 13)
        writer.endFrame()
        writer.takeChunks()
      }
    }).run()
  })
}

function topicId(slot: number): Uuid {
  return Buffer.alloc(16, slot + 1).toString('base64url') as Uuid
}

function produceRequest(version: number): Buffer {
  const partition = protocol.createPartitionProduceData({ index: 3, records: Buffer.alloc(1024, 7) })
  const topic = protocol.createTopicProduceData({ name: 'topic', topicId: topicId(0), partitionData: [partition] })
  const writer = new Writer()
  protocol.writeRequestHeader(
    writer,
    protocol.createRequestHeader({ requestApiKey: 0, requestApiVersion: version, clientId: 'perf-producer-client' }),
  )
  protocol.encodeProduceRequest(writer, protocol.createProduceRequest({ acks: -1, topicData: [topic] }), version)
  return writer.toBuffer()
}

function fetchRequest(topicCount: number, partitionCount: number): Buffer {
  const partitions = Array.from({ length: partitionCount }, (_, partition) =>
    protocol.createFetchRequestFetchPartition({ partition, fetchOffset: 1e9 + partition, partitionMaxBytes: 1 << 20 }),
  )
  const topics = Array.from({ length: topicCount }, (_, slot) =>
    protocol.createFetchRequestFetchTopic({ topicId: topicId(slot), partitions }),
  )
  const writer = new Writer()
  protocol.encodeFetchRequest(writer, protocol.createFetchRequest({ maxWaitMs: 500, sessionId: 9, topics }), 13)
  return writer.toBuffer()
}

function fetchResponse(topicCount: number, partitionCount: number): Protocol.FetchResponse {
  const records = [Buffer.alloc(60_000)]
  const partitions = Array.from({ length: partitionCount }, (_, partitionIndex) =>
    protocol.createFetchResponsePartitionData({ partitionIndex, highWatermark: 1e9, lastStableOffset: 1e9, records }),
  )
  const responses = Array.from({ length: topicCount }, (_, slot) =>
    protocol.createFetchableTopicResponse({ topicId: topicId(slot), partitions }),
  )
  return protocol.createFetchResponse({ responses })
}
