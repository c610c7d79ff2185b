/**
 * librdkafka, bound to Node by @confluentinc/kafka-javascript, behind the protocol of client-protocol.ts. It was compiled for the machine's
 * own Node, so this runs there: `librdkafka-client.cjs HOME BOOTSTRAP TIMES`, with the times of client-protocol.ts as JSON.
 */
const { createRequire } = require('node:module')
const { createInterface } = require('node:readline')
const { setTimeout: delay } = require('node:timers/promises')

const [, , home, bootstrap, times] = process.argv
const { deliveryTimeoutMs, requestTimeoutMs, transactionTimeoutMs, pollIntervalMs } = JSON.parse(times)
const { KafkaConsumer, Producer } = createRequire(`${home}/package.json`)('@confluentinc/kafka-javascript')

const clients = new Map()

/** Calls a function that takes a Node callback last. */
const call = (run) =>
  new Promise((resolve, reject) => run((error, result) => (error ? reject(error) : resolve(result))))
const write = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`)
const toPlace = ({ topic, partition, offset }) => [topic, partition, offset]

/** Of a call that a library repeats as long as it says that this can help. */
const tryLimitMs = transactionTimeoutMs

async function open({ group, groupProtocol, transactionalId }) {
  const shared = {
    'bootstrap.servers': bootstrap,
    'socket.timeout.ms': requestTimeoutMs,
    'reconnect.backoff.ms': 50,
    'reconnect.backoff.max.ms': 300,
    'topic.metadata.refresh.fast.interval.ms': 100,
  }
  const producer = new Producer({
    ...shared,
    'enable.idempotence': true,
    // With transactions a record that is not delivered within the time of its transaction has no use.
    ...(transactionalId === null
      ? { 'message.timeout.ms': deliveryTimeoutMs }
      : { 'transactional.id': transactionalId, 'transaction.timeout.ms': transactionTimeoutMs }),
    'request.timeout.ms': requestTimeoutMs,
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
      'group.protocol': groupProtocol,
      'max.poll.interval.ms': pollIntervalMs,
      ...(groupProtocol === 'classic' ? { 'partition.assignment.strategy': 'range', 'session.timeout.ms': 10000 } : {}),
      'fetch.wait.max.ms': 100,
      'fetch.error.backoff.ms': 50,
      // Told while it consumes, and done only when its client comes for more: it may be in a transaction with what it was given.
      rebalance_cb: (error, partitions) => {
        client.rebalances.push({ isAssign: error?.code === ASSIGN_PARTITIONS, partitions })
        if (client.isClosing) refuse(client)
      },
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
    /** Of the transaction under way: who waits for each of its records. */
    deliveries: new Map(),
    rebalances: [],
    isClosing: false,
    isHanging: false,
  }
  producer.on('delivery-report', (error, { opaque, offset }) => {
    const delivery = client.deliveries.get(opaque)
    if (delivery !== undefined) {
      client.deliveries.delete(opaque)
      return error ? delivery.reject(error) : delivery.resolve(offset ?? -1)
    }
    client.sends.delete(opaque)
    write(error ? { id: opaque, type: 'info', error: error.message } : { id: opaque, type: 'ok', offset: offset ?? -1 })
  })
  // A producer that can never again send in order says so here, and fails all that follows.
  for (const side of [producer, consumer]) side.on('event.error', () => undefined)
  consumer.on('offset.commit', (error, places) => {
    const name = nameOf(places)
    for (const commit of client.commits) if (commit.name === name) commit.outcome = { error }
  })
  producer.setPollInterval(5)
  await Promise.all([call((done) => producer.connect({}, done)), call((done) => consumer.connect({}, done))])
  try {
    if (transactionalId !== null) await insist('init', (done) => producer.initTransactions(apiMs, done))
  } catch (error) {
    client.isHanging = error.isHanging === true
    await close(client)
    throw error
  }
  return client
}

/** `ERR__ASSIGN_PARTITIONS`; anything else takes partitions away. */
const ASSIGN_PARTITIONS = -175

/** Does what the group has asked for since. */
function rebalance(client) {
  const { consumer } = client
  for (const { isAssign, partitions } of client.rebalances.splice(0)) {
    client.isRebalanced = true
    const isIncremental = consumer.rebalanceProtocol() === 'COOPERATIVE'
    if (isAssign) isIncremental ? consumer.incrementalAssign(partitions) : consumer.assign(partitions)
    else isIncremental ? consumer.incrementalUnassign(partitions) : consumer.unassign()
  }
}

/** A consumer that is closed waits until its partitions are given up. */
function giveUp(client) {
  try {
    rebalance(client)
  } catch (error) {
    // One whose connection is gone has nothing to give up.
    if (client.consumer.isConnected()) throw error
  }
}

/** While it is closing the binding lets a consumer take nothing any more (ERR__STATE), and its library waits for an answer: nothing is taken. */
function refuse(client) {
  const given = client.rebalances.filter(({ isAssign }) => isAssign)
  client.rebalances = client.rebalances.filter(({ isAssign }) => !isAssign)
  if (given.length > 0) client.rebalances.push({ isAssign: false, partitions: [] })
  giveUp(client)
}

/**
 * Fails if the library says nothing for longer than it should. `sendOffsetsToTransaction` hangs for good where the coordinator of the group
 * that it knows is no part of the cluster any more (librdkafka 5511, 5456). Its producer must be left alone then: whatever closes it
 * waits for that call, and all others for whatever closes it.
 */
function within(work, limitMs, what) {
  const limit = new AbortController()
  const late = delay(limitMs, undefined, { signal: limit.signal }).then(() => {
    throw Object.assign(new Error(`${what}: the library does not answer`), { isHanging: true })
  })
  late.catch(() => undefined)
  return Promise.race([work, late]).finally(() => limit.abort())
}

async function insist(what, run) {
  for (const deadline = Date.now() + tryLimitMs; ; ) {
    try {
      return await within(call(run), apiMs + 5000, what)
    } catch (error) {
      if (!error.isRetriable || Date.now() > deadline) throw error
    }
  }
}

const toPartitions = (partitions) => partitions.map(([topic, partition]) => ({ topic, partition }))
const apiMs = 15000
let recordCount = 0
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

/** Whether an abort is possible shows by itself. One that succeeds says that there was no commit, and will be none. */
async function abort(client) {
  if (client.isHanging) return false
  try {
    await insist('abort', (done) => client.producer.abortTransaction(apiMs, done))
    return true
  } catch (error) {
    client.isHanging = error.isHanging === true
    return false
  }
}

const operations = {
  async assign(client, { places }) {
    client.ahead = []
    client.consumer.assign(places.map(([topic, partition, offset]) => ({ topic, partition, offset })))
    return {}
  },
  async subscribe({ consumer }, { topics }) {
    consumer.subscribe(topics)
    return {}
  },
  async poll(client, { maxMs }) {
    rebalance(client)
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
  txn: transact,
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
  close,
}

async function transact(client, { sends, offsets, pauseMs, end }) {
  const { producer, consumer } = client
  const send = ([topic, partition, value]) => {
    // Reports of a transaction before may still come, and are nobody's then.
    const name = `record ${recordCount++}`
    const delivered = new Promise((resolve, reject) => client.deliveries.set(name, { resolve, reject }))
    // Waited for below, maybe after it has failed.
    delivered.catch(() => undefined)
    producer.produce(topic, partition, Buffer.from(value), null, null, name)
    return delivered
  }
  let isCommitAsked = false
  try {
    await insist('begin', (done) => producer.beginTransaction(done))
    const half = Math.ceil(sends.length / 2)
    const sent = sends.slice(0, half).map(send)
    await delay(pauseMs / 2)
    sent.push(...sends.slice(half).map(send))
    const stored = await within(Promise.all(sent), 2 * transactionTimeoutMs, 'delivery')
    const places = offsets.map(([topic, partition, offset]) => ({ topic, partition, offset }))
    if (places.length > 0)
      await insist('offsets', (done) => producer.sendOffsetsToTransaction(places, consumer, apiMs, done))
    await delay(pauseMs / 2)
    isCommitAsked = end === 'commit'
    if (end === 'commit') await insist('commit', (done) => producer.commitTransaction(apiMs, done))
    if (end === 'abort') await insist('abort', (done) => producer.abortTransaction(apiMs, done))
    return { offsets: stored }
  } catch (error) {
    client.isHanging = error.isHanging === true
    const isAborted = await abort(client)
    const type = isCommitAsked && !isAborted ? 'info' : 'fail'
    return { type, isBroken: !isAborted, error: String(error?.message ?? error) }
  } finally {
    client.deliveries.clear()
  }
}

async function close(client) {
  const { producer, consumer, sends, isHanging } = client
  client.isClosing = true
  giveUp(client)
  producer.setPollInterval(0)
  const closed = isHanging ? Promise.resolve() : call((done) => producer.disconnect(2000, done))
  const told = closed.finally(() => {
    // It reports no more; what it had not delivered by then nobody will hear of.
    for (const id of sends) write({ id, type: 'info', error: 'the producer was closed' })
  })
  await Promise.all([told, call((done) => consumer.disconnect(done))])
  return {}
}

function answer(id, work) {
  work.then(
    (body) => write({ id, type: 'ok', ...body }),
    (error) => write({ id, type: 'info', error: String(error?.message ?? error) }),
  )
}

function handle({ id, client: name, ...request }) {
  if (request.op === 'open') {
    const opened = open(request).then((client) => {
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
