import { createInterface } from 'node:readline'
import { Consumer, Producer } from '@millrace/client'
import {
  type ClientAnswer,
  type ClientRequest,
  deliveryTimeoutMs,
  requestTimeoutMs,
  type WirePartition,
} from '../client-protocol.ts'

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

function open(group: string): Client {
  const shared = { bootstrapServers, requestTimeoutMs, defaultApiTimeoutMs: 15_000, reconnectBackoffMaxMs: 300 }
  const client: Client = {
    producer: new Producer({ ...shared, deliveryTimeoutMs, maxBlockMs: deliveryTimeoutMs }),
    consumer: new Consumer({
      ...shared,
      groupId: group,
      enableAutoCommit: false,
      autoOffsetReset: 'earliest',
      isolationLevel: 'read_committed',
      partitionAssignmentStrategy: ['range'],
      sessionTimeoutMs: 10_000,
    }),
    isRebalanced: false,
    last: Promise.resolve(),
  }
  return client
}

type Body = Omit<ClientAnswer, 'id' | 'type'>

const toPartitions = (partitions: readonly WirePartition[]) =>
  partitions.map(([topic, partition]) => ({ topic, partition }))

async function consume(client: Client, request: ClientRequest): Promise<Body> {
  const { consumer } = client
  switch (request.op) {
    case 'assign':
      consumer.assign(request.places.map(([topic, partition, start]) => ({ topic, partition, start })))
      return {}
    case 'subscribe':
      consumer.subscribe(request.topic, {
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

function handle({ id, client: name, ...request }: ClientRequest & { id: number; client: string }): void {
  if (request.op === 'open') {
    clients.set(name, open(request.group))
    write({ id, type: 'ok' })
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
