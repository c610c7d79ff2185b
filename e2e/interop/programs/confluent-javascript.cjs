/**
 * @confluentinc/kafka-javascript (librdkafka bound to Node) behind the protocol of program-client.ts. It was compiled for the
 * machine's own Node, so this runs there and not on the workspace's. Producing and groups go through its KafkaJS-like API, reading by
 * offset and time through the one like node-rdkafka.
 */
const { createRequire } = require('node:module')
const { createInterface } = require('node:readline')

const [, , home, bootstrap] = process.argv
const { KafkaJS, KafkaConsumer } = createRequire(`${home}/package.json`)('@confluentinc/kafka-javascript')
const kafka = new KafkaJS.Kafka({ kafkaJS: { brokers: [bootstrap], logLevel: KafkaJS.logLevel.ERROR } })

const toText = (bytes) => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('base64'))
const toBytes = (text) => (text === null ? null : Buffer.from(text, 'base64'))

async function produce({ topic, partition, codec, idempotent, records }) {
  const producer = kafka.producer({ 'compression.codec': codec, 'linger.ms': 20, kafkaJS: { acks: -1, idempotent } })
  await producer.connect()
  const messages = records.map(({ key, value, headers, timestampMs }) => ({
    partition,
    key: toBytes(key),
    value: toBytes(value),
    headers: Object.fromEntries(headers.map(([name, text]) => [name, toBytes(text)])),
    timestamp: String(timestampMs),
  }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

/** Calls a function that takes a Node callback last. */
const call = (run) =>
  new Promise((resolve, reject) => run((error, result) => (error ? reject(error) : resolve(result))))

async function withReader(settings, use) {
  const consumer = new KafkaConsumer(
    { 'bootstrap.servers': bootstrap, 'group.id': `none-${process.pid}`, ...settings },
    {},
  )
  await call((done) => consumer.connect({}, done))
  try {
    return await use(consumer)
  } finally {
    await call((done) => consumer.disconnect(done))
  }
}

function fetch({ topic, partition, offset, count }) {
  return withReader({ 'enable.auto.commit': false }, async (consumer) => {
    consumer.assign([{ topic, partition, offset }])
    consumer.setDefaultConsumeTimeout(500)
    const records = []
    while (records.length < count) {
      const messages = await call((done) => consumer.consume(count - records.length, done))
      for (const message of messages) {
        records.push({
          key: toText(message.key),
          value: toText(message.value),
          headers: (message.headers ?? []).flatMap((header) =>
            Object.entries(header).map(([name, bytes]) => [name, toText(bytes)]),
          ),
          timestampMs: message.timestamp,
          partition: message.partition,
          offset: message.offset,
        })
      }
    }
    return records
  })
}

function offsetForTime({ topic, partition, timestampMs }) {
  return withReader({}, async (consumer) => {
    const [found] = await call((done) =>
      consumer.offsetsForTimes([{ topic, partition, offset: timestampMs }], 20_000, done),
    )
    return found.offset
  })
}

let member = null
const received = []

/** With the consumer protocol (KIP-848) the broker says how long sessions are and how often heartbeats come. */
async function join({ group, topic, pattern, protocol = 'classic' }) {
  const isClassic = protocol === 'classic'
  member = kafka.consumer({
    'group.protocol': protocol,
    ...(isClassic ? { 'heartbeat.interval.ms': 300 } : {}),
    'fetch.wait.max.ms': 100,
    kafkaJS: {
      groupId: group,
      fromBeginning: true,
      autoCommit: true,
      ...(isClassic ? { sessionTimeout: 10_000 } : {}),
    },
  })
  await member.connect()
  await member.subscribe({ topics: [pattern === undefined ? topic : new RegExp(pattern)] })
  await member.run({
    eachMessage: async ({ partition, message }) => {
      received.push({
        key: toText(message.key),
        value: toText(message.value),
        headers: [],
        timestampMs: Number(message.timestamp),
        partition,
        offset: Number(message.offset),
      })
    },
  })
}

const operations = {
  produce,
  fetch,
  offsetForTime,
  join,
  partitions: () => member.assignment().map(({ partition }) => partition),
  received: () => received,
  leave: () => member.disconnect(),
}

async function answer(line) {
  const request = JSON.parse(line)
  const reply = await Promise.resolve()
    .then(() => operations[request.op](request))
    .then(
      (result) => ({ id: request.id, result: result ?? null }),
      (error) => ({ id: request.id, error: String(error?.stack ?? error) }),
    )
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}

let last = Promise.resolve()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  last = last.then(() => answer(line))
})
lines.on('close', () => last.then(() => process.exit(0)))
