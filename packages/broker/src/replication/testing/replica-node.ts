import { type Clock, type Random, SeededRandom, type SimulatedDisk, type Timer, type Timers } from '@millrace/base'
import { applyRecords, type ControllerPort, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import type { ApiDefinition } from '@millrace/protocol'
import { LogManager } from '@millrace/storage'
import { Configuration } from '../../config/configuration.ts'
import { RecordingLogger } from '../../coordinator/testing/recording-logger.ts'
import { fetchHandler } from '../../handlers/01-fetch.ts'
import { listOffsetsHandler } from '../../handlers/02-list-offsets.ts'
import { saslHandshakeHandler } from '../../handlers/17-sasl-handshake.ts'
import { apiVersionsHandler } from '../../handlers/18-api-versions.ts'
import { offsetForLeaderEpochHandler } from '../../handlers/23-offset-for-leader-epoch.ts'
import { saslAuthenticateHandler } from '../../handlers/36-sasl-authenticate.ts'
import { BrokerProofs } from '../../handlers/broker-proofs.ts'
import type { ApiHandler } from '../../handlers/handler.ts'
import { LeaderHints } from '../../handlers/leader-hints.ts'
import { TopicMetrics } from '../../metrics/topic-metrics.ts'
import type { ConnectOptions, Transport } from '../../network/transport.ts'
import { Turn } from '../../network/turn.ts'
import { UNLIMITED_FETCHES } from '../../partition/fetch-limits.ts'
import { FetchSessionCache } from '../../partition/fetch-session-cache.ts'
import type { Partition } from '../../partition/partition.ts'
import { PartitionSettings } from '../../partition/partition-settings.ts'
import { ProduceAppender, type ProduceOutcome } from '../../partition/produce-appender.ts'
import { ProducerLimit } from '../../partition/producer-limit.ts'
import { ReplicaManager } from '../replica-manager.ts'
import type { ReplicationSettings } from '../replication-settings.ts'
import type { ReplicaNetwork } from './replica-network.ts'

/** What all nodes of a test share. */
export interface ReplicaWorld {
  readonly clock: Clock
  readonly timers: Timers
  readonly network: ReplicaNetwork
  readonly settings: ReplicationSettings
  /** Settings of topics that differ from the defaults. */
  readonly topicSettings: ReadonlyMap<string, string>
  /** `max.incremental.fetch.session.cache.slots`. */
  readonly maxFetchSessions: number
  portOf(nodeId: number): Pick<ControllerPort, 'request'>
  onFault(error: unknown): void
}

/** One life of a broker, as far as replicas go: real logs on a simulated disk, real partitions, fetchers and handlers. */
export class ReplicaNode {
  readonly nodeId: number
  readonly disk: SimulatedDisk
  readonly logger = new RecordingLogger()
  readonly replicas: ReplicaManager
  readonly #world: ReplicaWorld
  readonly #logs: LogManager
  readonly #turn: Turn
  readonly #appender: ProduceAppender
  #image: MetadataImage
  #isAlive = true

  /** `brokerEpoch`: of the registration that `image` has. */
  static async start(
    world: ReplicaWorld,
    nodeId: number,
    disk: SimulatedDisk,
    image: MetadataImage,
    brokerEpoch: number,
    seed: number,
  ): Promise<ReplicaNode> {
    let node: ReplicaNode | null = null
    const timers = new LifeTimers(world.timers)
    const logger = new RecordingLogger()
    const config = new PartitionSettings(topicDefaults(world.topicSettings))
    const logs = await LogManager.open({
      disk,
      clock: world.clock,
      timers,
      random: new SeededRandom(seed),
      logger,
      directories: ['/data'],
      nodeId,
      clusterId: 'cluster',
      producerIdExpirationMs: 86_400_000,
      retentionCheckIntervalMs: 300_000,
      checkpointIntervalMs: 100,
      defaultConfig: config.log,
      configOf: () => config.log,
      onDurable: (log) => node?.replicas.onDurable(log),
      onDamaged: (log) => node?.replicas.onDamaged(log),
      onDirectoryFailed: (directory, error) => world.onFault(new Error(`${directory} failed: ${error.message}`)),
    })
    node = new ReplicaNode(world, nodeId, disk, logs, timers, config, image, seed)
    node.replicas.brokerEpoch = brokerEpoch
    node.replicas.start(image, new Map())
    logs.startRetention()
    node.replicas.onControllerPort(world.portOf(nodeId))
    node.#served = node.#handlers(timers, new SeededRandom(seed + 1))
    world.network.serve(nodeId, node.#served)
    return node
  }

  private constructor(
    world: ReplicaWorld,
    nodeId: number,
    disk: SimulatedDisk,
    logs: LogManager,
    timers: LifeTimers,
    config: PartitionSettings,
    image: MetadataImage,
    seed: number,
  ) {
    this.#world = world
    this.nodeId = nodeId
    this.disk = disk
    this.#logs = logs
    this.#image = image
    const { clock } = world
    const schedule = (callback: () => void): void => {
      setImmediate(() => {
        if (this.#isAlive) callback()
      })
    }
    this.#turn = new Turn(schedule, () => logs.flushStaged(), clock)
    const metrics = new TopicMetrics()
    this.replicas = new ReplicaManager({
      nodeId,
      logs,
      turn: this.#turn,
      timers,
      clock,
      random: new SeededRandom(seed + 2),
      secret: SECRET,
      logger: this.logger,
      metrics,
      connect: (options) => this.#connect(options),
      settings: () => world.settings,
      settingsOf: () => config,
      moveSettings: () => ({ replicaAlterLogDirsIoMaxBytesPerSecond: 1e9, numReplicaAlterLogDirsThreads: null }),
      onFault: (error) => {
        if (this.#isAlive) world.onFault(error)
      },
      onAckScan: () => undefined,
      onPlaced: () => undefined,
      onFatal: (error) => {
        if (this.#isAlive) world.onFault(error)
      },
    })
    const producers = new ProducerLimit(
      1_000,
      () => [],
      () => 86_400_000,
      clock,
      this.logger,
    )
    this.#appender = new ProduceAppender(this.replicas.partitions, clock, metrics, producers)
    this.#life = timers
  }

  readonly #life: LifeTimers
  #served: ReadonlyMap<number, ApiHandler> = new Map()

  handler<Request, Response>(api: ApiDefinition<Request, Response>): ApiHandler<Request, Response> {
    return this.#served.get(api.key) as ApiHandler<Request, Response>
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get image(): MetadataImage {
    return this.#image
  }

  partition(topic: string, partition: number): Partition | null {
    return this.replicas.partitions.find(topic, partition)
  }

  apply(records: readonly MetadataRecord[]): void {
    const { image, delta } = applyRecords(this.#image, records)
    this.#image = image
    this.replicas.apply(image, delta)
  }

  /** As a producer with acks=all: the base offset, once all in-sync replicas have it; an error code, negative, if not. */
  async produce(topic: string, partition: number, batch: Buffer): Promise<number> {
    const found = this.partition(topic, partition)
    if (found === null) return -3
    const outcome = emptyOutcome()
    const code = this.#appender.append(found, Buffer.from(batch), 0, batch.length, 12, true, '127.0.0.1', outcome)
    if (code !== 0) return -code
    const settled = await new Promise<number>((resolve) =>
      found.awaitHighWatermark({ requiredOffset: outcome.requiredOffset, onCommitted: resolve }),
    )
    if (settled !== 0) return -settled
    return found.hadEnoughReplicas() ? outcome.baseOffset : -20
  }

  /** Power is gone. The disk that the next life finds, with any part of what was not synced. */
  crash(choose: (count: number) => number): SimulatedDisk {
    this.#end()
    return this.disk.crashed({ choose })
  }

  async stop(): Promise<void> {
    this.replicas.stop()
    this.#world.network.stop(this.nodeId)
    await this.#logs.shutdown()
    this.#end()
  }

  /** Whoever is dead must not go on as a ghost. */
  async #connect(options: ConnectOptions): Promise<Transport> {
    const transport = await this.#world.network.connectFrom(this.nodeId)(options)
    if (this.#isAlive) return transport
    transport.destroy()
    return new Promise(() => undefined)
  }

  #end(): void {
    this.#isAlive = false
    this.#life.end()
    this.#world.network.stop(this.nodeId)
  }

  #handlers(timers: Timers, random: Random): Map<number, ApiHandler> {
    const { partitions } = this.replicas
    const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const { nodeId, logger } = this
    const { clock } = this.#world
    const proofs = new BrokerProofs({ nodeId, clusterId: () => 'cluster', secret: SECRET, random, clock, logger })
    const handlers = [
      fetchHandler({
        partitions,
        sessions: new FetchSessionCache(this.#world.clock, random, this.#world.maxFetchSessions),
        timers,
        fetchMaxBytes: 1_000_000,
        limits: UNLIMITED_FETCHES,
        replication: this.replicas,
        isReplica: (connection, replicaId) => connection.brokerId === replicaId,
        leaderHints: new LeaderHints(() => this.#image),
        onFetched: () => undefined,
        onFailed: () => undefined,
      }),
      listOffsetsHandler({ partitions, nextTurn }),
      offsetForLeaderEpochHandler({ partitions }),
      saslHandshakeHandler({ proofs }),
      saslAuthenticateHandler({ proofs }),
      apiVersionsHandler({
        servedApis: () => [
          { apiKey: 1, minVersion: 4, maxVersion: 18 },
          { apiKey: 2, minVersion: 1, maxVersion: 11 },
          { apiKey: 17, minVersion: 0, maxVersion: 1 },
          { apiKey: 18, minVersion: 0, maxVersion: 4 },
          { apiKey: 23, minVersion: 2, maxVersion: 4 },
          { apiKey: 36, minVersion: 0, maxVersion: 2 },
        ],
        image: () => this.#image,
        nodeId: this.nodeId,
        supportedFeatures: new Map(),
      }),
    ] as ApiHandler[]
    return new Map(handlers.map((handler) => [handler.apiKey, handler]))
  }
}

const SECRET = Buffer.from('what all nodes of a cluster know')

/** Timers that end with the life they belong to. */
class LifeTimers implements Timers {
  readonly #timers: Timers
  #isOver = false

  constructor(timers: Timers) {
    this.#timers = timers
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#timers.setTimer(delayMs, () => {
      if (!this.#isOver) callback()
    })
  }

  end(): void {
    this.#isOver = true
  }
}

function topicDefaults(settings: ReadonlyMap<string, string>): Configuration['topicDefaults'] {
  const required = [
    ['listeners', 'PLAINTEXT://127.0.0.1:0'],
    ['log.dirs', '/data'],
  ] as const
  const { topicDefaults: defaults } = new Configuration(new Map([...required, ...settings]), new RecordingLogger())
  // Brokers have no defaults for these.
  const listOf = (key: string): string[] => settings.get(key)?.split(',') ?? []
  return {
    ...defaults,
    leaderReplicationThrottledReplicas: listOf('leader.replication.throttled.replicas'),
    followerReplicationThrottledReplicas: listOf('follower.replication.throttled.replicas'),
  }
}

function emptyOutcome(): ProduceOutcome {
  return {
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    requiredOffset: 0,
    recordErrors: null,
    errorMessage: null,
    verification: null,
  }
}
