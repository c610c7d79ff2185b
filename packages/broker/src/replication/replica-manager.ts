import { DiskError, type Offset, type Random, type Timer, type Uuid } from '@millrace/base'
import {
  type ControllerPort,
  isActiveBroker,
  isDirectoryOnline,
  type MetadataDelta,
  type MetadataImage,
  type PartitionImage,
} from '@millrace/consensus'
import type { Log } from '@millrace/storage'
import type { Connect } from '../network/transport.ts'
import type { FetchReplication } from '../partition/fetch-operation.ts'
import type { Partition } from '../partition/partition.ts'
import { PartitionManager, type PartitionManagerOptions } from '../partition/partition-manager.ts'
import { BrokerConnections } from './broker-connections.ts'
import { DirectoryAssignments } from './directory-assignments.ts'
import { IsrChanges } from './isr-changes.ts'
import type { IsrProposal } from './isr-proposal.ts'
import { LostReplicaLeaders } from './lost-replica-leaders.ts'
import { RateMeter } from './rate-meter.ts'
import { ReplicaFetchers } from './replica-fetchers.ts'
import { ReplicaRepairs } from './replica-repairs.ts'
import { replicaInRack } from './replica-selector.ts'
import type { ReplicationSettings } from './replication-settings.ts'

export interface ReplicaManagerOptions extends Omit<PartitionManagerOptions, 'cluster'> {
  readonly random: Random
  /** Opens connections to other brokers. */
  readonly connect: Connect
  /** By which brokers prove to each other that they are of one cluster (`controller.peer.secret`); null: they do not. */
  readonly secret: Buffer | null
  /** As they are now. */
  settings(): ReplicationSettings
  /** A bug: nothing may go on. */
  onFatal(error: Error): void
}

/**
 * The replicas of a node in a cluster: its partitions, which lead or follow as the metadata says, and all that keeps them in step. The
 * broker tells it of metadata and durability; it finds its own way to the controller and to the leaders.
 *
 * Order at a start: construct, `start` with the newest image, `brokerEpoch` once registered, `onControllerPort` at any time. Until the
 * image holds the registration with this very epoch, nothing is led or followed here.
 */
export class ReplicaManager implements FetchReplication {
  /** For the handlers. */
  readonly partitions: PartitionManager
  readonly #options: ReplicaManagerOptions
  readonly #isrChanges: IsrChanges
  readonly #assignments: DirectoryAssignments
  readonly #fetchers: ReplicaFetchers
  readonly #repairs: ReplicaRepairs
  readonly #lostLeaders: LostReplicaLeaders
  /** To other brokers, also for others than replication. */
  readonly connections: BrokerConnections
  #image: MetadataImage | null = null
  #brokerEpoch = -1
  #isRegistered = false
  #shrinkTimer: Timer | null = null
  /** Ids by path, as of the start. */
  readonly #directories = new Map<string, Uuid>()
  readonly #offlineDirectories = new Set<Uuid>()
  readonly #throttledOut: RateMeter
  /** Bytes of records that followers took. */
  bytesOut = 0
  /** Changes of ISRs that were asked for, by kind. */
  isrExpandCount = 0
  isrShrinkCount = 0

  constructor(options: ReplicaManagerOptions) {
    this.#options = options
    const { nodeId: brokerId, timers, logger } = options
    const brokerEpoch = () => this.#brokerEpoch
    this.#throttledOut = new RateMeter(options.clock)
    this.#isrChanges = new IsrChanges({ brokerId, timers, logger, brokerEpoch })
    this.#assignments = new DirectoryAssignments({ brokerId, timers, logger, brokerEpoch })
    const isRegistered = () => this.#isRegistered
    this.#repairs = new ReplicaRepairs({ brokerId, timers, logger, brokerEpoch, isRegistered })
    for (const { path, id, online } of options.logs.directories()) {
      this.#directories.set(path, id)
      if (!online) this.#offlineDirectories.add(id)
    }
    this.connections = new BrokerConnections({
      connect: options.connect,
      timers,
      random: options.random,
      nodeId: brokerId,
      secret: options.secret,
      image: () => this.#image,
      interBrokerListener: () => options.settings().interBrokerListener,
    })
    this.#fetchers = new ReplicaFetchers({
      nodeId: brokerId,
      clock: options.clock,
      timers,
      random: options.random,
      logger,
      settings: options.settings,
      brokerEpoch,
      open: (leaderId, timeoutMs) => this.connections.open(leaderId, timeoutMs),
      onAppended: (partition) => this.partitions.touched(partition),
      onFault: (error) => options.onFatal(error instanceof Error ? error : new Error(String(error))),
    })
    this.partitions = new PartitionManager({ ...options, cluster: this.#partitionCluster() })
    this.#lostLeaders = new LostReplicaLeaders({
      nodeId: brokerId,
      timers,
      logger,
      connections: this.connections,
      lost: this.partitions.lost,
      image: () => this.#image,
      onFound: (topics) => this.partitions.apply(this.#image!, topics),
      onFault: options.onFatal,
    })
  }

  /** Ids of directories that are not online: the heartbeat tells the controller of them. */
  get offlineDirectories(): readonly Uuid[] {
    return [...this.#offlineDirectories]
  }

  get brokerEpoch(): number {
    return this.#brokerEpoch
  }

  /** The epoch of this life, as the controller gave it out. */
  set brokerEpoch(epoch: number) {
    this.#brokerEpoch = epoch
    this.#checkLife()
    this.#lostLeaders.look()
    this.#isrChanges.wake()
    this.#assignments.wake()
  }

  onControllerPort(port: Pick<ControllerPort, 'request'>): void {
    this.#isrChanges.onControllerPort(port)
    this.#assignments.onControllerPort(port)
    this.#repairs.onControllerPort(port)
  }

  /** See `PartitionManager.start`. */
  start(image: MetadataImage, removedTopics: ReadonlyMap<Uuid, string>): void {
    this.#image = image
    this.#isRegistered = this.#isKnown(image)
    this.partitions.start(image, removedTopics)
    this.#lostLeaders.look()
    this.#scheduleShrinking()
  }

  /** At once: what the handlers answer afterwards is by this image. */
  apply(image: MetadataImage, delta: MetadataDelta): void {
    this.#image = image
    const changed = new Set(delta.changedTopics)
    for (const { name } of delta.removedTopics) changed.add(name)
    if (changed.size > 0) this.partitions.apply(image, changed)
    this.#checkLife()
    this.#lostLeaders.look()
  }

  onDurable(log: Log): void {
    this.partitions.onDurable(log)
  }

  /** From the storage: a read found damage. */
  onDamaged(log: Log): void {
    const partition = this.partitions.partitionOf(log)
    if (partition !== null) this.#repairs.onDamaged(partition)
  }

  onDirectoryFailed(directory: string, error: DiskError): void {
    const id = this.#directories.get(directory)
    if (id !== undefined) this.#offlineDirectories.add(id)
    this.partitions.onDirectoryFailed(directory, error)
  }

  /** Requests and proposals for changes of ISRs that failed. */
  get failedIsrUpdateCount(): number {
    return this.#isrChanges.failedCount
  }

  /**
   * Replicas with damaged records, or none since their logs were lost; those that began to fetch theirs again since the start, or whose lost
   * logs were begun anew.
   */
  get damagedCount(): number {
    return this.#repairs.damagedCount + this.partitions.lost.count
  }

  get repairedCount(): number {
    return this.#repairs.repairedCount + this.partitions.lost.begunCount
  }

  /** Bytes of records that were fetched from leaders. */
  get bytesIn(): number {
    return this.#fetchers.bytesIn
  }

  /** Offsets that the leaders have committed and the replica here that is furthest behind has not. */
  get maxLag(): number {
    return this.#fetchers.maxLag
  }

  stop(): void {
    this.#shrinkTimer?.cancel()
    this.#fetchers.close()
    this.#isrChanges.close()
    this.#assignments.close()
    this.#repairs.close()
    this.#lostLeaders.close()
    this.partitions.close()
  }

  /** The metadata has come to know this life, or has ended it: what this node leads changes. */
  #checkLife(): void {
    const image = this.#image
    if (image === null) return
    const isRegistered = this.#isKnown(image)
    if (isRegistered === this.#isRegistered) return
    this.#isRegistered = isRegistered
    this.partitions.apply(image, new Set(image.topics.keys()))
  }

  #isKnown(image: MetadataImage): boolean {
    return this.#brokerEpoch >= 0 && image.brokers.get(this.#options.nodeId)?.epoch === this.#brokerEpoch
  }

  #scheduleShrinking(): void {
    const { timers, settings } = this.#options
    this.#shrinkTimer = timers.setTimer(settings().replicaLagTimeMaxMs / 2, () => {
      this.#scheduleShrinking()
      for (const partition of this.partitions.all()) partition.checkReplicas()
    })
  }

  #partitionCluster(): NonNullable<PartitionManagerOptions['cluster']> {
    const { clock, settings } = this.#options
    return {
      ports: {
        context: {
          clock,
          get maxLagMs() {
            return settings().replicaLagTimeMaxMs
          },
          brokerEpochOf: (brokerId) => this.#image?.brokers.get(brokerId)?.epoch ?? -1,
          isActive: (brokerId, directory) => this.#isActive(brokerId, directory),
        },
        events: {
          onIsrProposed: (partition, proposal) => this.#onIsrProposed(partition, proposal),
          onFollowerDurable: (partition) => this.#fetchers.onDurable(partition),
        },
      },
      mayLead: () => this.#isRegistered,
      directoryPath: (id) => this.#directoryPath(id),
      onHosted: (partition, image) => this.#onHosted(partition, image),
      onDropped: (partition) => this.#onDropped(partition),
      onMoved: (partition) => this.#onMoved(partition),
      onMovedAway: (topicId, partition, directory) => this.#assignments.assign({ topicId, partition, directory }),
    }
  }

  #isActive(brokerId: number, directory: Uuid): boolean {
    const image = this.#image
    if (image === null || !isActiveBroker(image, brokerId)) return false
    return isDirectoryOnline(image.brokers.get(brokerId)!, directory)
  }

  preferredReplica(partition: Partition, fetchOffset: Offset, rackId: string): number {
    const { nodeId, settings } = this.#options
    if (this.#image === null || !settings().isRackAware) return -1
    return replicaInRack(partition, fetchOffset, rackId, nodeId, this.#image)
  }

  isThrottled(partition: Partition, replicaId: number): boolean {
    if (!mayThrottle(partition, replicaId)) return false
    return this.#throttledOut.isExceeded(this.#options.settings().leaderReplicationThrottledRate)
  }

  onReplicated(partition: Partition, replicaId: number, sizeBytes: number): void {
    this.bytesOut += sizeBytes
    if (mayThrottle(partition, replicaId)) this.#throttledOut.record(sizeBytes)
  }

  #onIsrProposed(partition: Partition, proposal: IsrProposal): void {
    const sizeBefore = partition.leading?.isr.length ?? 0
    if (proposal.isr.length > sizeBefore) this.isrExpandCount++
    else if (proposal.isr.length < sizeBefore) this.isrShrinkCount++
    this.#options.logger.info('in-sync replicas are to change', {
      topic: partition.topic,
      partition: partition.partition,
      from: partition.leading?.isr,
      to: proposal.isr,
    })
    this.#isrChanges.propose(partition, proposal)
  }

  #onHosted(partition: Partition, image: PartitionImage): void {
    this.#repairs.onImage(partition, image)
    // A leader that is told no epoch could take what this life holds for what an earlier one held.
    if (partition.isFollower && this.#isRegistered) this.#fetchers.follow(partition)
    else this.#fetchers.unfollow(partition)
    partition.tellRecovered()
    this.#checkDirectory(partition, image)
  }

  #onDropped(partition: Partition): void {
    this.#fetchers.unfollow(partition)
    this.#repairs.onDropped(partition)
    this.#assignments.settled(partition.topicId, partition.partition)
  }

  #onMoved(partition: Partition): void {
    const image = this.#image?.topicsById.get(partition.topicId)?.partitions[partition.partition]
    if (image !== undefined) this.#checkDirectory(partition, image)
  }

  /** Of a replica that was moved there, only now nothing needs to be noted any more. */
  #onDirectoryKnown(topicId: Uuid, partition: number): void {
    const { futures } = this.#options.logs
    this.#assignments.settled(topicId, partition)
    if (!futures.isUnsettled(topicId, partition)) return
    futures.settle(topicId, partition).catch((error: unknown) => {
      // The directory has heard of it, and the note stays.
      if (!(error instanceof DiskError)) throw error
    })
  }

  #checkDirectory(partition: Partition, image: PartitionImage): void {
    const { topicId, log } = partition
    const said = image.directories[image.replicas.indexOf(this.#options.nodeId)]
    const actual = this.#directories.get(log.directory)
    if (actual === undefined || log.failed) return
    if (said === actual) this.#onDirectoryKnown(topicId, partition.partition)
    else this.#assignments.assign({ topicId, partition: partition.partition, directory: actual })
  }

  #directoryPath(wanted: Uuid): string | null {
    if (this.#offlineDirectories.has(wanted)) return null
    for (const [path, id] of this.#directories) if (id === wanted) return path
    return null
  }
}

/** A replica that is in sync must stay so. */
function mayThrottle(partition: Partition, replicaId: number): boolean {
  if (partition.follower(replicaId)?.isInSync !== false) return false
  return partition.config.leaderThrottled.has(partition.partition, replicaId)
}
