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

/** Creates a topic of its own for a test and returns its name. */
export async function createTopic(bootstrap: string, options: TopicOptions = {}): Promise<string> {
  const topic = uniqueName('topic')
  const kafka = new kafkajs.Kafka({ clientId: 'e2e', brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  try {
    const configEntries = Object.entries(options.configs ?? {}).map(([name, value]) => ({ name, value }))
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions: options.partitions ?? 1, replicationFactor: 1, configEntries }],
    })
  } finally {
    await admin.disconnect()
  }
  return topic
}
