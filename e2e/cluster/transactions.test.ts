import { join } from 'node:path'
import { Admin } from '@millrace/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../harness/cluster.ts'
import { places } from '../harness/places.ts'
import { run } from '../harness/run.ts'
import { createTopic } from '../harness/topics.ts'
import { until } from '../harness/until.ts'

/** Goal: librdkafka copies a topic exactly once, in transactions, whichever nodes are lost meanwhile. */

const program = join(import.meta.dirname, '../interop/programs/confluent_transactions.py')

/** Of a copy, with all that is done to the cluster meanwhile. */
const TIMEOUT_MS = 280_000

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

async function inSync(topics: readonly string[]): Promise<boolean> {
  const described = await admin.describeTopics([...topics])
  return described.every(({ partitions }) => partitions.every(({ isr }) => isr.length === 3))
}

async function copyDuring(count: number, faults: (topics: readonly string[]) => Promise<void>): Promise<void> {
  const source = await createTopic(cluster.nodes[0]!.bootstrap)
  const target = await createTopic(cluster.nodes[0]!.bootstrap, { partitions: 1 })
  await until('all replicas are in sync', () => inSync([source, target]), 60_000)
  const args = [program, cluster.bootstrap, source, target, String(count)]
  const copied = run(places.python, args, { timeoutMs: TIMEOUT_MS })
  await Promise.all([copied, faults([source, target])])
  const { committed, values } = JSON.parse((await copied).stdout)
  expect(values).toEqual(Array.from({ length: count }, (_, number) => `copy of ${number}`))
  expect(committed).toBe(count)
}

describe('transactions in a cluster of three', () => {
  it('are exact', () => copyDuring(300, () => Promise.resolve()))

  it(
    'are exact while nodes are killed one after the other',
    () =>
      copyDuring(2_000, async (topics) => {
        for (const node of cluster.nodes) {
          await node.kill()
          await node.restart()
          await until('all replicas are in sync', () => inSync(topics), 60_000)
        }
      }),
    TIMEOUT_MS + 20_000,
  )
})
