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

/** What is held against what: ours first. */
export const pairings = [
  { ours: 'millrace-cached', theirs: 'kafka', durability: 'equal: page cache' },
  { ours: 'millrace', theirs: 'kafka', durability: 'ours synced, theirs page cache' },
  { ours: 'millrace', theirs: 'kafka-flush', durability: 'equal: synced' },
] as const satisfies { ours: VariantName; theirs: VariantName; durability: string }[]

let counter = 0

async function withAdmin<T>({ broker }: Variant, use: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const brokers = broker.bootstrap.split(',')
  const kafka = new kafkajs.Kafka({ clientId: 'bench', brokers, logLevel: kafkajs.logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Creates a topic with a new name: a partition for each node, so that each leads one. Not by Kafka's tool, which refuses configurations that it does not know. */
export async function createTopic(variant: Variant): Promise<string> {
  const topic = `bench-${process.pid}-${++counter}`
  const configEntries = Object.entries(variant.topicConfigs).map(([name, value]) => ({ name, value }))
  await withAdmin(variant, (admin) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [
        { topic, numPartitions: variant.broker.pids.length, replicationFactor: variant.broker.replicas, configEntries },
      ],
    }),
  )
  return topic
}

export function deleteTopic(variant: Variant, topic: string): Promise<void> {
  return withAdmin(variant, (admin) => admin.deleteTopics({ topics: [topic] }))
}
