import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import snappy from 'snappy'
import { uniqueName } from '../harness/topics.ts'
import type { Codec, GroupMember, InteropClient, ProduceOptions, ReceivedRecord, SentRecord } from './client.ts'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs

// kafkajs brings gzip; the others are plugged in, as its users do. The snappy here is raw, without Java's framing.
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: (encoder: { buffer: Buffer }) => snappy.compress(encoder.buffer),
  decompress: (buffer: Buffer) => snappy.uncompress(buffer),
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (buffer: Buffer) => decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer),
})

const compressionTypes: Record<Codec, kafkajs.CompressionTypes> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

function toMessage({ key, value, headers, timestampMs }: SentRecord, partition: number): kafkajs.Message {
  return { key, value, headers: Object.fromEntries(headers), timestamp: String(timestampMs), partition }
}

function fromMessage(partition: number, message: kafkajs.KafkaMessage): ReceivedRecord {
  return {
    key: message.key,
    value: message.value,
    headers: Object.entries(message.headers ?? {}).map(([name, value]) => [name, value as Buffer] as const),
    timestampMs: Number(message.timestamp),
    partition,
    offset: Number(message.offset),
  }
}

/** kafkajs, in the test's own process. */
export class KafkaJsClient implements InteropClient {
  readonly #kafka: kafkajs.Kafka

  constructor(bootstrap: string) {
    this.#kafka = new Kafka({ clientId: 'e2e', brokers: [bootstrap], logLevel: logLevel.NOTHING })
  }

  async produce({ topic, partition, codec, idempotent, records }: ProduceOptions): Promise<void> {
    const producer = this.#kafka.producer({ idempotent, ...(idempotent ? { maxInFlightRequests: 1 } : {}) })
    await producer.connect()
    const messages = records.map((record) => toMessage(record, partition))
    // Several requests, so that an idempotent producer's sequence goes on from one to the next.
    for (let from = 0; from < messages.length; from += 500) {
      const part = messages.slice(from, from + 500)
      await producer.send({ topic, acks: -1, compression: compressionTypes[codec], messages: part })
    }
    await producer.disconnect()
  }

  async fetch({
    topic,
    partition,
    offset,
    count,
  }: {
    topic: string
    partition: number
    offset: number
    count: number
  }) {
    // A consumer of kafkajs always belongs to a group; a seek sets where it reads.
    const consumer = this.#kafka.consumer({ groupId: uniqueName('reader') })
    const received: ReceivedRecord[] = []
    await consumer.connect()
    await consumer.subscribe({ topics: [topic] })
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        // A group whose coordinator still loads its log is asked again, by kafkajs itself.
        if (!payload.restart) reject(payload.error)
      })
      const run = consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch }) => {
          if (batch.partition === partition)
            received.push(...batch.messages.map((message) => fromMessage(partition, message)))
          if (received.length >= count) resolve()
        },
      })
      run.catch(reject)
      consumer.seek({ topic, partition, offset: String(offset) })
    })
    await consumer.disconnect()
    // A batch in the middle of which the offset lies is given from there on; kafkajs may have read more than was asked.
    return received.slice(0, count)
  }

  async offsetForTime({ topic, partition, timestampMs }: { topic: string; partition: number; timestampMs: number }) {
    const admin = this.#kafka.admin()
    await admin.connect()
    const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, timestampMs)
    await admin.disconnect()
    return Number(offsets.find((entry) => entry.partition === partition)?.offset)
  }

  async join({ group, topic }: { group: string; topic: string }): Promise<GroupMember> {
    const consumer = this.#kafka.consumer({
      groupId: group,
      heartbeatInterval: 300,
      sessionTimeout: 10_000,
      maxWaitTimeInMs: 200,
    })
    const received: ReceivedRecord[] = []
    let partitions: number[] = []
    let failure: Error | null = null
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      partitions = payload.memberAssignment[topic] ?? []
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) failure = payload.error
    })
    const check = <T>(answer: T): T => {
      if (failure) throw failure
      return answer
    }
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        received.push(fromMessage(partition, message))
      },
    })
    return {
      partitions: async () => check([...partitions].sort((a, b) => a - b)),
      received: async () => check(received),
      leave: () => consumer.disconnect(),
    }
  }
}
