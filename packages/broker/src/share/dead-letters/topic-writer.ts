import type { Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  ErrorCode,
  produceApi,
} from '@millrace/protocol'
import { AppendResult } from '@millrace/storage'
import type { Configuration } from '../../config/configuration.ts'
import type { Logger } from '../../logger.ts'
import type { MetadataService } from '../../metadata/metadata-service.ts'
import type { Partition } from '../../partition/partition.ts'
import type { PartitionManager } from '../../partition/partition-manager.ts'
import { BrokerConnectionError } from '../../replication/broker-connection.ts'
import { BrokerLane, type OpenConnection } from '../state/broker-lane.ts'
import type { DeadLetterTarget, DeadLetterTopics } from './dead-letters.ts'

/** How long a dead letter may wait for the replicas of its partition. */
const WRITE_TIMEOUT_MS = 15_000
const ALL_REPLICAS = -1
/** What is wrong with the topic of a group is said so often. */
const COMPLAINT_INTERVAL_MS = 60_000

export interface DeadLetterTopicWriterDeps {
  readonly configuration: Configuration
  readonly metadata: Pick<MetadataService, 'image' | 'createTopics'>
  readonly partitions: PartitionManager
  readonly timers: Timers
  readonly logger: Logger
  readonly nodeId: number
  monotonicMs(): number
  /** Null where there are no other brokers. */
  readonly open: OpenConnection | null
}

/**
 * Writes dead letters into their topics, here or on the brokers that lead them. Whoever may write into a topic that a share group consumes
 * could have the broker write into the group's dead-letter topic; so such a topic must have a name that says what it is
 * (`errors.deadletterqueue.topic.name.prefix`), and must allow it (`errors.deadletterqueue.group.enable`), as KIP-1191 has it.
 */
export class DeadLetterTopicWriter implements DeadLetterTopics {
  readonly #deps: DeadLetterTopicWriterDeps
  readonly #creating = new Set<string>()
  /** By topic and partition: one write at a time over each. */
  readonly #lanes = new Map<string, { lane: BrokerLane; last: Promise<unknown> }>()
  readonly #complainedMs = new Map<string, number>()

  constructor(deps: DeadLetterTopicWriterDeps) {
    this.#deps = deps
  }

  target(topic: string, sourcePartition: number): DeadLetterTarget | null {
    const { configuration, metadata } = this.#deps
    const { broker } = configuration
    const image: MetadataImage = metadata.image
    if (topic.startsWith('__') || !topic.startsWith(broker.errorsDeadletterqueueTopicNamePrefix)) {
      return this.#complain(topic, 'its name is not that of a dead-letter topic')
    }
    const found = image.topics.get(topic)
    if (found === undefined) {
      if (!broker.errorsDeadletterqueueAutoCreateTopicsEnable) return this.#complain(topic, 'there is no such topic')
      this.#create(topic)
      return null
    }
    const config = configuration.topic(image, topic)
    if (!config.errorsDeadletterqueueGroupEnable) {
      return this.#complain(topic, 'errors.deadletterqueue.group.enable is not set for it')
    }
    const partition = sourcePartition % found.partitions.length
    return { topic, partition, maxMessageBytes: config.maxMessageBytes }
  }

  async append(target: DeadLetterTarget, batch: Buffer): Promise<number> {
    if (batch.length > target.maxMessageBytes) return ErrorCode.MESSAGE_TOO_LARGE
    const { metadata, nodeId, partitions } = this.#deps
    const leader = metadata.image.topics.get(target.topic)?.partitions[target.partition]?.leader ?? -1
    if (leader !== nodeId) return this.#appendRemotely(leader, target, batch)
    const partition = partitions.find(target.topic, target.partition)
    return partition === null ? ErrorCode.NOT_LEADER_OR_FOLLOWER : this.#appendHere(partition, batch)
  }

  close(): void {
    for (const { lane } of this.#lanes.values()) lane.close()
    this.#lanes.clear()
  }

  async #appendHere(partition: Partition, batch: Buffer): Promise<number> {
    const { partitions, timers } = this.#deps
    const errorCode = partition.checkLeader(-1)
    if (errorCode !== ErrorCode.NONE) return errorCode
    if (!partition.hasEnoughReplicas()) return ErrorCode.NOT_ENOUGH_REPLICAS
    const appended = new AppendResult()
    const appendCode = partition.log.append(batch, 0, batch.length, 'coordinator', partition.leaderEpoch, appended)
    if (appendCode !== ErrorCode.NONE) return appendCode
    partitions.touched(partition)
    return new Promise((resolve) => {
      const waiter = {
        requiredOffset: appended.lastOffset + 1,
        waiting: true,
        onCommitted(code: number) {
          timer.cancel()
          waiter.waiting = false
          resolve(code)
        },
      }
      const timer = timers.setTimer(WRITE_TIMEOUT_MS, () => waiter.onCommitted(ErrorCode.REQUEST_TIMED_OUT))
      partition.awaitHighWatermark(waiter)
    })
  }

  async #appendRemotely(leader: number, target: DeadLetterTarget, batch: Buffer): Promise<number> {
    const { open, timers, metadata } = this.#deps
    if (leader < 0 || open === null) return ErrorCode.LEADER_NOT_AVAILABLE
    const key = `${target.topic}:${target.partition}`
    let line = this.#lanes.get(key)
    if (line === undefined) {
      line = { lane: new BrokerLane(open, timers), last: Promise.resolve() }
      this.#lanes.set(key, line)
    }
    const { lane } = line
    const topicId = metadata.image.topics.get(target.topic)?.id
    if (topicId === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const partitionData = [createPartitionProduceData({ index: target.partition, records: batch })]
    const topicData = [createTopicProduceData({ name: target.topic, topicId, partitionData })]
    const request = createProduceRequest({ acks: ALL_REPLICAS, timeoutMs: WRITE_TIMEOUT_MS, topicData })
    const written = line.last.then(async () => {
      try {
        const { responses } = await lane.call(leader, produceApi, request, WRITE_TIMEOUT_MS * 2)
        return responses[0]?.partitionResponses[0]?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      } catch (error) {
        if (error instanceof BrokerConnectionError) return ErrorCode.NETWORK_EXCEPTION
        throw error
      }
    })
    line.last = written.catch(() => undefined)
    return written
  }

  #create(topic: string): void {
    if (this.#creating.has(topic)) return
    this.#creating.add(topic)
    const configs = [{ name: 'errors.deadletterqueue.group.enable', value: 'true' }]
    const wanted = { name: topic, numPartitions: -1, replicationFactor: -1, assignments: [], configs }
    this.#deps.metadata
      .createTopics({ topics: [wanted], validateOnly: false })
      .then(([result]) => {
        const errorCode = result?.errorCode ?? ErrorCode.NONE
        if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return
        this.#complain(topic, `it could not be created: ${result?.errorMessage ?? errorCode}`)
      })
      .catch((error: unknown) => this.#complain(topic, `it could not be created: ${String(error)}`))
      .finally(() => this.#creating.delete(topic))
  }

  #complain(topic: string, reason: string): null {
    const nowMs = this.#deps.monotonicMs()
    const lastMs = this.#complainedMs.get(topic) ?? Number.NEGATIVE_INFINITY
    if (nowMs - lastMs < COMPLAINT_INTERVAL_MS) return null
    // Names come from configurations of groups: not so many that a few old ones matter.
    if (this.#complainedMs.size > 1000) this.#complainedMs.clear()
    this.#complainedMs.set(topic, nowMs)
    this.#deps.logger.warn('dead letters wait, since their topic cannot be written to', { topic, reason })
    return null
  }
}
