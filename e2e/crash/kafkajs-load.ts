import { setTimeout as delay } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { type Acknowledged, partitionOf, textOf } from './history.ts'
import type { Load, LoadOptions } from './load.ts'

/** Records of one `send`. */
const batchCount = 15

/** A producer of kafkajs, in this process. One request under way at a time keeps the order of a plain producer. */
export async function startKafkaJsLoad(options: LoadOptions): Promise<Load> {
  const { bootstrap, topic, name, idempotent, ratePerSecond } = options
  const retry = { retries: 10_000, initialRetryTime: 30, maxRetryTime: 200, factor: 0 }
  const kafka = new kafkajs.Kafka({
    clientId: name,
    brokers: [bootstrap],
    connectionTimeout: 1000,
    requestTimeout: 10_000,
    retry,
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const producer = kafka.producer({ idempotent, maxInFlightRequests: 1, retry })
  await producer.connect()
  const acknowledged: Acknowledged[] = []
  let sentCount = 0
  let stopping = false

  async function sendBatch(): Promise<void> {
    const sequences = Array.from({ length: batchCount }, (_, i) => sentCount + i)
    sentCount += batchCount
    const messages = sequences.map((sequence) => ({ partition: partitionOf(sequence), value: textOf(name, sequence) }))
    const answers = await producer.send({ topic, acks: -1, messages })
    for (const { partition, baseOffset } of answers) {
      const own = sequences.filter((sequence) => partitionOf(sequence) === partition)
      for (const [i, sequence] of own.entries()) {
        acknowledged.push({ producer: name, sequence, partition, offset: Number(baseOffset) + i })
      }
    }
  }

  async function sendAll(): Promise<void> {
    while (!stopping) {
      await sendBatch()
      await delay((batchCount * 1000) / ratePerSecond)
    }
    await producer.disconnect()
  }

  const done = sendAll()
  // Whoever asks for the history gets the failure; until then it must not end the process.
  done.catch(() => {
    stopping = true
  })
  return {
    name,
    acknowledgedCount: () => acknowledged.length,
    finish: async () => {
      stopping = true
      await done
      return { name, idempotent, sentCount, acknowledged }
    },
    abandon: () => {
      stopping = true
    },
  }
}
