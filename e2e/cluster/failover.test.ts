import { Admin, Producer } from '@millrace/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTopic } from '../crash/read-topic.ts'
import { type Cluster, startCluster } from '../harness/cluster.ts'
import { uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'

/** Goal: what was acknowledged with acks=all is there, once and in order, whichever node is lost, and the cluster serves on. */

let cluster: Cluster
let admin: Admin

beforeAll(async () => {
  cluster = await startCluster()
  admin = new Admin({ bootstrapServers: cluster.bootstrap, requestTimeoutMs: 5000 })
}, 120_000)

afterAll(async () => {
  await admin?.close()
  await cluster?.dispose()
})

async function createTopic(): Promise<string> {
  const topic = uniqueName('failover')
  const [created] = await admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 3 }])
  expect(created!.error).toBeNull()
  await untilInSync(topic)
  return topic
}

async function describeOnly(topic: string) {
  const [described] = await admin.describeTopics([topic])
  return described!.partitions[0] ?? null
}

function untilInSync(topic: string): Promise<unknown> {
  return until('all replicas are in sync', async () => (await describeOnly(topic))?.isr.length === 3, 60_000)
}

/** Sends numbers while `fault` is at work, and a while longer; gives those that were acknowledged. */
async function sendDuring(topic: string, fault: () => Promise<void>): Promise<number[]> {
  const producer = new Producer({
    bootstrapServers: cluster.bootstrap,
    requestTimeoutMs: 2000,
    deliveryTimeoutMs: 60_000,
  })
  const acknowledged: number[] = []
  const sends: Promise<unknown>[] = []
  let next = 0
  const sendOne = () => {
    const number = next++
    const sent = producer.send({ topic, partition: 0, value: String(number) })
    sends.push(sent.then(() => acknowledged.push(number)))
    return sent
  }
  try {
    for (let count = 0; count < 50; count++) await sendOne()
    let isOver = false
    const faulted = fault().then(() => {
      isOver = true
    })
    while (!isOver) await sendOne()
    await faulted
    for (let count = 0; count < 50; count++) await sendOne()
    await Promise.all(sends)
  } finally {
    await producer.close()
  }
  return acknowledged
}

async function expectAll(topic: string, acknowledged: readonly number[]): Promise<void> {
  const { stored } = await readTopic(cluster.nodes[0]!.bootstrap, topic)
  expect(stored.map(({ value }) => Number(value))).toEqual([...acknowledged].sort((a, b) => a - b))
}

function nodeOf(id: number) {
  return cluster.nodes.find((node) => node.id === id)!
}

describe('a cluster of three', () => {
  it.each(['the leader', 'the active controller'])('goes on when %s is killed, and takes it back', async (victim) => {
    const topic = await createTopic()
    const controllerId = (await admin.describeQuorum()).leaderId
    const leaderId = (await describeOnly(topic))!.leader
    const node = nodeOf(victim === 'the leader' ? leaderId : controllerId)
    const acknowledged = await sendDuring(topic, async () => {
      await node.kill()
      await until('it is fenced', async () => {
        const { brokers } = await admin.describeCluster({ includeFenced: true })
        return brokers.find(({ nodeId }) => nodeId === node.id)?.isFenced
      })
    })
    await node.restart()
    await untilInSync(topic)
    await expectAll(topic, acknowledged)
  })

  it('is restarted node by node without a pause in service', async () => {
    const topic = await createTopic()
    const acknowledged = await sendDuring(topic, async () => {
      for (const node of cluster.nodes) {
        await node.stop()
        await node.restart()
        await untilInSync(topic)
      }
    })
    await expectAll(topic, acknowledged)
  })

  it('has everything after all nodes were killed at once', async () => {
    const topic = await createTopic()
    const acknowledged = await sendDuring(topic, async () => {
      await Promise.all(cluster.nodes.map((node) => node.kill()))
      await Promise.all(cluster.nodes.map((node) => node.restart()))
    })
    await untilInSync(topic)
    await expectAll(topic, acknowledged)
  })
})
