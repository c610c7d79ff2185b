import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import { type JavaTool, javaTool } from '../harness/java-tools.ts'
import { places } from '../harness/places.ts'
import { run } from '../harness/run.ts'
import type { Broker } from '../harness/running-broker.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'

/** Goal: transactions of Kafka's own producer (KIP-890) and of librdkafka (from before), and `kafka-transactions` to look after them. */

let broker: Broker

beforeAll(async () => {
  broker = await startBroker({ 'transaction.max.timeout.ms': '3600000' })
}, 60_000)

afterAll(() => broker?.dispose())

async function tool(name: JavaTool, ...args: string[]): Promise<string> {
  return (await javaTool(name, ['--bootstrap-server', broker.bootstrap, ...args])).stdout
}

/** What the tool prints below its heading, each line in columns. */
async function transactions(...args: string[]): Promise<string[][]> {
  const stdout = await tool('transactions', ...args)
  const lines = stdout.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(1).map((line) => line.split('\t').map((column) => column.trim()))
}

/** Java's producer, in transactions of 50 ms. */
function produce(topic: string, transactionalId: string, count: number): Promise<string> {
  const options = ['--transaction-duration-ms', '50', '--throughput', '2000', '--record-size', '20']
  return tool(
    'producer-perf',
    ...['--topic', topic, '--num-records', `${count}`, '--transactional-id', transactionalId],
    ...options,
  )
}

/** Reads so many records, or, if none are wanted, for a few seconds. */
async function consume(topic: string, isolation: string, wanted: number): Promise<string[]> {
  const limits = wanted > 0 ? ['--max-messages', `${wanted}`, '--timeout-ms', '50000'] : ['--timeout-ms', '5000']
  const stdout = await tool(
    'console-consumer',
    ...['--topic', topic, '--partition', '0', '--offset', 'earliest', '--isolation-level', isolation, ...limits],
  )
  return stdout.split('\n').filter((line) => line !== '')
}

/** A producer of librdkafka that writes one record, and goes away with its transaction open. */
async function leaveOpen(topic: string, transactionalId: string): Promise<void> {
  const program = `
import os, sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': sys.argv[3], 'transaction.timeout.ms': 1800000})
producer.init_transactions(30)
producer.begin_transaction()
producer.produce(sys.argv[2], value='open')
producer.flush(30)
os._exit(0)
`
  await run(places.python, ['-c', program, broker.bootstrap, topic, transactionalId])
}

describe("Kafka's own tools", () => {
  it('commit transactions by the rules of KIP-890, list and describe them', async () => {
    const topic = await createTopic(broker.bootstrap)
    const transactionalId = uniqueName('perf')
    await produce(topic, transactionalId, 1_000)
    expect(await consume(topic, 'read_committed', 1_000)).toHaveLength(1_000)

    const [listed] = (await transactions('list')).filter(([id]) => id === transactionalId)
    expect(listed?.[3]).toBe('CompleteCommit')
    const [described] = await transactions('describe', '--transactional-id', transactionalId)
    const [, , producerId, epoch, state, timeoutMs] = described!
    expect([state, timeoutMs]).toEqual(['CompleteCommit', '60000'])
    // Each end has raised the epoch, so there were several transactions.
    expect(Number(epoch)).toBeGreaterThan(2)
    const [producer] = await transactions('describe-producers', '--topic', topic, '--partition', '0')
    expect([producer![0], producer![1], producer![5]]).toEqual([producerId, epoch, 'None'])
  })

  it('abort a transaction that its producer left open, by its start, which readers then get past', async () => {
    const topic = await createTopic(broker.bootstrap)
    const transactionalId = uniqueName('left')
    await leaveOpen(topic, transactionalId)
    await produce(topic, uniqueName('perf'), 100)
    expect(await consume(topic, 'read_committed', 0)).toEqual([])
    expect(await consume(topic, 'read_uncommitted', 101)).toHaveLength(101)

    const producers = await transactions('describe-producers', '--topic', topic, '--partition', '0')
    const open = producers.find((columns) => columns[5] !== 'None')
    expect(open?.[5]).toBe('0')
    const partition = ['--topic', topic, '--partition', '0']
    await tool('transactions', 'abort', ...partition, '--start-offset', '0')
    expect(await consume(topic, 'read_committed', 100)).toHaveLength(100)
  })

  it('read the log of transactions', async () => {
    const topic = await createTopic(broker.bootstrap)
    const transactionalId = uniqueName('logged')
    await leaveOpen(topic, transactionalId)
    // Files in use are longer than what is in them.
    await broker.stop()
    const directories = readdirSync(broker.directory, { recursive: true, encoding: 'utf8' })
    const files = directories.filter((file) => /__transaction_state-\d+\/\d+\.log$/.test(file))
    const paths = files.map((file) => join(broker.directory, file)).join(',')
    const { stdout } = await javaTool('dump-log', ['--transaction-log-decoder', '--files', paths])
    await broker.restart()
    const lines = stdout.split('\n').filter((line) => line.includes(transactionalId))
    expect(lines.at(-1)).toContain('"transactionStatus":1')
    expect(lines.at(-1)).toContain(topic)
  })
})

describe('librdkafka', () => {
  it('copies a topic in transactions, aborts among them', async () => {
    const [source, target] = [await createTopic(broker.bootstrap), await createTopic(broker.bootstrap)]
    const program = join(import.meta.dirname, 'programs/confluent_transactions.py')
    const { stdout } = await run(places.python, [program, broker.bootstrap, source, target, '200'])
    const values = Array.from({ length: 200 }, (_, number) => `copy of ${number}`)
    expect(JSON.parse(stdout)).toEqual({ committed: 200, values })
  })
})
