import type { Clock } from '@millrace/base'
import { type Random, randomUuid, type Timers, type Uuid } from '@millrace/base'
import { type ControllerPort, type EndpointImage, SUPPORTED_FEATURES } from '@millrace/consensus'
import type { LogManager } from '@millrace/storage'
import type { Configuration } from '../config/configuration.ts'
import type { Logger } from '../logger.ts'
import type { QuorumFigures, QuorumWait } from '../metrics/cluster-metrics.ts'
import type { ReplicaName } from '../partition/lost-replicas.ts'
import { BrokerLifecycle, BrokerState, RegistrationError, type RegistrationRequest } from './broker-lifecycle.ts'
import { ClusterMetadata } from './cluster-metadata.ts'
import type { Membership } from './membership.ts'
import { refusalOf } from './refusals.ts'
import { startWords } from './start-words.ts'

/** A broker's way into a cluster of several nodes. */
export interface ClusterAccess {
  readonly port: ControllerPort
  readonly clusterId: string
  /** For metrics: how the quorum node fares, as it was told last; null before the first time. */
  quorumFigures?(): QuorumFigures | null
  /** What the quorum lacks to have a leader, as the quorum node told it last; null where it lacks nothing, or nothing was told. */
  quorumWait?(): QuorumWait | null
}

export interface ClusterMembershipOptions extends ClusterAccess {
  readonly configuration: Configuration
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly logs: LogManager
  /** Replicas whose logs held records and are not here any more. */
  lostReplicas(): readonly ReplicaName[]
  /** Where other nodes and clients reach this broker, with the bound ports. */
  endpoints(): readonly EndpointImage[]
  /** The epoch of this life; told before the metadata is. */
  onBrokerEpoch(epoch: number): void
  onFatal(error: Error): void
}

/** One try to catch up; a controller must be found within it. */
const CATCH_UP_TRY_MS = 5_000
/** How long a stop waits for others to take the leaderships over: what has not moved by then has nobody to move to. */
const CONTROLLED_SHUTDOWN_MS = 10_000
/** The last broker of a cluster that is stopped: nobody is left to take over, and most often no controller to say so. */
const LAST_SHUTDOWN_MS = 1000

/** One of several brokers: metadata from the quorum, a registration that must be kept alive. */
export class ClusterMembership implements Membership {
  readonly metadata: ClusterMetadata
  readonly #options: ClusterMembershipOptions
  readonly #lifecycle: BrokerLifecycle
  readonly #incarnationId: Uuid
  #isStarted = false
  #isCaughtUp = false

  constructor(options: ClusterMembershipOptions) {
    this.#options = options
    const { configuration, clock, timers, logger, logs } = options
    const { broker: config, nodeId } = configuration
    this.#incarnationId = randomUuid(options.random)
    this.metadata = new ClusterMetadata({
      port: options.port,
      clusterId: options.clusterId,
      nodeId,
      clock,
      timers,
      requestTimeoutMs: config.requestTimeoutMs,
      onHeartbeatAnswer: (answer) => this.#lifecycle.onHeartbeatAnswer(answer),
      onActiveController: (controllerId) => {
        if (controllerId === null)
          logger.info('no active controller is known: an election is under way, or this node is cut off')
        else if (controllerId === nodeId) logger.info('the active controller is this node', { controllerId })
        else logger.info(`the active controller is node ${controllerId}`, { controllerId })
      },
      onFatal: (error) => options.onFatal(error),
    })
    this.#lifecycle = new BrokerLifecycle({
      metadata: this.metadata,
      timers,
      logger,
      heartbeatIntervalMs: config.brokerHeartbeatIntervalMs,
      registrationTimeoutMs: config.initialBrokerRegistrationTimeoutMs,
      previousBrokerEpoch: logs.previousBrokerEpoch,
      registration: () => this.#registration(),
      offlineDirectories: () => this.#directories(false),
      onBrokerEpoch: (epoch) => this.#onBrokerEpoch(epoch),
      onFatal: (error) => options.onFatal(error),
    })
    this.metadata.subscribe((image, { changedBrokers }) => {
      if (changedBrokers.has(nodeId)) this.#lifecycle.onRegistration(image.brokers.get(nodeId))
    })
  }

  get activeController(): number | null {
    return this.metadata.activeController
  }

  get controllerUnknownMs(): number {
    return this.metadata.controllerUnknownMs
  }

  get state(): number {
    return this.#lifecycle.state
  }

  get isFenced(): boolean {
    return this.#lifecycle.isFenced
  }

  get waitsFor(): string {
    const { quorumFigures, quorumWait } = this.#options
    return startWords({
      activeController: this.activeController,
      isCaughtUp: this.#isCaughtUp,
      isRegistered: this.#lifecycle.state !== BrokerState.STARTING,
      refusal: this.#lifecycle.refusal,
      figures: quorumFigures?.() ?? null,
      wait: quorumWait?.() ?? null,
    })
  }

  /** Waits for a controller, which the other nodes may yet have to start to elect. */
  async catchUp(): Promise<void> {
    if (!this.#isStarted) this.metadata.start()
    this.#isStarted = true
    const { clock, configuration } = this.#options
    const limitMs = configuration.broker.initialBrokerRegistrationTimeoutMs
    const deadlineMs = clock.monotonicMs() + limitMs
    for (;;) {
      try {
        if (await this.metadata.catchUp(CATCH_UP_TRY_MS)) {
          this.#isCaughtUp = true
          return
        }
      } catch (error) {
        if (refusalOf(error) === null) throw error
        if (clock.monotonicMs() >= deadlineMs) {
          throw new RegistrationError(
            `no active controller was found within ${limitMs} ms (initial.broker.registration.timeout.ms): ${(error as Error).message}`,
          )
        }
        await this.#pause()
      }
    }
  }

  /** The image does not tell what was before it: a log without a place in it is set aside, for whoever may miss it. */
  takeRemovedTopics(): ReadonlyMap<Uuid, string> {
    return new Map()
  }

  register(): Promise<void> {
    return this.#lifecycle.register()
  }

  unfence(): Promise<void> {
    return this.#lifecycle.unfence()
  }

  onDirectoryFailed(): void {
    this.#lifecycle.tellNow()
  }

  async leave(): Promise<void> {
    const { configuration, logger } = this.#options
    if (configuration.broker.controlledShutdownEnable) {
      const wasRunning = this.#lifecycle.isRunning
      const limitMs = this.#hasSuccessor() ? CONTROLLED_SHUTDOWN_MS : LAST_SHUTDOWN_MS
      const released = await this.#lifecycle.controlledShutdown(limitMs)
      // Where all brokers stop there is nobody to take over, and without a controller nobody to say who does.
      const wasMissed = wasRunning && !released && this.activeController !== null && this.#hasSuccessor()
      if (wasMissed) logger.warn('the cluster did not take over all leaderships of this broker in time')
    }
    this.#lifecycle.close()
  }

  close(): Promise<void> {
    this.#lifecycle.close()
    return this.metadata.close()
  }

  /** Whether another broker could lead what this one leads. */
  #hasSuccessor(): boolean {
    const { image } = this.metadata
    for (const { fenced, inControlledShutdown, id } of image.brokers.values()) {
      if (id !== this.#options.configuration.nodeId && !fenced && !inControlledShutdown) return true
    }
    return false
  }

  #registration(): RegistrationRequest {
    const { configuration, endpoints, clusterId } = this.#options
    return {
      clusterId,
      brokerId: configuration.nodeId,
      incarnationId: this.#incarnationId,
      rack: configuration.broker.brokerRack,
      endpoints: endpoints(),
      features: [...SUPPORTED_FEATURES],
      directories: this.#directories(true),
      recoveredCleanly: this.#hasAllThatWasAcknowledged(),
      lostReplicas: this.#options.lostReplicas(),
    }
  }

  #directories(online: boolean): Uuid[] {
    const { logs } = this.#options
    return logs
      .directories()
      .filter((directory) => directory.online === online)
      .map((directory) => directory.id)
  }

  /**
   * What this replica acknowledged was on disk, so a crash takes none of it; unless nobody can tell how far it was synced, or the topic
   * says that the system's memory is enough (`design.md`, 5).
   */
  #hasAllThatWasAcknowledged(): boolean {
    const { logs, configuration } = this.#options
    if (!logs.recoveredUncleanly) return true
    if (logs.mayLackDurable) return false
    for (const log of logs.logs()) {
      if (configuration.topic(this.metadata.image, log.topic).writeCaching) return false
    }
    return true
  }

  #onBrokerEpoch(epoch: number): void {
    this.metadata.brokerEpoch = epoch
    this.#options.logs.brokerEpoch = epoch
    this.#options.onBrokerEpoch(epoch)
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.timers.setTimer(100, resolve)
    })
  }
}
