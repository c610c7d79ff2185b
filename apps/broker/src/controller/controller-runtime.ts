import { readFileSync } from 'node:fs'
import { type Clock, ConfigurationError, type Disk, type Random, randomUuid, type Timers } from '@millrace/base'
import {
  type ClusterSettings,
  type Configuration,
  controllerSettings,
  createConfigRules,
  type Logger,
  type QuorumWait,
} from '@millrace/broker'
import {
  type ControllerEvents,
  ControllerNode,
  DEFAULT_QUORUM_TIMING,
  FirstVoters,
  LmdbStore,
  PeerChannel,
  PeerRouter,
  type PeerTls,
  QuorumNode,
  type QuorumTiming,
  type VoterSet,
  WsTransport,
} from '@millrace/consensus'
import { registerItself } from './own-registration.ts'
import { keepOwnVote } from './own-vote.ts'
import { keepFirstVoters, markIdentityUsed, type QuorumIdentity } from './quorum-directory.ts'
import { QuorumWatch } from './quorum-watch.ts'
import { explainingRemovedLeader } from './removed-leader.ts'
import type { RepeatedRequest } from './repeated-request.ts'
import type { ControllerStatus } from './thread-messages.ts'

export interface ControllerRuntimeOptions {
  readonly configuration: Configuration
  readonly cluster: ClusterSettings
  readonly identity: QuorumIdentity
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
}

/** Heartbeats to an election timeout: two may be lost without an election. */
const HEARTBEATS_PER_ELECTION = 4

/** A quorum node with its log and its connections, and the controller on top; the same in a thread of its own and in a controller process. */
export class ControllerRuntime {
  readonly node: ControllerNode
  readonly #options: ControllerRuntimeOptions
  readonly #store: LmdbStore
  readonly #transport: WsTransport
  readonly #router: PeerRouter
  #firstVoters: FirstVoters | null = null
  #bootstrapVoters: VoterSet = []
  #vote: RepeatedRequest | null = null
  #registration: RepeatedRequest | null = null
  #watch: QuorumWatch | null = null
  #isClosed = false

  private constructor(options: ControllerRuntimeOptions, store: LmdbStore, transport: WsTransport, router: PeerRouter) {
    this.#options = options
    this.#store = store
    this.#transport = transport
    this.#router = router
    this.node = createNode(options, store, transport, router, () => this.#bootstrapVoters)
  }

  /**
   * Opens the log and the port. Rejects with the error that says why it cannot: `DamagedLogError` and other errors of the log,
   * `ConfigurationError`, errors of `listen`.
   */
  static async open(options: ControllerRuntimeOptions): Promise<ControllerRuntime> {
    const { configuration, cluster, identity, disk, clock, timers, random, logger } = options
    const { nodeId, broker: config } = configuration
    const { clusterId, directoryId, path } = identity
    const store = await LmdbStore.open({
      path,
      clusterId,
      nodeId,
      directoryId,
      create: identity.isNew,
      yieldTurn: () => new Promise((resolve) => timers.setTimer(0, resolve)),
    })
    for (const finding of store.findings) logger.warn('the metadata log was damaged', { finding })
    const router = new PeerRouter()
    let transport: WsTransport | null = null
    try {
      markIdentityUsed(disk, nodeId, identity)
      const { peerListener } = cluster
      transport = await WsTransport.open(
        {
          identity: { clusterId, nodeId, directoryId },
          listen: peerListener === null ? null : { host: peerListener.host || ANY_ADDRESS, port: peerListener.port },
          secret: config.controllerPeerSecret === null ? null : Buffer.from(config.controllerPeerSecret),
          tls: peerTls(options.configuration),
          timers,
          clock,
          random,
          onRefused: (reason, address) => logger.warn('another node was turned away', { reason, address }),
          onTurnedAway: (reason, address) =>
            logger.error('another node turns this one away', { reason, nodeId, address }),
        },
        router,
      )
      return new ControllerRuntime(options, store, transport, router)
    } catch (error) {
      await transport?.close()
      await store.close()
      throw error
    }
  }

  /** Where it listens for other nodes; null if it does not. */
  get port(): number | null {
    return this.#transport.port === 0 ? null : this.#transport.port
  }

  get image() {
    return this.node.image
  }

  /**
   * Begins, as soon as it is known who the first voters are if this node is to be one of them: see `FirstVoters`. Once it knows them its
   * settings need not name them any more: its log says nothing of them until the first change.
   */
  start(events: ControllerEvents): void {
    const { cluster, configuration, disk, identity, timers, logger } = this.#options
    const { nodeId } = configuration
    const isKnown = identity.firstVoters !== null
    if (!cluster.isController || (!isKnown && !isNamed(cluster, nodeId))) {
      this.#begin(events, [])
      return
    }
    this.#firstVoters = new FirstVoters({
      self: { id: nodeId, directoryId: identity.directoryId },
      named: cluster.initialVoters,
      known: identity.firstVoters,
      transport: this.#transport,
      timers,
      onKnown: (voters) => {
        keepFirstVoters(disk, nodeId, identity, voters)
        // Not from inside the call that brought the news.
        queueMicrotask(() => {
          try {
            this.#begin(events, voters)
          } catch (error) {
            events.onFatal(error as Error)
          }
        })
      },
      onWaiting: (missing, disagreeing) =>
        logger.warn('the quorum has not begun: all of its first voters must be up once, with the same settings', {
          missing,
          disagreeing,
        }),
    })
    this.#router.attach(PeerChannel.FIRST_VOTERS, this.#firstVoters)
    if (identity.firstVoters !== null) this.#begin(events, identity.firstVoters)
  }

  #begin(events: ControllerEvents, firstVoters: VoterSet): void {
    if (this.#isClosed) return
    const { cluster, configuration, identity, logger } = this.#options
    this.#bootstrapVoters = addressed(firstVoters, cluster)
    const own = firstVoters.find(({ id }) => id === configuration.nodeId)
    if (own !== undefined && own.directoryId !== identity.directoryId) {
      logger.error(
        'the quorum began with another log of this node: with the present one it has no vote until it is added',
        {
          directory: own.directoryId,
          ownDirectory: identity.directoryId,
        },
      )
    }
    const self = { id: configuration.nodeId, directoryId: identity.directoryId }
    const voters = (): VoterSet => this.node.quorum?.status.voters ?? []
    this.node.start(explainingRemovedLeader(events, { self, logger, voters }))
    this.#watchLeader()
    this.#watchVote()
    this.#register()
  }

  #watchLeader(): void {
    const { cluster, configuration, timers, logger } = this.#options
    const named = [...new Set([...cluster.bootstrapServers, ...cluster.initialVoters].map(({ id }) => id))]
    this.#watch = new QuorumWatch({
      nodeId: configuration.nodeId,
      timers,
      logger,
      leaderId: () => this.node.quorum?.status.leaderId ?? null,
      voters: () => {
        const voters = this.node.quorum?.status.voters ?? []
        return voters.length > 0 ? voters.map(({ id }) => id) : named
      },
      connected: () => this.#transport.connected,
    })
  }

  #register(): void {
    const { cluster, configuration, random, timers, logger } = this.#options
    if (!cluster.isController || cluster.peerListener === null) return
    const { nodeId } = configuration
    const address = ownAddress(cluster, nodeId) ?? cluster.peerListener
    const { listener, securityProtocol } = cluster.peerListener
    this.#registration = registerItself({
      nodeId,
      incarnationId: randomUuid(random),
      endpoints: [{ listener, host: address.host, port: address.port, securityProtocol }],
      timers,
      logger,
      image: () => this.node.image,
      register: (request) => this.node.request('registerController', request, UPDATE_TIMEOUT_MS),
    })
  }

  /** Tells the quorum of an address that has changed, or that this node wants to vote. */
  #watchVote(): void {
    const { cluster, configuration, identity, timers, logger } = this.#options
    const { quorum } = this.node
    const address = ownAddress(cluster, configuration.nodeId)
    if (quorum === null || !cluster.isController || address === null) return
    this.#vote = keepOwnVote({
      self: { id: configuration.nodeId, directoryId: identity.directoryId, ...address },
      isNamed: isNamed(cluster, configuration.nodeId),
      joins: configuration.broker.controllerQuorumAutoJoinEnable,
      timers,
      logger,
      voters: () => quorum.status.voters,
      update: (voter) => this.node.request('updateVoter', voter, UPDATE_TIMEOUT_MS),
      add: (voter) => this.node.request('addVoter', voter, JOIN_TIMEOUT_MS),
    })
  }

  /** Null before the start. */
  get status(): ControllerStatus | null {
    const status = this.node.quorum?.status
    if (status === undefined) return null
    const { role, term, commitIndex, lastIndex, appliedIndex, leaderId, voters, peers } = status
    return {
      role,
      term,
      commitIndex,
      lastIndex,
      appliedIndex,
      leaderId,
      voterCount: voters.length,
      observerCount: peers.filter(({ isVoter }) => !isVoter).length,
      isActive: this.node.isActive,
    }
  }

  /** What the quorum lacks to have a leader; null: nothing, or this node has not been started. */
  get wait(): QuorumWait | null {
    const first = this.#firstVoters
    if (first !== null && first.known === null) {
      return { isFirst: true, voters: this.#options.cluster.initialVoters.map(({ id }) => id), ...first.waitsFor }
    }
    const leaderless = this.#watch?.leaderless ?? null
    return leaderless === null ? null : { isFirst: false, disagreeing: [], ...leaderless }
  }

  /** Hands the leadership over if this node has it, and gives back port and log. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#firstVoters?.close()
    this.#vote?.close()
    this.#registration?.close()
    this.#watch?.close()
    await this.node.close()
    await this.#transport.close()
    await this.#closeStore()
  }

  /** A write that hangs would keep the log open for ever, and the process alive. */
  #closeStore(): Promise<void> {
    const { timers, logger } = this.#options
    return new Promise((resolve, reject) => {
      const limit = timers.setTimer(STORE_CLOSE_MS, () => {
        logger.error('the metadata log could not be closed: its disk does not answer', { afterMs: STORE_CLOSE_MS })
        resolve()
      })
      this.#store.close().then(
        () => {
          limit.cancel()
          resolve()
        },
        (error: unknown) => {
          limit.cancel()
          reject(error as Error)
        },
      )
    })
  }
}

const ANY_ADDRESS = '0.0.0.0'
const UPDATE_TIMEOUT_MS = 5_000
/** A newcomer has to catch up first. */
const JOIN_TIMEOUT_MS = 30_000
const STORE_CLOSE_MS = 2_000
/** A frame between nodes holds no more than 16 MiB. */
const MAX_CHUNK_BYTES = 8 * 1024 * 1024

function createNode(
  options: ControllerRuntimeOptions,
  store: LmdbStore,
  transport: WsTransport,
  events: PeerRouter,
  bootstrapVoters: () => VoterSet,
): ControllerNode {
  const { configuration, cluster, identity, clock, timers, random, logger } = options
  const { nodeId, broker: config } = configuration
  const { clusterId, directoryId } = identity
  const timing = quorumTiming(configuration)
  const known = [...cluster.bootstrapServers, ...cluster.initialVoters].map(
    ({ id, host, port }) => [id, { host, port }] as const,
  )
  const onProblem = (error: unknown): void => {
    logger.error('the controller met a fault', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    })
  }
  const node = new ControllerNode({
    nodeId,
    clusterId,
    transport,
    clock,
    timers,
    random,
    openQuorum(listener, onFatal) {
      const quorum = new QuorumNode({
        self: { id: nodeId, directoryId },
        store,
        transport,
        listener,
        bootstrapVoters: bootstrapVoters(),
        bootstrapEndpoints: new Map(known),
        clock,
        timers,
        random,
        onFatal,
        onProblem,
        timing,
        limits: {
          snapshotBytes: config.metadataLogMaxRecordBytesBetweenSnapshots,
          maxAppendBytes: Math.min(config.controllerQuorumFetchMaxBytes, MAX_CHUNK_BYTES),
          maxSnapshotChunkBytes: Math.min(config.controllerQuorumFetchSnapshotMaxBytes, MAX_CHUNK_BYTES),
        },
      })
      events.attach(PeerChannel.RAFT, quorum)
      return quorum
    },
    configRules: createConfigRules(configuration),
    settings(image) {
      configuration.update(image)
      return controllerSettings(configuration)
    },
    timing: {
      earlyGraceMs: config.brokerSessionReconnectGraceMs,
      lateMs: config.brokerSessionTimeoutMs,
      noOpIntervalMs: config.metadataMaxIdleIntervalMs,
      leaderBalanceIntervalMs: config.autoLeaderRebalanceEnable
        ? config.leaderImbalanceCheckIntervalSeconds * 1000
        : null,
    },
    quorumTickMs: timing.tickMs,
    onProblem,
  })
  events.attach(PeerChannel.CONTROLLER, node)
  return node
}

/** Among the first voters. */
function isNamed(cluster: ClusterSettings, nodeId: number): boolean {
  return cluster.isController && cluster.initialVoters.some(({ id }) => id === nodeId)
}

/** Where they are today, as far as the settings name them; the rest where they were. */
function addressed(voters: VoterSet, { initialVoters }: ClusterSettings): VoterSet {
  return voters.map((voter) => {
    const named = initialVoters.find(({ id }) => id === voter.id)
    return named === undefined ? voter : { ...voter, host: named.host, port: named.port }
  })
}

/** Where other nodes reach this one: as the voters' list says, else as it listens; null: nobody can tell from outside. */
function ownAddress(cluster: ClusterSettings, nodeId: number): { host: string; port: number } | null {
  const { host, port } = cluster.initialVoters.find(({ id }) => id === nodeId) ??
    cluster.peerListener ?? { host: '', port: 0 }
  return host === '' || host === ANY_ADDRESS || host === '::' || port === 0 ? null : { host, port }
}

function quorumTiming({ broker: config }: Configuration): QuorumTiming {
  const { tickMs } = DEFAULT_QUORUM_TIMING
  const electionTicks = Math.ceil(config.controllerQuorumFetchTimeoutMs / tickMs)
  const snapshotIntervalMs = config.metadataLogMaxSnapshotIntervalMs
  return {
    ...DEFAULT_QUORUM_TIMING,
    electionTicks,
    heartbeatTicks: Math.max(1, Math.floor(electionTicks / HEARTBEATS_PER_ELECTION)),
    snapshotIntervalMs: snapshotIntervalMs === 0 ? Number.POSITIVE_INFINITY : snapshotIntervalMs,
  }
}

function peerTls({ broker: config }: Configuration): PeerTls | null {
  const {
    controllerPeerTlsKeyLocation: key,
    controllerPeerTlsCertificateLocation: cert,
    controllerPeerTlsCaLocation: ca,
  } = config
  if (key === null || cert === null || ca === null) return null
  return {
    key: pemFile('controller.peer.tls.key.location', key),
    cert: pemFile('controller.peer.tls.certificate.location', cert),
    ca: pemFile('controller.peer.tls.ca.location', ca),
  }
}

function pemFile(key: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new ConfigurationError(
      key,
      `${key}: ${path} cannot be read: ${error instanceof Error ? error.message : error}`,
    )
  }
}
