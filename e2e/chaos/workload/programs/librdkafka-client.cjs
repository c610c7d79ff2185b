/**
 * librdkafka, bound to Node by @confluentinc/kafka-javascript, behind the protocol of client-protocol.ts. It was compiled for the machine's
 * own Node, so this runs there: `librdkafka-client.cjs HOME BOOTSTRAP DELIVERY_MS REQUEST_MS`.
 */
const { createRequire } = require('node:module')
const { createInterface } = require('node:readline')

const [, , home, bootstrap, deliveryMs, requestMs] = process.argv
const { KafkaConsumer, Producer } = createRequire(`${home}/package.json`)('@confluentinc/kafka-javascript')

const clients = new Map()

/** Calls a function that takes a Node callback last. */
const call = (run) =>
  new Promise((resolve, reject) => run((error, result) => (error ? reject(error) : resolve(result))))
const write = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`)
const toPlace = ({ topic, partition, offset }) => [topic, partition, offset]

async function open(group) {
  const shared = {
    'bootstrap.servers': bootstrap,
    'socket.timeout.ms': Number(requestMs),
    'reconnect.backoff.ms': 50,
    'reconnect.backoff.max.ms': 300,
    'topic.metadata.refresh.fast.interval.ms': 100,
  }
  const producer = new Producer({
    ...shared,
    'enable.idempotence': true,
    'message.timeout.ms': Number(deliveryMs),
    'request.timeout.ms': Number(requestMs),
    'retry.backoff.ms': 50,
    'linger.ms': 0,
    dr_cb: true,
  })
  const consumer = new KafkaConsumer(
    {
      ...shared,
      'group.id': group,
      'enable.auto.commit': false,
      'isolation.level': 'read_committed',
      'partition.assignment.strategy': 'range',
      'session.timeout.ms': 10000,
      'fetch.wait.max.ms': 100,
      'fetch.error.backoff.ms': 50,
      rebalance_cb: true,
      offset_commit_cb: true,
    },
    { 'auto.offset.reset': 'earliest' },
  )
  const client = {
    producer,
    consumer,
    isRebalanced: false,
    last: Promise.resolve(),
    ahead: [],
    commits: [],
    sends: new Set(),
  }
  producer.on('delivery-report', (error, { opaque, offset }) => {
    client.sends.delete(opaque)
    write(error ? { id: opaque, type: 'info', error: error.message } : { id: opaque, type: 'ok', offset: offset ?? -1 })
  })
  // A producer that can never again send in order says so here, and fails all that follows.
  for (const side of [producer, consumer]) side.on('event.error', () => undefined)
  consumer.on('rebalance', () => {
    client.isRebalanced = true
  })
  consumer.on('offset.commit', (error, places) => {
    const name = nameOf(places)
    for (const commit of client.commits) if (commit.name === name) commit.outcome = { error }
  })
  producer.setPollInterval(5)
  await Promise.all([call((done) => producer.connect({}, done)), call((done) => consumer.connect({}, done))])
  return client
}

const toPartitions = (partitions) => partitions.map(([topic, partition]) => ({ topic, partition }))
const apiMs = 15000
/** Less than whoever asks waits. */
const commitMs = 30000

/** What tells a commit from others of its client, which go forward only. */
const nameOf = (places) =>
  places
    .map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`)
    .sort()
    .join()

function consume({ consumer }, count, maxMs) {
  consumer.setDefaultConsumeTimeout(maxMs)
  consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
  return call((done) => consumer.consume(count, done))
}

const operations = {
  async assign(client, { places }) {
    client.ahead = []
    client.consumer.assign(places.map(([topic, partition, offset]) => ({ topic, partition, offset })))
    return {}
  },
  async subscribe({ consumer }, { topic }) {
    consumer.subscribe([topic])
    return {}
  },
  async poll(client, { maxMs }) {
    const ahead = client.ahead.splice(0)
    const messages = [...ahead, ...(await consume(client, 500, ahead.length > 0 ? 0 : maxMs))]
    const rebalanced = client.isRebalanced
    client.isRebalanced = false
    return {
      rebalanced,
      records: messages.map(({ topic, partition, offset, value }) => [topic, partition, offset, String(value)]),
    }
  },
  async commit(client, { places }) {
    const wanted = places.map(([topic, partition, offset]) => ({ topic, partition, offset }))
    const commit = { name: nameOf(wanted), outcome: null }
    client.commits.push(commit)
    try {
      // This calls back once the commit is in a queue: its work is rd_kafka_commit with async set (src/workers.cc,
      // KafkaConsumerCommitCb). What the coordinator said comes with a poll, and may be a refusal.
      await call((done) => client.consumer.commitCb(wanted, done))
      for (const deadline = Date.now() + commitMs; commit.outcome === null; ) {
        if (Date.now() > deadline) throw new Error('the commit was not answered')
        client.ahead.push(...(await consume(client, 1, 20)))
      }
    } finally {
      client.commits.splice(client.commits.indexOf(commit), 1)
    }
    if (commit.outcome.error) throw commit.outcome.error
    return {}
  },
  async committed({ consumer }, { partitions }) {
    const found = await call((done) => consumer.committed(toPartitions(partitions), apiMs, done))
    return { places: found.filter(({ offset }) => offset >= 0).map(toPlace) }
  },
  async ends({ consumer }, { partitions }) {
    const places = []
    for (const [topic, partition] of partitions) {
      const { highOffset } = await call((done) => consumer.queryWatermarkOffsets(topic, partition, apiMs, done))
      places.push([topic, partition, highOffset])
    }
    return { places }
  },
  async close({ producer, consumer, sends }) {
    producer.setPollInterval(0)
    const closed = call((done) => producer.disconnect(2000, done)).finally(() => {
      // It reports no more; what it had not delivered by then nobody will hear of.
      for (const id of sends) write({ id, type: 'info', error: 'the producer was closed' })
    })
    await Promise.all([closed, call((done) => consumer.disconnect(done))])
    return {}
  },
}

function answer(id, work) {
  work.then(
    (body) => write({ id, type: 'ok', ...body }),
    (error) => write({ id, type: 'info', error: String(error?.message ?? error) }),
  )
}

function handle({ id, client: name, ...request }) {
  if (request.op === 'open') {
    const opened = open(request.group).then((client) => {
      clients.set(name, client)
      return {}
    })
    return answer(id, opened)
  }
  const client = clients.get(name)
  if (client === undefined) return write({ id, type: 'fail', error: 'no such client' })
  if (request.op === 'send') {
    client.sends.add(id)
    try {
      client.producer.produce(request.topic, request.partition, Buffer.from(request.value), null, null, id)
    } catch (error) {
      // Its queue is full, or it is broken: the record was not taken.
      client.sends.delete(id)
      write({ id, type: 'fail', error: String(error) })
    }
    return
  }
  if (request.op === 'close') clients.delete(name)
  const work = client.last.then(() => operations[request.op](client, request))
  client.last = work.catch(() => undefined)
  answer(id, work)
}

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => handle(JSON.parse(line)))
lines.on('close', () => process.exit(0))
