import { randomBytes } from 'node:crypto'
import kafkajs from 'kafkajs'

/** A name that no other test has. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`
}

export interface TopicOptions {
  readonly partitions?: number
  readonly configs?: Readonly<Record<string, string>>
}

/** Creates a topic of its own for a test, with as many replicas as the cluster gives by default, and returns its name. */
export async function createTopic(bootstrap: string, options: TopicOptions = {}): Promise<string> {
  const topic = uniqueName('topic')
  const configEntries = Object.entries(options.configs ?? {}).map(([name, value]) => ({ name, value }))
  const topics = [{ topic, numPartitions: options.partitions ?? 1, replicationFactor: -1, configEntries }]
  await withAdmin(bootstrap, (admin) => admin.createTopics({ waitForLeaders: true, topics }))
  return topic
}

/** High watermarks by partition: a reader that stops after the records it expects sees none that are too many. */
export async function endOffsets(bootstrap: string, topic: string): Promise<number[]> {
  const offsets = await withAdmin(bootstrap, (admin) => admin.fetchTopicOffsets(topic))
  return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
}

/** An administrator for the time of one use. */
export async function withAdmin<T>(bootstrap: string, use: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const kafka = new kafkajs.Kafka({ clientId: 'e2e', brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}
