import { type Disk, DiskError, type Random, randomUuid, type Uuid } from '@millrace/base'
import {
  type AclBinding,
  type AclFilter,
  type AlterReassignmentsRequest,
  type AlterScramCredentialsRequest,
  type ApiError,
  allocateProducerIds,
  alterClientQuotas,
  alterPartitionReassignments,
  alterScramCredentials,
  apiError,
  applyRecords,
  type BrokerRegistration,
  bootstrapRecords,
  type ConfigAlterations,
  type ConfigReplacement,
  type ConfigRules,
  type ControllerContext,
  type ControllerSettings,
  type CreatePartitionsRequest,
  type CreateTopicResult,
  type CreateTopicsRequest,
  createAcls,
  createPartitions,
  createTopics,
  type DeleteTopicResult,
  DirectoryId,
  deleteAcls,
  deleteTopics,
  type ElectLeadersRequest,
  electLeaders,
  emptyImage,
  type FeatureUpdate,
  incrementalAlterConfigs,
  legacyAlterConfigs,
  MetadataErrorCode,
  type MetadataImage,
  type MetadataRecord,
  type Outcome,
  type ProducerIdBlock,
  type QuorumDescription,
  type QuotaAlteration,
  registerBroker,
  splitCreateTopics,
  type TopicToDelete,
  updateFeatures,
} from '@millrace/consensus'
import type { NextTurn } from '../handlers/slices.ts'
import type { Logger } from '../logger.ts'
import { MetadataJournal, type OpenedJournal } from './metadata-journal.ts'
import type { MetadataListener, MetadataService } from './metadata-service.ts'
import { MetadataStoreError } from './metadata-store-error.ts'

export interface LocalMetadataOptions {
  readonly disk: Disk
  readonly random: Random
  readonly logger: Logger
  /** Directory of the journal: `metadata/` in the first data directory. Made if absent. */
  readonly directory: string
  /** Cluster id that the data directories name; null: take the journal's, or make one. */
  readonly clusterId: string | null
  readonly configRules: ConfigRules
  /** Asked for each request, since some of it changes at run time. */
  settings(): ControllerSettings
  /** Bytes of records after which a snapshot replaces them. */
  readonly maxBytesBetweenSnapshots: number
  /** Between the parts of a large request. */
  readonly nextTurn: NextTurn
  /** The journal is in an unknown state: the node must stop. Told once. */
  onFatal(error: Error): void
}

/** Most topics that are deleted at once: each partition's directory is renamed when the step is committed. */
const TOPICS_PER_STEP = 100

/** As Kafka answers where voters are fixed. */
const NO_QUORUM = apiError(
  MetadataErrorCode.UNSUPPORTED_VERSION,
  'This node keeps its own metadata; there is no quorum whose voters could change',
)

/** Someone who waits until all records below `offset` are committed. */
interface Waiter {
  readonly offset: number
  resolve(): void
  reject(error: Error): void
}

/**
 * The metadata of a single node, kept in a journal of its own. Requests are worked out one after the other, each against an image
 * that holds all before it; what they write is synced in groups. An answer is given when all records below it are on disk: also a
 * request without records waits for those that it may have seen.
 */
export class LocalMetadata implements MetadataService {
  readonly #options: LocalMetadataOptions
  readonly #journal: MetadataJournal
  readonly #listeners = new Set<MetadataListener>()
  /** Committed. */
  #image: MetadataImage
  /** With the records that are not yet synced. */
  #pending: MetadataImage
  #records: MetadataRecord[] = []
  #waiters: Waiter[] = []
  #writing: Promise<void> | null = null
  /** After a snapshot that could not be written: how much the tail must grow before the next try. */
  #retrySnapshotAtBytes = 0
  #closed = false
  /** The journal failed and is not touched any more. */
  #abandoned = false

  /** True if this start made the cluster. */
  readonly created: boolean

  #removedTopics: ReadonlyMap<Uuid, string>

  private constructor(options: LocalMetadataOptions, opened: OpenedJournal, created: boolean) {
    this.#options = options
    this.#journal = opened.journal
    this.#image = opened.image
    this.#pending = opened.image
    this.#removedTopics = opened.removedTopics
    this.created = created
  }

  /** Replays the journal, or starts a new cluster. Throws `MetadataStoreError`, `DiskError`. Synchronous: nothing can be served before. */
  static open(options: LocalMetadataOptions): LocalMetadata {
    const { created, ...opened } = MetadataJournal.open({
      disk: options.disk,
      directory: options.directory,
      clusterId: options.clusterId,
      logger: options.logger,
      newCluster() {
        const clusterId = options.clusterId ?? randomUuid(options.random)
        return { clusterId, records: bootstrapRecords(contextFor(options, emptyImage(clusterId))) }
      },
    })
    return new LocalMetadata(options, opened, created)
  }

  /**
   * Names, by id, of topics that were removed before this start, as far as the journal still tells: with the next snapshot it forgets.
   * To be asked for once, since they are not kept longer.
   */
  takeRemovedTopics(): ReadonlyMap<Uuid, string> {
    const removedTopics = this.#removedTopics
    this.#removedTopics = new Map()
    return removedTopics
  }

  get image(): MetadataImage {
    return this.#image
  }

  subscribe(listener: MetadataListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async createTopics(request: CreateTopicsRequest): Promise<readonly CreateTopicResult[]> {
    const { parts, settled } = splitCreateTopics(contextFor(this.#options, this.#pending), request)
    const [first, ...others] = parts
    const results = first === undefined ? [] : [...(await this.#submit((context) => createTopics(context, first)))]
    for (const part of others) {
      await this.#options.nextTurn()
      for (const result of await this.#submit((context) => createTopics(context, part))) results.push(result)
    }
    return [...results, ...settled]
  }

  async deleteTopics(topics: readonly TopicToDelete[]): Promise<readonly DeleteTopicResult[]> {
    const { records, response } = deleteTopics(contextFor(this.#options, this.#pending), topics)
    if (records.length <= TOPICS_PER_STEP) return this.#submit((context) => deleteTopics(context, topics))
    for (let start = 0; start < records.length; start += TOPICS_PER_STEP) {
      if (start > 0) await this.#options.nextTurn()
      const step = records.slice(start, start + TOPICS_PER_STEP)
      await this.#submit(({ image }) => ({
        records: step.filter((record) => stillRemoves(image, record)),
        response: null,
      }))
    }
    return response
  }

  createPartitions(request: CreatePartitionsRequest) {
    return this.#submit((context) => createPartitions(context, request))
  }

  incrementalAlterConfigs(resources: readonly ConfigAlterations[], validateOnly: boolean) {
    return this.#submit((context) => incrementalAlterConfigs(context, resources, validateOnly))
  }

  legacyAlterConfigs(resources: readonly ConfigReplacement[], validateOnly: boolean) {
    return this.#submit((context) => legacyAlterConfigs(context, resources, validateOnly))
  }

  alterClientQuotas(entries: readonly QuotaAlteration[], validateOnly: boolean) {
    return this.#submit((context) => alterClientQuotas(context, entries, validateOnly))
  }

  alterScramCredentials(request: AlterScramCredentialsRequest) {
    return this.#submit((context) => alterScramCredentials(context, request))
  }

  createAcls(creations: readonly AclBinding[]) {
    return this.#submit((context) => createAcls(context, creations))
  }

  deleteAcls(filters: readonly AclFilter[]) {
    return this.#submit((context) => deleteAcls(context, filters))
  }

  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean) {
    return this.#submit((context) => updateFeatures(context, updates, validateOnly))
  }

  alterPartitionReassignments(request: AlterReassignmentsRequest) {
    return this.#submit((context) => alterPartitionReassignments(context, request))
  }

  electLeaders(request: ElectLeadersRequest) {
    return this.#submit((context) => electLeaders(context, request))
  }

  allocateProducerIds() {
    return this.#submit((context): Outcome<ProducerIdBlock | ApiError> => {
      const { nodeId } = context.settings
      const broker = context.image.brokers.get(nodeId)
      if (broker === undefined) return { records: [], response: apiError(MetadataErrorCode.BROKER_ID_NOT_REGISTERED) }
      return allocateProducerIds(context, nodeId, broker.epoch)
    })
  }

  /** Refused: this node's registration is its own start's, and there is no other. */
  async unregisterBroker(brokerId: number): Promise<ApiError> {
    if (!this.#image.brokers.has(brokerId)) return apiError(MetadataErrorCode.BROKER_ID_NOT_REGISTERED)
    return apiError(MetadataErrorCode.INVALID_REQUEST, 'The only node of a cluster cannot be unregistered')
  }

  /** A quorum of one, which this node leads and always has led. */
  async describeQuorum(): Promise<QuorumDescription> {
    const { offset } = this.#image
    const { nodeId } = this.#options.settings()
    const self = { id: nodeId, directoryId: DirectoryId.MIGRATING }
    const log = {
      matchIndex: offset,
      state: 'replicate',
      inFlightBytes: 0,
      silentTicks: 0,
      logEndOffset: offset,
    } as const
    return {
      leaderId: nodeId,
      leaderEpoch: 1,
      highWatermark: offset,
      voters: [{ ...self, host: '', port: 0 }],
      peers: [{ ...self, ...log, isVoter: true, lastFetchMs: 0, lastCaughtUpMs: 0 }],
    }
  }

  async addVoter(): Promise<ApiError> {
    return NO_QUORUM
  }

  async removeVoter(): Promise<ApiError> {
    return NO_QUORUM
  }

  async updateVoter(): Promise<ApiError> {
    return NO_QUORUM
  }

  /** Makes this broker known and able to lead. Once per start, after its listeners are bound. */
  registerBroker(registration: BrokerRegistration) {
    return this.#submit((context) => registerBroker(context, registration))
  }

  /** Waits for what is under way, then marks the journal as cleanly closed. Later calls are refused. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    while (this.#writing !== null) await this.#writing
    if (this.#abandoned) return
    try {
      this.#journal.close()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      // All records are synced. A full disk must not keep the rest of the node from a clean stop.
      this.#options.logger.warn('metadata journal: its end could not be marked as clean', { error: error.message })
    }
  }

  async #submit<Response>(rule: (context: ControllerContext) => Outcome<Response>): Promise<Response> {
    if (this.#closed) {
      throw new MetadataStoreError('METADATA_CLOSED', this.#options.directory, 0, 'the metadata is closed')
    }
    const { records, response } = rule(contextFor(this.#options, this.#pending))
    if (records.length > 0) {
      this.#pending = applyRecords(this.#pending, records).image
      for (const record of records) this.#records.push(record)
    }
    if (this.#pending !== this.#image) await this.#committed()
    return response
  }

  #committed(): Promise<void> {
    const offset = this.#pending.offset
    const committed = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ offset, resolve, reject })
    })
    this.#writing ??= this.#write()
    return committed
  }

  /** Writes groups until nothing is left. Never rejects: failures go to those who wait. */
  async #write(): Promise<void> {
    // What is submitted in this turn shares the first group.
    await Promise.resolve()
    while (this.#records.length > 0) {
      const records = this.#records
      this.#records = []
      try {
        await this.#journal.append(records)
        this.#commit(records)
        await this.#maybeCompact()
      } catch (error) {
        this.#fail(error)
      }
    }
    // In the same step as the check: whoever submits from here on must start the writing anew.
    this.#writing = null
  }

  #commit(records: readonly MetadataRecord[]): void {
    const { image, delta } = applyRecords(this.#image, records)
    this.#image = image
    // Both were made of the same records: keep one of them alive.
    if (this.#records.length === 0) this.#pending = image
    for (const listener of this.#listeners) listener(image, delta)
    const waiting = this.#waiters
    this.#waiters = waiting.filter((waiter) => waiter.offset > image.offset)
    for (const waiter of waiting) if (waiter.offset <= image.offset) waiter.resolve()
  }

  async #maybeCompact(): Promise<void> {
    const { tailSizeBytes, snapshotSizeBytes } = this.#journal
    // A snapshot larger than the tail would be written for little: at most half of all writing is snapshots.
    const due = Math.max(this.#options.maxBytesBetweenSnapshots, snapshotSizeBytes, this.#retrySnapshotAtBytes)
    if (tailSizeBytes < due) return
    try {
      await this.#journal.compact(this.#image)
      this.#retrySnapshotAtBytes = 0
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#retrySnapshotAtBytes = tailSizeBytes * 2
      this.#options.logger.warn('metadata journal: no snapshot could be written; trying again after more records', {
        error: error.message,
      })
    }
  }

  /** A disk that took nothing: those who wait are told, and the image falls back. Anything else ends the service. */
  #fail(error: unknown): void {
    const cause = error instanceof Error ? error : new Error(String(error))
    const waiting = this.#waiters
    this.#waiters = []
    this.#records = []
    this.#pending = this.#image
    if (!(error instanceof DiskError)) {
      this.#closed = true
      this.#abandoned = true
      this.#journal.abandon()
      this.#options.onFatal(cause)
    }
    for (const waiter of waiting) waiter.reject(cause)
  }
}

/** Others may have deleted the topic since. */
function stillRemoves(image: MetadataImage, record: MetadataRecord): boolean {
  return record.type !== 'RemoveTopicRecord' || image.topicsById.has(record.topicId)
}

function contextFor(options: LocalMetadataOptions, image: MetadataImage): ControllerContext {
  return { image, random: options.random, settings: options.settings(), configRules: options.configRules, voterIds: [] }
}
