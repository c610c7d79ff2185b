import { type NewTopic, topicNameComplaint } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Logger } from '../logger.ts'
import { GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC } from './internal-topics.ts'
import type { MetadataService } from './metadata-service.ts'

/** Topics that are being created on demand at one time. */
const MAX_CREATIONS_IN_FLIGHT = 1000
/** Most topics, and most partitions unless one topic has more, that are created in one step: each partition's log is made at once. */
const TOPICS_PER_STEP = 50
const PARTITIONS_PER_STEP = 200

export interface TopicAutoCreationDeps {
  readonly metadata: Pick<MetadataService, 'image' | 'createTopics'>
  config(): BrokerConfig
  readonly logger: Logger
}

/** Brings topics into being that somebody asked for: clients by Metadata, coordinators for their own. */
export class TopicAutoCreation {
  readonly #deps: TopicAutoCreationDeps
  /** Being created now: asking again must not cause a second request. */
  readonly #inFlight = new Map<string, Promise<boolean>>()
  /** Those of them whose creation has not been asked for. */
  #queue: Wanted[] = []
  #isDraining = false

  constructor(deps: TopicAutoCreationDeps) {
    this.#deps = deps
  }

  /** Starts to create a topic and answers at once what a client is told meanwhile. */
  start(name: string): number {
    if (topicNameComplaint(name) !== null) return ErrorCode.INVALID_TOPIC_EXCEPTION
    // The client asks again; one request that names a million topics must not queue a million creations.
    if (this.#inFlight.size >= MAX_CREATIONS_IN_FLIGHT) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    void this.#create(name)
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** Creates a topic unless it exists. Resolves to whether it exists afterwards; never rejects. */
  ensure(name: string): Promise<boolean> {
    return this.#deps.metadata.image.topics.has(name) ? Promise.resolve(true) : this.#create(name)
  }

  #create(name: string): Promise<boolean> {
    let creation = this.#inFlight.get(name)
    if (creation === undefined) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      this.#queue.push({ name, resolve })
      creation = promise.finally(() => this.#inFlight.delete(name))
      this.#inFlight.set(name, creation)
      if (!this.#isDraining) void this.#drain()
    }
    return creation
  }

  /** Creates what is wanted, some topics a step. Never rejects. */
  async #drain(): Promise<void> {
    this.#isDraining = true
    // What one request wants goes together.
    await Promise.resolve()
    while (this.#queue.length > 0) {
      const { numPartitions } = this.#deps.config()
      const count = Math.min(TOPICS_PER_STEP, Math.max(1, Math.floor(PARTITIONS_PER_STEP / numPartitions)))
      const step = this.#queue.splice(0, count)
      const existing = await this.#request(step.map(({ name }) => name))
      for (const { name, resolve } of step) resolve(existing.has(name))
    }
    this.#isDraining = false
  }

  /** Gives those of the names that exist afterwards. */
  async #request(names: readonly string[]): Promise<Set<string>> {
    const { metadata, logger } = this.#deps
    const existing = new Set<string>()
    try {
      const topics = names.map((name) => newTopicOf(name, this.#deps.config()))
      const { NONE, TOPIC_ALREADY_EXISTS } = ErrorCode
      for (const { name, errorCode, errorMessage } of await metadata.createTopics({ topics, validateOnly: false })) {
        if (errorCode === NONE || errorCode === TOPIC_ALREADY_EXISTS) existing.add(name)
        else logger.warn('a topic could not be created on demand', { topic: name, error: errorMessage })
      }
    } catch (error) {
      // The caller was answered already, or answers "not available"; the next request tries again.
      for (const topic of names) logger.warn('a topic could not be created on demand', { topic, error: String(error) })
    }
    return existing
  }
}

/** A topic that somebody waits for. */
interface Wanted {
  readonly name: string
  resolve(exists: boolean): void
}

/** Internal topics have counts and settings of their own; others take the controller's defaults. */
function newTopicOf(name: string, config: BrokerConfig): NewTopic {
  const topic = (numPartitions: number, replicationFactor: number, configs: Record<string, string>): NewTopic => ({
    name,
    numPartitions,
    replicationFactor,
    assignments: [],
    configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
  })
  switch (name) {
    case GROUP_METADATA_TOPIC:
      return topic(config.offsetsTopicNumPartitions, config.offsetsTopicReplicationFactor, {
        'cleanup.policy': 'compact',
        'compression.type': 'producer',
        'segment.bytes': String(config.offsetsTopicSegmentBytes),
      })
    case TRANSACTION_STATE_TOPIC:
      return topic(config.transactionStateLogNumPartitions, config.transactionStateLogReplicationFactor, {
        'cleanup.policy': 'compact',
        'compression.type': 'uncompressed',
        'min.insync.replicas': String(config.transactionStateLogMinIsr),
        'segment.bytes': String(config.transactionStateLogSegmentBytes),
        'unclean.leader.election.enable': 'false',
      })
    case SHARE_GROUP_STATE_TOPIC:
      return topic(config.shareCoordinatorStateTopicNumPartitions, config.shareCoordinatorStateTopicReplicationFactor, {
        'cleanup.policy': 'delete',
        'compression.type': 'producer',
        'min.insync.replicas': String(config.shareCoordinatorStateTopicMinIsr),
        'retention.ms': '-1',
        'segment.bytes': String(config.shareCoordinatorStateTopicSegmentBytes),
      })
    default:
      return topic(-1, -1, {})
  }
}
