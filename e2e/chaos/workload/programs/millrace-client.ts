import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { Consumer, Producer, type Transaction } from '@millrace/client'
import {
  type Body,
  type ClientAnswer,
  type ClientRequest,
  type ClientSettings,
  deliveryTimeoutMs,
  pollIntervalMs,
  requestTimeoutMs,
  transactionTimeoutMs,
  type WirePartition,
} from '../client-protocol.ts'
import { Sharer } from './millrace-sharer.ts'

/** Millrace's own client behind the protocol of client-protocol.ts: `millrace-client.ts BOOTSTRAP`. */

interface Client {
  readonly producer: Producer
  readonly consumer: Consumer
  isRebalanced: boolean
  /** Ends when all that was asked so far, other than sends, is done. */
  last: Promise<unknown>
}

const [bootstrapServers = ''] = process.argv.slice(2)
const clients = new Map<string, Client>()
const sharers = new Map<string, Sharer>()
/** A commit that nobody knows the outcome of is given up for a new producer, which ends it. */
const COMMIT_LIMIT_MS = 2 * transactionTimeoutMs

async function open(
  { group, transactionalId }: ClientSettings,
  groupProtocol: 'classic' | 'consumer',
): Promise<Client> {
  const shared = { bootstrapServers, requestTimeoutMs, defaultApiTimeoutMs: 15_000, reconnectBackoffMaxMs: 300 }
  const ofTransactions =
    transactionalId === null
      ? { maxBlockMs: deliveryTimeoutMs }
      : { maxBlockMs: COMMIT_LIMIT_MS, transactionalId, transactionTimeoutMs }
  const ofClassic = { partitionAssignmentStrategy: ['range'] as const, sessionTimeoutMs: 10_000 }
  const client: Client = {
    producer: new Producer({ ...shared, deliveryTimeoutMs, ...ofTransactions }),
    consumer: new Consumer({
      ...shared,
      groupId: group,
      groupProtocol,
      enableAutoCommit: false,
      autoOffsetReset: 'earliest',
      isolationLevel: 'read_committed',
      maxPollIntervalMs: pollIntervalMs,
      ...(groupProtocol === 'classic' ? ofClassic : {}),
    }),
    isRebalanced: false,
    last: Promise.resolve(),
  }
  try {
    if (transactionalId !== null) await client.producer.initTransactions()
  } catch (error) {
    await close(client)
    throw error
  }
  return client
}

type TransactionRequest = Extract<ClientRequest, { op: 'txn' }>

const toPartitions = (partitions: readonly WirePartition[]) =>
  partitions.map(([topic, partition]) => ({ topic, partition }))

async function consume(client: Client, request: ClientRequest): Promise<Body> {
  const { consumer } = client
  switch (request.op) {
    case 'assign':
      consumer.assign(request.places.map(([topic, partition, start]) => ({ topic, partition, start })))
      return {}
    case 'subscribe':
      consumer.subscribe(request.topics, {
        onPartitionsAssigned: () => {
          client.isRebalanced = true
        },
        onPartitionsRevoked: () => {
          client.isRebalanced = true
        },
        onPartitionsLost: () => {
          client.isRebalanced = true
        },
      })
      return {}
    case 'poll': {
      const batches = await consumer.poll({ timeoutMs: request.maxMs })
      const rebalanced = client.isRebalanced
      client.isRebalanced = false
      const records = batches.flatMap(({ topic, partition, records: read }) =>
        read.map(({ offset, value }) => [topic, partition, Number(offset), value?.toString() ?? ''] as const),
      )
      return { records, rebalanced }
    }
    case 'commit':
      await consumer.commit(request.places.map(([topic, partition, offset]) => ({ topic, partition, offset })))
      return {}
    case 'txn':
      return transact(client, request)
    case 'committed': {
      const found = await consumer.committed(toPartitions(request.partitions))
      return { places: found.map(({ topic, partition, offset }) => [topic, partition, Number(offset)] as const) }
    }
    case 'ends': {
      const found = await consumer.findOffsets(toPartitions(request.partitions), 'latest')
      return { places: found.map(({ topic, partition, offset }) => [topic, partition, Number(offset)] as const) }
    }
    default:
      throw new Error(`no consumer does ${request.op}`)
  }
}

async function transact({ producer, consumer }: Client, request: TransactionRequest): Promise<Body> {
  const { sends, offsets, pauseMs, end } = request
  let transaction: Transaction | null = null
  let isCommitAsked = false
  try {
    const open = await producer.begin()
    transaction = open
    const send = ([topic, partition, value]: (typeof sends)[number]) => {
      const sent = open.send({ topic, partition, value })
      // Waited for below, maybe after it has failed.
      sent.catch(() => undefined)
      return sent
    }
    const half = Math.ceil(sends.length / 2)
    const sent = sends.slice(0, half).map(send)
    await delay(pauseMs / 2)
    sent.push(...sends.slice(half).map(send))
    const stored = await Promise.all(sent)
    const places = offsets.map(([topic, partition, offset]) => ({ topic, partition, offset }))
    if (places.length > 0) await open.sendOffsets(places, consumer.groupMetadata())
    await delay(pauseMs / 2)
    isCommitAsked = end === 'commit'
    if (end === 'commit') await open.commit()
    if (end === 'abort') await open.abort()
    return { offsets: stored.map(({ offset }) => Number(offset)) }
  } catch (error) {
    // Whether an abort is possible shows by itself. One that succeeds says that there was no commit, and will be none.
    const isAborted = await (transaction?.abort() ?? Promise.reject()).then(
      () => true,
      () => false,
    )
    const type = isCommitAsked && !isAborted ? 'info' : 'fail'
    return { type, isBroken: !isAborted, error: String(error) }
  }
}

async function close({ producer, consumer }: Client): Promise<Body> {
  await Promise.all([producer.close({ timeoutMs: 2000 }), consumer.close({ timeoutMs: 2000 })])
  return {}
}

function answer(id: number, work: Promise<Body>): void {
  work.then(
    (body) => write({ id, type: 'ok', ...body }),
    (error: unknown) => write({ id, type: 'info', error: String(error) }),
  )
}

function write(reply: ClientAnswer): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}

async function openAs(name: string, settings: ClientSettings): Promise<Body> {
  const { groupProtocol, group } = settings
  if (groupProtocol === 'share') sharers.set(name, new Sharer(bootstrapServers, group))
  else clients.set(name, await open(settings, groupProtocol))
  return {}
}

function handle({ id, client: name, ...request }: ClientRequest & { id: number; client: string }): void {
  if (request.op === 'open') {
    answer(id, openAs(name, request))
    return
  }
  const sharer = sharers.get(name)
  if (sharer !== undefined) {
    if (request.op === 'close') sharers.delete(name)
    answer(id, sharer.handle(request))
    return
  }
  const client = clients.get(name)
  if (client === undefined) {
    write({ id, type: 'fail', error: 'no such client' })
    return
  }
  if (request.op === 'send') {
    const { topic, partition, value } = request
    answer(
      id,
      client.producer.send({ topic, partition, value }).then(({ offset }) => ({ offset: Number(offset) })),
    )
    return
  }
  if (request.op === 'close') clients.delete(name)
  const work = client.last.then(() => (request.op === 'close' ? close(client) : consume(client, request)))
  client.last = work.catch(() => undefined)
  answer(id, work)
}

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => handle(JSON.parse(line)))
lines.on('close', () => process.exit(0))
