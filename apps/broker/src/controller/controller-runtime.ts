import { readFileSync } from 'node:fs'
import { type Clock, ConfigurationError, type Disk, type Random, type Timers } from '@millrace/base'
import {
  type ClusterSettings,
  type Configuration,
  controllerSettings,
  createConfigRules,
  type Logger,
} from '@millrace/broker'
import {
  type ControllerEvents,
  ControllerNode,
  DEFAULT_QUORUM_TIMING,
  LmdbStore,
  PeerChannel,
  PeerRouter,
  type PeerTls,
  QuorumNode,
  type QuorumTiming,
  WsTransport,
} from '@millrace/consensus'
import { OwnVote } from './own-vote.ts'
import { initialVoters, markIdentityUsed, type QuorumIdentity } from './quorum-directory.ts'
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
  #vote: OwnVote | null = null

  private constructor(
    options: ControllerRuntimeOptions,
    node: ControllerNode,
    store: LmdbStore,
    transport: WsTransport,
  ) {
    this.#options = options
    this.node = node
    this.#store = store
    this.#transport = transport
  }

  /**
   * Opens the log and the port. Rejects with the error that says why it cannot: `DamagedLogError` and other errors of the log,
   * `ConfigurationError`, errors of `listen`.
   */
  static async open(options: ControllerRuntimeOptions): Promise<ControllerRuntime> {
    const { configuration, cluster, identity, disk, clock, timers, random, logger } = options
    const { nodeId, broker: config } = configuration
    const { clusterId, directoryId, path } = identity
    const store = await LmdbStore.open({ path, clusterId, nodeId, directoryId, create: identity.isNew })
    for (const finding of store.findings) logger.warn('the metadata log was damaged', { finding })
    const events = new PeerRouter()
    try {
      markIdentityUsed(disk, nodeId, identity)
      const { peerListener } = cluster
      const transport = await WsTransport.open(
        {
          identity: { clusterId, nodeId, directoryId },
          listen: peerListener === null ? null : { host: peerListener.host || ANY_ADDRESS, port: peerListener.port },
          secret: config.controllerPeerSecret === null ? null : Buffer.from(config.controllerPeerSecret),
          tls: peerTls(options.configuration),
          timers,
          clock,
          random,
          onRefused: (reason, address) => logger.warn('another node was turned away', { reason, address }),
        },
        events,
      )
      const node = createNode(options, store, transport, events)
      return new ControllerRuntime(options, node, store, transport)
    } catch (error) {
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

  start(events: ControllerEvents): void {
    this.node.start(events)
    this.#watchVote()
  }

  /** Tells the quorum of an address that has changed, or that this node wants to vote. */
  #watchVote(): void {
    const { cluster, configuration, identity, timers, logger } = this.#options
    const { quorum } = this.node
    const address = ownAddress(cluster, configuration.nodeId)
    if (quorum === null || !cluster.isController || address === null) return
    this.#vote = new OwnVote({
      self: { id: configuration.nodeId, directoryId: identity.directoryId, ...address },
      isNamed: cluster.initialVoters.some(({ id }) => id === configuration.nodeId),
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

  /** Hands the leadership over if this node has it, and gives back port and log. */
  async close(): Promise<void> {
    this.#vote?.close()
    await this.node.close()
    await this.#transport.close()
    await this.#store.close()
  }
}

const ANY_ADDRESS = '0.0.0.0'
const UPDATE_TIMEOUT_MS = 5_000
/** A newcomer has to catch up first. */
const JOIN_TIMEOUT_MS = 30_000
/** A frame between nodes holds no more than 16 MiB. */
const MAX_CHUNK_BYTES = 8 * 1024 * 1024

function createNode(
  options: ControllerRuntimeOptions,
  store: LmdbStore,
  transport: WsTransport,
  events: PeerRouter,
): ControllerNode {
  const { configuration, cluster, identity, clock, timers, random, logger } = options
  const { nodeId, broker: config } = configuration
  const { clusterId, directoryId } = identity
  const timing = quorumTiming(configuration)
  const voters = initialVoters(cluster, clusterId)
  const known = [...cluster.bootstrapServers, ...voters].map(({ id, host, port }) => [id, { host, port }] as const)
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
        bootstrapVoters: cluster.isController && voters.some(({ id }) => id === nodeId) ? voters : [],
        bootstrapEndpoints: new Map(known),
        clock,
        timers,
        random,
        onFatal,
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
    onProblem(error) {
      logger.error('the controller met a fault', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
    },
  })
  events.attach(PeerChannel.CONTROLLER, node)
  return node
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
