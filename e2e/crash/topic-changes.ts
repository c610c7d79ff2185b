import { setTimeout as delay } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { withAdmin } from '../harness/topics.ts'
import { type ObservedTopic, type TopicChange, TopicKnowledge } from './topic-knowledge.ts'

export interface TopicChangesOptions {
  readonly bootstrap: string
  /** Of the names of all topics; none of the broker's others begins so. */
  readonly prefix: string
  /** One of `count` ways, by chance. */
  choose(count: number): number
}

const topicsMax = 12
const pauseMs = 20

/**
 * Creates, changes, writes to and deletes topics without end, one change after the other, and remembers what was acknowledged. A change that got no
 * answer may have happened or not; what is seen after the next restart then counts as if it had been acknowledged.
 */
export class TopicChanges {
  readonly #options: TopicChangesOptions
  readonly #knowledge: TopicKnowledge
  /** Topics that only {@link remove} deletes. */
  readonly #kept: Set<string>
  #createdCount: number
  #isPaused: boolean
  #loop: Promise<void>
  /** Refusals: nothing that is asked for here is wrong. */
  readonly #problems: string[]
  acknowledgedCount: number
  unansweredCount: number

  constructor(options: TopicChangesOptions) {
    this.#options = options
    this.#knowledge = new TopicKnowledge()
    this.#kept = new Set()
    this.#createdCount = 0
    this.#isPaused = true
    this.#loop = Promise.resolve()
    this.#problems = []
    this.acknowledgedCount = 0
    this.unansweredCount = 0
  }

  /** Creates a topic that is left alone. The broker must not be killed meanwhile. */
  add(topic: string, partitionCount: number, configs: Readonly<Record<string, string>>): Promise<void> {
    this.#kept.add(topic)
    return withAdmin(this.#options.bootstrap, (admin) => this.#create(admin, topic, partitionCount, configs))
  }

  /** Deletes a topic. The broker must not be killed meanwhile. */
  remove(topic: string): Promise<void> {
    return withAdmin(this.#options.bootstrap, (admin) => this.#delete(admin, topic))
  }

  /** Goes on until {@link pause}. */
  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#loop = this.#changeAll()
  }

  /** Resolves when no change is under way. */
  async pause(): Promise<void> {
    this.#isPaused = true
    await this.#loop
  }

  /** Holds what the broker tells against what is known; lists what is wrong. Pre: paused, and the broker serves. */
  async check(): Promise<string[]> {
    const observed = await observe(this.#options.bootstrap, this.#options.prefix, this.#kept)
    return [...this.#problems.splice(0), ...this.#knowledge.check(observed)]
  }

  async #changeAll(): Promise<void> {
    const kafka = new kafkajs.Kafka({
      clientId: 'topic-changes',
      brokers: [this.#options.bootstrap],
      connectionTimeout: 1000,
      requestTimeout: 10_000,
      // A change that was not answered must not be made a second time unseen.
      retry: { retries: 0 },
      logLevel: kafkajs.logLevel.NOTHING,
    })
    const admin = kafka.admin()
    try {
      await admin.connect()
      while (!this.#isPaused) {
        await this.#changeOne(admin, kafka)
        await delay(pauseMs)
      }
    } catch (error) {
      // A broker that is gone gives no answer, which is noted; an answer that refuses is a finding.
      if (isRefusal(error)) this.#problems.push(`a change of topics was refused: ${error}`)
      this.#isPaused = true
    } finally {
      await admin.disconnect()
    }
  }

  async #changeOne(admin: kafkajs.Admin, kafka: kafkajs.Kafka): Promise<void> {
    const { choose, prefix } = this.#options
    const changeable = this.#knowledge.existing().filter((topic) => !this.#kept.has(topic))
    const topic = changeable[choose(Math.max(1, changeable.length))]
    const change = choose(5)
    const retentionMs = String(3_600_000 + choose(1000) * 1000)
    if (topic === undefined || (change === 0 && changeable.length < topicsMax)) {
      // A name that was used before must not bring back what was under it.
      const free = this.#knowledge.deleted().filter((name) => !this.#kept.has(name))
      const again = choose(2) === 0 ? free[choose(Math.max(1, free.length))] : undefined
      const created = again ?? `${prefix}${this.#createdCount++}`
      await this.#create(admin, created, 1 + choose(3), { 'retention.ms': retentionMs })
    } else if (change === 1) {
      await this.#delete(admin, topic)
    } else if (change === 2) {
      const partitionCount = this.#knowledge.countMax(topic, 'partitionCount') + 1
      await this.#make(topic, { partitionCount }, () =>
        admin.createPartitions({ topicPartitions: [{ topic, count: partitionCount }] }),
      )
    } else if (change === 3) {
      const recordCount = this.#knowledge.countMax(topic, 'recordCount') + 1
      await this.#make(topic, { recordCount }, () => sendOne(kafka, topic))
    } else {
      const configEntries = [{ name: 'retention.ms', value: retentionMs }]
      const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }]
      await this.#make(topic, { retentionMs }, () => admin.alterConfigs({ validateOnly: false, resources }))
    }
  }

  #create(
    admin: kafkajs.Admin,
    topic: string,
    partitionCount: number,
    configs: Readonly<Record<string, string>>,
  ): Promise<void> {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const topics = [{ topic, numPartitions: partitionCount, configEntries }]
    const { 'retention.ms': retentionMs = '' } = configs
    // Whoever asks for a topic to be left alone writes to it himself.
    const values = { partitionCount, retentionMs, ...(this.#kept.has(topic) ? {} : { recordCount: 0 }) }
    return this.#make(topic, values, async () => {
      if (!(await admin.createTopics({ waitForLeaders: false, topics }))) throw new TopicExistsError(topic)
    })
  }

  #delete(admin: kafkajs.Admin, topic: string): Promise<void> {
    return this.#make(topic, null, () => admin.deleteTopics({ topics: [topic] }))
  }

  async #make(topic: string, change: TopicChange, ask: () => Promise<unknown>): Promise<void> {
    this.#knowledge.onAsked(topic, change)
    try {
      await ask()
    } catch (error) {
      this.unansweredCount++
      throw error
    }
    this.acknowledgedCount++
    this.#knowledge.onAcknowledged(topic, change)
  }
}

/** One producer for each record: one that lives longer would ask for its earlier topics too, and bring deleted ones back. */
async function sendOne(kafka: kafkajs.Kafka, topic: string): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  try {
    await producer.connect()
    await producer.send({ topic, acks: -1, messages: [{ partition: 0, value: 'one' }] })
  } finally {
    await producer.disconnect()
  }
}

class TopicExistsError extends Error {
  constructor(topic: string) {
    super(`${topic}, which was never created or was deleted, is said to exist`)
  }
}

/** Of topics that others write to, `kept`, the count of records is told as 0. */
function observe(bootstrap: string, prefix: string, kept: ReadonlySet<string>): Promise<Map<string, ObservedTopic>> {
  return withAdmin(bootstrap, async (admin) => {
    const names = (await admin.listTopics()).filter((name) => name.startsWith(prefix))
    if (names.length === 0) return new Map()
    const { topics } = await admin.fetchTopicMetadata({ topics: names })
    const type = kafkajs.ConfigResourceTypes.TOPIC
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({ type, name, configNames: ['retention.ms'] })),
    })
    const retentions = new Map(
      resources.map(({ resourceName, configEntries: [entry] }) => {
        return [resourceName, entry === undefined || entry.isDefault ? '' : entry.configValue]
      }),
    )
    const observed = new Map<string, ObservedTopic>()
    for (const { name, partitions } of topics) {
      const ends = kept.has(name) ? [] : await admin.fetchTopicOffsets(name)
      const recordCount = Number(ends.find(({ partition }) => partition === 0)?.high ?? 0)
      const retentionMs = retentions.get(name) ?? ''
      observed.set(name, { partitionCount: partitions.length, retentionMs, recordCount })
    }
    return observed
  })
}

/** An answer of the broker, not the lack of one. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof TopicExistsError || error.name === 'KafkaJSProtocolError' || 'errors' in error) return true
  return isRefusal(error.cause)
}
