import type { Uuid } from '@millrace/base'
import type {
  AclBinding,
  AclFilter,
  AlterConfigsResult,
  AlterQuotaResult,
  AlterReassignmentsRequest,
  AlterScramCredentialsRequest,
  AlterScramResult,
  ApiError,
  ConfigAlterations,
  ConfigReplacement,
  CreateAclResult,
  CreatePartitionsRequest,
  CreatePartitionsResult,
  CreateTopicResult,
  CreateTopicsRequest,
  DeleteAclsResult,
  DeleteTopicResult,
  ElectionTopicResult,
  ElectLeadersRequest,
  FeatureUpdate,
  MetadataDelta,
  MetadataImage,
  ProducerIdBlock,
  QuorumDescription,
  QuotaAlteration,
  ReassignmentTopicResult,
  TopicToDelete,
  Voter,
} from '@millrace/consensus'

/** Told of each new image, in order, before the request that caused it is answered. Must not throw. */
export type MetadataListener = (image: MetadataImage, delta: MetadataDelta) => void

/**
 * The cluster's metadata as a broker meets it: the committed image, and the way to change it. One node keeps it itself; in a cluster
 * the same calls go to the active controller. An answer says what was committed; it never waits for other brokers to act on it. Calls
 * reject only if one node's own metadata cannot be written (`DiskError`, `MetadataStoreError`), and then nothing was changed; of a request
 * with more than a hundred topics, some may have been made or deleted by then. In a cluster, what no controller answers within
 * `timeoutMs` is answered REQUEST_TIMED_OUT, and may be done or not.
 */
export interface MetadataService {
  /** The newest committed image. */
  readonly image: MetadataImage
  /** Returns the way to stop listening. The present image is not told: read it first. */
  subscribe(listener: MetadataListener): () => void

  createTopics(request: CreateTopicsRequest, timeoutMs?: number): Promise<readonly CreateTopicResult[]>
  deleteTopics(topics: readonly TopicToDelete[], timeoutMs?: number): Promise<readonly DeleteTopicResult[]>
  createPartitions(request: CreatePartitionsRequest, timeoutMs?: number): Promise<readonly CreatePartitionsResult[]>
  incrementalAlterConfigs(
    resources: readonly ConfigAlterations[],
    validateOnly: boolean,
  ): Promise<readonly AlterConfigsResult[]>
  legacyAlterConfigs(
    resources: readonly ConfigReplacement[],
    validateOnly: boolean,
  ): Promise<readonly AlterConfigsResult[]>
  alterClientQuotas(entries: readonly QuotaAlteration[], validateOnly: boolean): Promise<readonly AlterQuotaResult[]>
  alterScramCredentials(request: AlterScramCredentialsRequest): Promise<readonly AlterScramResult[]>
  createAcls(creations: readonly AclBinding[]): Promise<readonly CreateAclResult[]>
  deleteAcls(filters: readonly AclFilter[]): Promise<readonly DeleteAclsResult[]>
  /** Null: done. */
  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean, timeoutMs?: number): Promise<ApiError | null>
  alterPartitionReassignments(
    request: AlterReassignmentsRequest,
    timeoutMs?: number,
  ): Promise<readonly ReassignmentTopicResult[]>
  electLeaders(request: ElectLeadersRequest, timeoutMs?: number): Promise<readonly ElectionTopicResult[] | ApiError>
  /** A block of ids for this broker alone. Refused until it is registered. */
  allocateProducerIds(): Promise<ProducerIdBlock | ApiError>
  /** Null: done; likewise below. */
  unregisterBroker(brokerId: number): Promise<ApiError | null>
  describeQuorum(): Promise<QuorumDescription | ApiError>
  addVoter(voter: Voter, timeoutMs?: number): Promise<ApiError | null>
  removeVoter(id: number, directoryId: Uuid): Promise<ApiError | null>
  updateVoter(voter: Voter): Promise<ApiError | null>
}
