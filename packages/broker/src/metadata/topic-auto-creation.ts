import { type NewTopic, topicNameComplaint } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Logger } from '../logger.ts'
import { GROUP_METADATA_TOPIC, SHARE_GROUP_STATE_TOPIC, TRANSACTION_STATE_TOPIC } from './internal-topics.ts'
import type { MetadataService } from './metadata-service.ts'

/** Topics that are being created on demand at one time. */
const MAX_CREATIONS_IN_FLIGHT = 1000

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
      creation = this.#request(name).finally(() => this.#inFlight.delete(name))
      this.#inFlight.set(name, creation)
    }
    return creation
  }

  async #request(name: string): Promise<boolean> {
    const { metadata, logger } = this.#deps
    try {
      const topics = [newTopicOf(name, this.#deps.config())]
      const [result] = await metadata.createTopics({ topics, validateOnly: false })
      const { NONE, TOPIC_ALREADY_EXISTS } = ErrorCode
      if (result?.errorCode === NONE || result?.errorCode === TOPIC_ALREADY_EXISTS) return true
      logger.warn('a topic could not be created on demand', { topic: name, error: result?.errorMessage })
      return false
    } catch (error) {
      // The caller was answered already, or answers "not available"; the next request tries again.
      logger.warn('a topic could not be created on demand', { topic: name, error: String(error) })
      return false
    }
  }
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
