import { expect, test } from 'vitest'
import type { PartitionImage } from '../metadata/image.ts'
import { DEFAULT_QUORUM_LIMITS } from '../quorum/quorum-options.ts'
import { idOf } from '../testing/cluster.ts'
import { DEFAULT_TRANSPORT_LIMITS } from '../transport/transport-options.ts'
import { MAX_PEER_FRAME_BYTES } from './peer-protocol.ts'
import { ControllerCluster } from './testing/controller-cluster.ts'

const ELR = 'eligible.leader.replicas.version'
const PARTITIONS_PER_TOPIC = 5_000
/** With as many partitions in all as there may be by default (`max.partitions`). */
const TOPIC_COUNT = 20

/**
 * A broker that has lost all its logs names each in its registration, which goes to the controller as one frame, and comes back as records of
 * the quorum's log: all limits on this way must let it through, or it never comes back.
 */
test('a broker that lost the logs of 100,000 replicas is registered, and eligible with none of them', async () => {
  const cluster = new ControllerCluster([1, 2, 3])
  await cluster.form(1)
  const upgrade = { validateOnly: false, updates: [{ feature: ELR, maxVersionLevel: 1, upgradeType: 1 }] }
  await cluster.result(cluster.broker(1).node.request('updateFeatures', upgrade, 1000))
  for (let topic = 0; topic < TOPIC_COUNT; topic++) {
    const wish = { name: `t${topic}`, numPartitions: PARTITIONS_PER_TOPIC, replicationFactor: 3, configs: [] }
    const configs = [{ name: 'min.insync.replicas', value: '3' }]
    const request = { validateOnly: false, topics: [{ ...wish, assignments: [], configs }] }
    const [result] = await cluster.result(cluster.broker(1).node.request('createTopics', request, 1000))
    expect(result).toMatchObject({ errorCode: 0 })
  }
  const { topics } = cluster.broker(1).image!
  const lostReplicas = [...topics.values()].flatMap(({ id, partitions }) =>
    partitions.map(({ partition }) => ({ topicId: id, partition })),
  )
  expect(lostReplicas).toHaveLength(100_000)

  cluster.fake.kill(3)
  await cluster.advance(300)
  expect(cluster.broker(1).image!.brokers.get(3)).toMatchObject({ fenced: true })
  expect(claimsOf(cluster)).toHaveLength(100_000)
  const lengthBefore = cluster.fake.log.length
  // One more was lost with a topic that was deleted since.
  lostReplicas.push({ topicId: idOf(7_777), partition: 0 })
  const broker = cluster.start(3)
  await cluster.result(broker.register({ lostReplicas }), 5_000)
  await cluster.advance(500)
  const { brokers } = cluster.broker(2).image!
  expect(brokers.get(3)).toMatchObject({ fenced: false, incarnationId: broker.incarnationId })
  expect(claimsOf(cluster)).toEqual([])
  const sizes = cluster.fake.log.slice(lengthBefore).map(({ data }) => data.length)
  expect(Math.max(...sizes)).toBeLessThan(DEFAULT_QUORUM_LIMITS.maxAppendBytes)
  expect(MAX_PEER_FRAME_BYTES).toBeLessThan(DEFAULT_TRANSPORT_LIMITS.maxFrameBytes)
  expect(MAX_PEER_FRAME_BYTES).toBeLessThan(DEFAULT_TRANSPORT_LIMITS.maxQueueBytes)
  expect(cluster.problems).toEqual([])
}, 120_000)

/** Partitions that broker 3 is in sync with, or eligible to lead. */
function claimsOf(cluster: ControllerCluster): PartitionImage[] {
  const { topics } = cluster.broker(2).image!
  const partitions = [...topics.values()].flatMap((topic) => [...topic.partitions])
  return partitions.filter(({ isr, elr }) => isr.includes(3) || elr.includes(3))
}
