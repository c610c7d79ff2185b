import { setTimeout as delay } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { partitionOf, textOf } from '../history.ts'

/**
 * Sends numbered records without end through kafkajs and prints each acknowledgement, as sender.py tells; see program-load.ts.
 *
 * kafkajs-load.ts BOOTSTRAP TOPIC NAME idempotent|plain|leader none|gzip RATE_PER_SECOND
 */

/** Records of one `send`. */
const batchCount = 15

const [bootstrap = '', topic = '', name = '', kind = '', codec = '', rate = ''] = process.argv.slice(2)
const retry = { retries: 10_000, initialRetryTime: 30, maxRetryTime: 200, factor: 0 }
const kafka = new kafkajs.Kafka({
  clientId: name,
  brokers: [bootstrap],
  connectionTimeout: 1000,
  requestTimeout: 10_000,
  retry,
  logLevel: kafkajs.logLevel.NOTHING,
})
// One request under way at a time keeps the order of a plain producer.
const producer = kafka.producer({ idempotent: kind === 'idempotent', maxInFlightRequests: 1, retry })
const acks = kind === 'leader' ? 1 : -1
const compression = codec === 'gzip' ? kafkajs.CompressionTypes.GZIP : kafkajs.CompressionTypes.None
let sentCount = 0

async function sendBatch(): Promise<void> {
  const sequences = Array.from({ length: batchCount }, (_, i) => sentCount + i)
  sentCount += batchCount
  const messages = sequences.map((sequence) => ({ partition: partitionOf(sequence), value: textOf(name, sequence) }))
  const answers = await producer.send({ topic, acks, compression, messages })
  for (const { partition, baseOffset } of answers) {
    const own = sequences.filter((sequence) => partitionOf(sequence) === partition)
    for (const [i, sequence] of own.entries())
      process.stdout.write(`${sequence} ${partition} ${Number(baseOffset) + i}\n`)
  }
}

let isStopping = false
process.stdin.on('end', () => {
  isStopping = true
})
process.stdin.resume()
await producer.connect()
while (!isStopping) {
  await sendBatch()
  await delay((batchCount * 1000) / Number(rate))
}
await producer.disconnect()
process.stdout.write(`sent ${sentCount}\n`)
