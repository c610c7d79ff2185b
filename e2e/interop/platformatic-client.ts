import {
  CompressionAlgorithms,
  Consumer,
  consumerFetchesChannel,
  type Message,
  type MessagesStream,
  MessagesStreamModes,
  Producer,
} from '@platformatic/kafka'
import { uniqueName } from '../harness/topics.ts'
import type { Codec, GroupMember, InteropClient, ProduceOptions, ReceivedRecord, SentRecord } from './client.ts'

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>

const algorithms: Record<Codec, 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'> = {
  none: CompressionAlgorithms.NONE,
  gzip: CompressionAlgorithms.GZIP,
  snappy: CompressionAlgorithms.SNAPPY,
  lz4: CompressionAlgorithms.LZ4,
  zstd: CompressionAlgorithms.ZSTD,
}

function toMessage(topic: string, partition: number, { key, value, headers, timestampMs }: SentRecord) {
  return {
    topic,
    partition,
    timestamp: BigInt(timestampMs),
    headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes])),
    ...(key === null ? {} : { key }),
    ...(value === null ? {} : { value }),
  }
}

function fromMessage({ key, value, headers, timestamp, partition, offset }: Message): ReceivedRecord {
  return {
    key: key ?? null,
    value: value ?? null,
    headers: [...headers].map(([name, bytes]) => [name.toString(), bytes] as const),
    timestampMs: Number(timestamp),
    partition,
    offset: Number(offset),
  }
}

/**
 * Whether all fetches of a consumer that are on their way were sent since it got the partitions it has. One sent before hands on records
 * of partitions that another member has by now, who gets them too: this client does not look at whose they are when they come.
 */
function fetchesOfAssignment(consumer: Consumer<Buffer, Buffer, Buffer, Buffer>) {
  const assignmentOf = new Map<object, object | null>()
  const started = (message: unknown) => {
    const fetch = message as { client: unknown }
    if (fetch.client === consumer) assignmentOf.set(fetch, consumer.assignments)
  }
  const ended = (message: unknown) => {
    assignmentOf.delete(message as object)
  }
  consumerFetchesChannel.start.subscribe(started)
  consumerFetchesChannel.asyncStart.subscribe(ended)
  return {
    areNew: () => [...assignmentOf.values()].every((assignment) => assignment === consumer.assignments),
    close: () => {
      consumerFetchesChannel.start.unsubscribe(started)
      consumerFetchesChannel.asyncStart.unsubscribe(ended)
    },
  }
}

/** @platformatic/kafka, in the test's own process. */
export class PlatformaticClient implements InteropClient {
  readonly #bootstrap: string

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap
  }

  #consumer(group: string) {
    return new Consumer({
      clientId: 'e2e',
      groupId: group,
      bootstrapBrokers: [this.#bootstrap],
      heartbeatInterval: 300,
      sessionTimeout: 10_000,
      maxWaitTime: 200,
      // Metadata learned before the test changed something would be used for too long.
      metadataMaxAge: 100,
    })
  }

  async produce({ topic, partition, codec, idempotent, records }: ProduceOptions): Promise<void> {
    const producer = new Producer({ clientId: 'e2e', bootstrapBrokers: [this.#bootstrap], idempotent })
    // Several requests, so that an idempotent producer's sequence goes on from one to the next.
    for (let from = 0; from < records.length; from += 500) {
      const messages = records.slice(from, from + 500).map((record) => toMessage(topic, partition, record))
      await producer.send({ messages, acks: -1, compression: algorithms[codec] })
    }
    await producer.close()
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
    const consumer = this.#consumer(uniqueName('reader'))
    const stream = await consumer.consume({
      topics: [topic],
      mode: MessagesStreamModes.MANUAL,
      autocommit: false,
      offsets: [{ topic, partition, offset: BigInt(offset) }],
    })
    const received: ReceivedRecord[] = []
    for await (const message of stream) {
      if (message.partition === partition) received.push(fromMessage(message))
      if (received.length === count) break
    }
    await consumer.close(true)
    return received
  }

  async offsetForTime({ topic, partition, timestampMs }: { topic: string; partition: number; timestampMs: number }) {
    const consumer = this.#consumer(uniqueName('reader'))
    const offsets = await consumer.listOffsets({ topics: [topic], timestamp: BigInt(timestampMs) })
    await consumer.close(true)
    return Number(offsets.get(topic)?.[partition])
  }

  async join({ group, topic }: { group: string; topic: string }): Promise<GroupMember> {
    const consumer = this.#consumer(group)
    const fetches = fetchesOfAssignment(consumer)
    const received: ReceivedRecord[] = []
    let failure: Error | null = null
    const stream: Stream = await consumer.consume({
      topics: [topic],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: 'earliest',
      autocommit: true,
    })
    stream.on('data', (message) => received.push(fromMessage(message)))
    stream.on('error', (error) => {
      failure = error
    })
    const check = <T>(answer: T): T => {
      if (failure) throw failure
      return answer
    }
    return {
      partitions: async () =>
        check(
          fetches.areNew()
            ? (consumer.assignments ?? []).flatMap(({ partitions }) => partitions).sort((a, b) => a - b)
            : [],
        ),
      received: async () => check(received),
      leave: async () => {
        await stream.close()
        await consumer.close(true)
        fetches.close()
      },
    }
  }
}
