import type {
  AlterConfigsResult,
  AlterReassignmentsRequest,
  ApiError,
  BrokerRegistration,
  ConfigAlterations,
  ConfigReplacement,
  CreatePartitionsRequest,
  CreatePartitionsResult,
  CreateTopicResult,
  CreateTopicsRequest,
  DeleteTopicResult,
  ElectionTopicResult,
  ElectLeadersRequest,
  FeatureUpdate,
  MetadataDelta,
  MetadataImage,
  ProducerIdBlock,
  ReassignmentTopicResult,
  TopicToDelete,
} from '@millrace/consensus'

/** Told of each new image, in order, before the request that caused it is answered. Must not throw. */
export type MetadataListener = (image: MetadataImage, delta: MetadataDelta) => void

/**
 * The cluster's metadata as a broker meets it: the committed image, and the way to change it. One node keeps it itself; in a cluster
 * the same calls go to the active controller. An answer says what was committed; it never waits for brokers to act on it. Calls
 * reject only if the metadata cannot be written (`DiskError`, `MetadataStoreError`), and then nothing was changed; of a request with
 * more than a hundred topics, some may have been made or deleted by then.
 */
export interface MetadataService {
  /** The newest committed image. */
  readonly image: MetadataImage
  /** Returns the way to stop listening. The present image is not told: read it first. */
  subscribe(listener: MetadataListener): () => void

  createTopics(request: CreateTopicsRequest): Promise<readonly CreateTopicResult[]>
  deleteTopics(topics: readonly TopicToDelete[]): Promise<readonly DeleteTopicResult[]>
  createPartitions(request: CreatePartitionsRequest): Promise<readonly CreatePartitionsResult[]>
  incrementalAlterConfigs(
    resources: readonly ConfigAlterations[],
    validateOnly: boolean,
  ): Promise<readonly AlterConfigsResult[]>
  legacyAlterConfigs(
    resources: readonly ConfigReplacement[],
    validateOnly: boolean,
  ): Promise<readonly AlterConfigsResult[]>
  /** Null: done. */
  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean): Promise<ApiError | null>
  alterPartitionReassignments(request: AlterReassignmentsRequest): Promise<readonly ReassignmentTopicResult[]>
  electLeaders(request: ElectLeadersRequest): Promise<readonly ElectionTopicResult[] | ApiError>
  /** A block of ids for this broker alone. Refused until it is registered. */
  allocateProducerIds(): Promise<ProducerIdBlock | ApiError>
  /** Makes this broker known and able to lead. Once per start, after its listeners are bound. */
  registerBroker(registration: BrokerRegistration): Promise<{ readonly brokerEpoch: number } | ApiError>
}
