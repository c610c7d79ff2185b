import { AssertionError, type Clock, type Timers, type Uuid } from '@millrace/base'
import {
  type AclBinding,
  type AclFilter,
  type AlterQuotaResult,
  type AlterReassignmentsRequest,
  type AlterScramCredentialsRequest,
  type AlterScramResult,
  type ApiError,
  applyRecords,
  type BrokerHeartbeat,
  type ConfigAlterations,
  type ConfigReplacement,
  type ControllerAnswer,
  type ControllerPort,
  type ControllerRequest,
  type ControllerRequestName,
  type CreateAclResult,
  type CreatePartitionsRequest,
  type CreateTopicsRequest,
  type DeleteAclsResult,
  type ElectLeadersRequest,
  emptyImage,
  type FeatureUpdate,
  type HeartbeatAnswer,
  type MetadataDelta,
  type MetadataImage,
  type MetadataRecord,
  type ProducerIdBlock,
  type QuorumDescription,
  type QuotaAlteration,
  quotaRefusal,
  type TopicToDelete,
  type Voter,
} from '@millrace/consensus'
import type { MetadataListener, MetadataService } from '../metadata/metadata-service.ts'
import { AppliedOffsets } from './applied-offsets.ts'
import { deltaBetween } from './image-delta.ts'
import {
  plainAcls,
  plainAlterations,
  plainCreatePartitions,
  plainCreateTopics,
  plainDeletions,
  plainElections,
  plainFeatureUpdates,
  plainQuotas,
  plainReassignments,
  plainReplacements,
  plainScramCredentials,
} from './plain-requests.ts'
import {
  refusalOf,
  refusedAlterations,
  refusedCreations,
  refusedDeletions,
  refusedPartitions,
  refusedReassignments,
  refusedScramCredentials,
} from './refusals.ts'

export interface ClusterMetadataOptions {
  readonly port: ControllerPort
  readonly clusterId: string
  readonly nodeId: number
  readonly clock: Clock
  readonly timers: Timers
  /** How long the active controller is looked for, where the client names no time. */
  readonly requestTimeoutMs: number
  onHeartbeatAnswer(answer: HeartbeatAnswer): void
  /** Another node is the active controller now, or, with null, nobody is known to be. */
  onActiveController(id: number | null): void
  /** Nothing may go on: the process must end. */
  onFatal(error: Error): void
}

/**
 * The cluster's metadata at one of its brokers: the image is what the quorum node of this process says is committed; changes are asked of
 * the active controller. An answer to a change is given once this broker has applied it, so that who asked and looks finds it (bounded by
 * the request's time: what was answered is true also where this broker lags).
 */
export class ClusterMetadata implements MetadataService {
  readonly #options: ClusterMetadataOptions
  readonly #listeners = new Set<MetadataListener>()
  readonly #applied: AppliedOffsets
  #image: MetadataImage
  #activeController: number | null = null
  #controllerLostAtMs: number
  #brokerEpoch = -1

  constructor(options: ClusterMetadataOptions) {
    this.#options = options
    this.#image = emptyImage(options.clusterId)
    this.#controllerLostAtMs = options.clock.monotonicMs()
    this.#applied = new AppliedOffsets(options.timers)
  }

  /** From here on images follow those of the quorum. */
  start(): void {
    this.#options.port.start({
      onRecords: (startOffset, records) => this.#onRecords(startOffset, records),
      onImage: (image) => this.#onImage(image),
      onActiveController: (id) => {
        if (id === this.#activeController) return
        if (id === null) this.#controllerLostAtMs = this.#options.clock.monotonicMs()
        this.#activeController = id
        this.#options.onActiveController(id)
      },
      onHeartbeatAnswer: (answer) => this.#options.onHeartbeatAnswer(answer),
      onFatal: (error) => this.#options.onFatal(error),
    })
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** Node id of the active controller as far as this node knows, or null. */
  get activeController(): number | null {
    return this.#activeController
  }

  /** For how long no active controller has been known, in milliseconds; 0 while there is one. */
  get controllerUnknownMs(): number {
    return this.#activeController === null ? this.#options.clock.monotonicMs() - this.#controllerLostAtMs : 0
  }

  /** Of this broker's registration; -1 before. */
  get brokerEpoch(): number {
    return this.#brokerEpoch
  }

  set brokerEpoch(epoch: number) {
    this.#brokerEpoch = epoch
  }

  subscribe(listener: MetadataListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves to whether all records below the offset are applied here within the time. */
  whenApplied(offset: number, timeoutMs: number): Promise<boolean> {
    return this.#applied.whenReached(offset, timeoutMs)
  }

  /**
   * Resolves to whether this broker has applied, within the time, all that was committed before the call. Rejects with
   * `ControllerUnavailableError` if no controller could be asked.
   */
  async catchUp(timeoutMs: number): Promise<boolean> {
    const deadlineMs = this.#deadline(timeoutMs)
    const { offset } = await this.#options.port.request('readBarrier', {}, timeoutMs)
    return this.whenApplied(offset, this.#left(deadlineMs))
  }

  /** Asks the active controller as it is, without waiting for the outcome to be applied. */
  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>> {
    return this.#options.port.request(name, request, timeoutMs)
  }

  heartbeat(heartbeat: BrokerHeartbeat): void {
    this.#options.port.heartbeat(heartbeat)
  }

  createTopics(request: CreateTopicsRequest, timeoutMs?: number) {
    const wait = request.validateOnly ? 'nothing' : 'applied'
    return this.#ask('createTopics', plainCreateTopics(request), timeoutMs, wait, (refusal) =>
      refusedCreations(request, refusal),
    )
  }

  deleteTopics(topics: readonly TopicToDelete[], timeoutMs?: number) {
    return this.#ask('deleteTopics', { topics: plainDeletions(topics) }, timeoutMs, 'applied', (refusal) =>
      refusedDeletions(topics, refusal),
    )
  }

  createPartitions(request: CreatePartitionsRequest, timeoutMs?: number) {
    const wait = request.validateOnly ? 'nothing' : 'applied'
    return this.#ask('createPartitions', plainCreatePartitions(request), timeoutMs, wait, (refusal) =>
      refusedPartitions(request, refusal),
    )
  }

  incrementalAlterConfigs(resources: readonly ConfigAlterations[], validateOnly: boolean) {
    return this.#alterConfigs('incrementalAlterConfigs', { resources: plainAlterations(resources), validateOnly })
  }

  legacyAlterConfigs(resources: readonly ConfigReplacement[], validateOnly: boolean) {
    return this.#alterConfigs('legacyAlterConfigs', { resources: plainReplacements(resources), validateOnly })
  }

  alterClientQuotas(entries: readonly QuotaAlteration[], validateOnly: boolean) {
    const wait = validateOnly ? 'nothing' : 'applied'
    const request = { entries: plainQuotas(entries), validateOnly }
    return this.#ask<'alterClientQuotas', readonly AlterQuotaResult[]>(
      'alterClientQuotas',
      request,
      undefined,
      wait,
      (refusal) => entries.map(({ entity }) => quotaRefusal(entity, refusal)),
    )
  }

  alterScramCredentials(request: AlterScramCredentialsRequest) {
    return this.#ask<'alterScramCredentials', readonly AlterScramResult[]>(
      'alterScramCredentials',
      plainScramCredentials(request),
      undefined,
      'applied',
      (refusal) => refusedScramCredentials(request, refusal),
    )
  }

  createAcls(creations: readonly AclBinding[]) {
    return this.#ask<'createAcls', readonly CreateAclResult[]>(
      'createAcls',
      { creations: plainAcls(creations) },
      undefined,
      'applied',
      ({ code, message }) => creations.map(() => ({ errorCode: code, errorMessage: message })),
    )
  }

  deleteAcls(filters: readonly AclFilter[]) {
    return this.#ask<'deleteAcls', readonly DeleteAclsResult[]>(
      'deleteAcls',
      { filters: plainAcls(filters) },
      undefined,
      'applied',
      ({ code, message }) => filters.map(() => ({ errorCode: code, errorMessage: message, deleted: [] })),
    )
  }

  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean, timeoutMs?: number) {
    const wait = validateOnly ? 'nothing' : 'applied'
    return this.#ask<'updateFeatures'>(
      'updateFeatures',
      { updates: plainFeatureUpdates(updates), validateOnly },
      timeoutMs,
      wait,
      same,
    )
  }

  alterPartitionReassignments(request: AlterReassignmentsRequest, timeoutMs?: number) {
    return this.#ask('alterPartitionReassignments', plainReassignments(request), timeoutMs, 'applied', (refusal) =>
      refusedReassignments(request, refusal),
    )
  }

  electLeaders(request: ElectLeadersRequest, timeoutMs?: number) {
    return this.#ask<'electLeaders'>('electLeaders', plainElections(request), timeoutMs, 'applied', same)
  }

  allocateProducerIds(): Promise<ProducerIdBlock | ApiError> {
    const request = { brokerId: this.#options.nodeId, brokerEpoch: this.#brokerEpoch }
    return this.#ask<'allocateProducerIds'>('allocateProducerIds', request, undefined, 'nothing', same)
  }

  unregisterBroker(brokerId: number): Promise<ApiError | null> {
    return this.#ask<'unregisterBroker'>('unregisterBroker', { brokerId }, undefined, 'applied', same)
  }

  describeQuorum(): Promise<QuorumDescription | ApiError> {
    return this.#ask<'describeQuorum', ApiError>('describeQuorum', {}, undefined, 'nothing', same)
  }

  addVoter(voter: Voter, timeoutMs?: number): Promise<ApiError | null> {
    return this.#ask<'addVoter'>('addVoter', voter, timeoutMs, 'nothing', same)
  }

  removeVoter(id: number, directoryId: Uuid): Promise<ApiError | null> {
    return this.#ask<'removeVoter'>('removeVoter', { id, directoryId }, undefined, 'nothing', same)
  }

  updateVoter(voter: Voter): Promise<ApiError | null> {
    return this.#ask<'updateVoter'>('updateVoter', voter, undefined, 'nothing', same)
  }

  /** Those who wait for offsets are told that they will not come. */
  close(): Promise<void> {
    this.#applied.close()
    return this.#options.port.close()
  }

  #alterConfigs<N extends 'incrementalAlterConfigs' | 'legacyAlterConfigs'>(name: N, request: ControllerRequest<N>) {
    const wait = request.validateOnly ? 'nothing' : 'applied'
    return this.#ask<N, readonly ReturnType<typeof refusedAlterations>[number][]>(
      name,
      request,
      undefined,
      wait,
      (refusal) => refusedAlterations(request.resources, refusal),
    )
  }

  async #ask<N extends ControllerRequestName, Refused = ControllerAnswer<N>>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number | undefined,
    wait: 'applied' | 'nothing',
    refused: (refusal: ApiError) => Refused,
  ): Promise<ControllerAnswer<N> | Refused> {
    const { port, requestTimeoutMs } = this.#options
    const limitMs = Math.min(timeoutMs ?? requestTimeoutMs, requestTimeoutMs)
    const deadlineMs = this.#deadline(limitMs)
    let answer: ControllerAnswer<N>
    try {
      answer = await port.request(name, request, limitMs)
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal === null) throw error
      return refused(refusal)
    }
    if (wait === 'applied') await this.#seeOwnWrites(this.#left(deadlineMs))
    return answer
  }

  async #seeOwnWrites(timeoutMs: number): Promise<void> {
    try {
      await this.catchUp(timeoutMs)
    } catch (error) {
      // The controller that did it is gone. What it committed stays, and comes here in its time.
      if (refusalOf(error) === null) throw error
    }
  }

  #onRecords(startOffset: number, records: readonly MetadataRecord[]): void {
    if (startOffset !== this.#image.offset) {
      const expected = `records from ${startOffset} came, but ${this.#image.offset} is the next`
      this.#options.onFatal(new AssertionError(`metadata: ${expected}`))
      return
    }
    const { image, delta } = applyRecords(this.#image, records)
    this.#adopt(image, delta)
  }

  #onImage(image: MetadataImage): void {
    this.#adopt(image, deltaBetween(this.#image, image))
  }

  #adopt(image: MetadataImage, delta: MetadataDelta): void {
    this.#image = image
    for (const listener of this.#listeners) listener(image, delta)
    this.#applied.onApplied(image.offset)
  }

  #deadline(timeoutMs: number): number {
    return this.#options.clock.monotonicMs() + timeoutMs
  }

  #left(deadlineMs: number): number {
    return Math.max(0, deadlineMs - this.#options.clock.monotonicMs())
  }
}

function same(refusal: ApiError): ApiError {
  return refusal
}
