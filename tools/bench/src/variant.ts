import { setTimeout as delay } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import type { Broker } from './broker.ts'

/**
 * A broker with the durability that a topic is given:
 * `kafka` trusts the page cache, as it does by default; `kafka-flush` syncs every append; `millrace` syncs before it acknowledges
 * `acks=all`, as it does by default; `millrace-cached` trusts the page cache.
 */
export type VariantName = 'kafka' | 'kafka-flush' | 'millrace' | 'millrace-cached'

export interface Variant {
  readonly name: VariantName
  readonly broker: Broker
  readonly topicConfigs: Readonly<Record<string, string>>
}

export const topicConfigsOf: Record<VariantName, Readonly<Record<string, string>>> = {
  kafka: {},
  'kafka-flush': { 'flush.messages': '1' },
  millrace: {},
  'millrace-cached': { 'write.caching': 'true' },
}

/** What `--variants` says, each once. Throws if it names one that is not among the known. */
export function parseVariants(text: string, known: readonly VariantName[]): VariantName[] {
  const isKnown = (name: string): name is VariantName => (known as readonly string[]).includes(name)
  const wanted = new Set(text.split(',').map((name) => name.trim()))
  const names = [...wanted].filter(isKnown)
  if (names.length === wanted.size) return names
  const unknown = [...wanted].filter((name) => !isKnown(name))
  throw new Error(`--variants: unknown: ${unknown.map((name) => `"${name}"`).join(', ')}; known: ${known.join(', ')}`)
}

/** What is held against what: ours first. */
export const pairings = [
  { ours: 'millrace-cached', theirs: 'kafka', durability: 'equal: page cache' },
  { ours: 'millrace', theirs: 'kafka', durability: 'ours synced, theirs page cache' },
  { ours: 'millrace', theirs: 'kafka-flush', durability: 'equal: synced' },
] as const satisfies { ours: VariantName; theirs: VariantName; durability: string }[]

const LEADERS_LIMIT_MS = 30_000

let counter = 0

async function withAdmin<T>(
  { broker }: Pick<Variant, 'broker'>,
  use: (admin: kafkajs.Admin) => Promise<T>,
): Promise<T> {
  const brokers = broker.bootstrap.split(',')
  const kafka = new kafkajs.Kafka({ clientId: 'bench', brokers, logLevel: kafkajs.logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Creates a topic with a new name: a partition for each node, so that each leads one. Not by Kafka's tool, which refuses configurations that it does not know. */
export async function createTopic({ broker, topicConfigs }: Variant): Promise<string> {
  return createTopicWith(broker, topicConfigs)
}

/** The same with these configurations, and so many partitions. */
export async function createTopicWith(
  broker: Broker,
  configs: Readonly<Record<string, string>>,
  partitionCount = broker.pids.length,
): Promise<string> {
  const topic = `bench-${process.pid}-${++counter}`
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  const { replicas } = broker
  await withAdmin({ broker }, async (admin) => {
    await admin.createTopics({
      waitForLeaders: false,
      topics: [{ topic, numPartitions: partitionCount, replicationFactor: replicas, configEntries }],
    })
    // Not by kafkajs, which gives up at a node that has not heard of the topic yet.
    const deadlineMs = performance.now() + LEADERS_LIMIT_MS
    while (!(await hasLeaders(admin, topic))) {
      if (performance.now() > deadlineMs) throw new Error(`${topic} has no leaders after ${LEADERS_LIMIT_MS} ms`)
      await delay(50)
    }
  })
  return topic
}

async function hasLeaders(admin: kafkajs.Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return topics[0]!.partitions.every(({ leader }) => leader >= 0)
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && error.retriable) return false
    throw error
  }
}

/** Ports of the nodes that lead the topic's partitions, in the order of these. */
export function leaderPorts(variant: Variant, topic: string): Promise<number[]> {
  return withAdmin(variant, async (admin) => {
    const { brokers } = await admin.describeCluster()
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]!.partitions.toSorted((left, right) => left.partitionId - right.partitionId)
    return partitions.map(({ leader }) => brokers.find(({ nodeId }) => nodeId === leader)!.port)
  })
}

/** Replaces all configurations of a topic. */
export function setTopicConfigs(
  broker: Broker,
  topic: string,
  configs: Readonly<Record<string, string>>,
): Promise<unknown> {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }]
  return withAdmin({ broker }, (admin) => admin.alterConfigs({ validateOnly: false, resources }))
}

export function deleteTopic(variant: Variant, topic: string): Promise<void> {
  return withAdmin(variant, (admin) => admin.deleteTopics({ topics: [topic] }))
}
