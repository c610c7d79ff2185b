import { type Clock, DiskError, type Timer, type Timers, type Uuid } from '@millrace/base'
import { DirectoryId, type MetadataImage, type PartitionImage, type TopicImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { canBeMoved, type Log, type LogManager } from '@millrace/storage'
import type { Logger } from '../logger.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { Turn } from '../network/turn.ts'
import { Partition, type ReplicationPorts } from './partition.ts'
import type { PartitionSettings } from './partition-settings.ts'
import { PreferredDirectories } from './preferred-directories.ts'
import { type ReplicaMoveSettings, ReplicaMoves } from './replica-moves.ts'

/** How often waiting acknowledgements are checked for their request's time-out. */
const ACK_TIMEOUT_SCAN_MS = 200
/** After which a partition that no directory could take is tried again: a full disk may have room by then. */
const PLACEMENT_RETRY_MS = 10_000
/**
 * Most logs that are made in one turn: each takes a few calls of the file system, a millisecond in all where the disk is busy. A broker whose
 * heartbeats wait for a thousand of them is taken for dead. A topic of as many partitions can be written as soon as it is answered for.
 */
const MADE_PER_TURN = 100
/** Most that are deleted in one turn besides. */
const DELETED_PER_TURN = 50

/** Of logs that are set aside, so many are named. */
const STRAYS_NAMED = 10

/** The partitions of one topic on this node, by partition number. */
export interface HostedTopic {
  readonly name: string
  readonly id: Uuid
  /** Kept by the broker for itself. */
  readonly internal: boolean
  readonly partitions: (Partition | null)[]
}

/** The rest of the cluster, for partitions whose replicas are on several nodes. */
export interface PartitionCluster {
  readonly ports: ReplicationPorts
  /**
   * Whether the metadata knows this life of the node. Before, what it says of the node's leaderships is of an earlier life: to go on with
   * one of those, even later, would put other records where followers have some of the same epoch. Who registers gets new epochs.
   */
  mayLead(): boolean
  /** Path of a directory of this node, or null if it has none by that id that is online. */
  directoryPath(id: Uuid): string | null
  /** The partition is here, or what the metadata says of it has changed. */
  onHosted(partition: Partition, image: PartitionImage): void
  /** It is here no more. */
  onDropped(partition: Partition): void
  /** Its log is in another directory than before, which the metadata does not know yet. */
  onMoved(partition: Partition): void
  /** The only log of a replica of this node was moved to the directory with this id, which is not here, and the metadata may not know it. */
  onMovedAway(topicId: Uuid, partition: number, directory: Uuid): void
}

export interface PartitionManagerOptions {
  nodeId: number
  /** Left out for a node that is its own cluster. */
  cluster?: PartitionCluster
  logs: LogManager
  turn: Turn
  clock: Clock
  timers: Timers
  logger: Logger
  metrics: TopicMetrics
  settingsOf(topic: string): PartitionSettings
  /** Waiters for acknowledgement whose time is over; called while any partition has some. */
  onAckScan(): void
  /** Partitions that no disk could take before may have their logs now. */
  onPlaced(): void
  /** Of moves between log directories, as they are now. */
  moveSettings(): ReplicaMoveSettings
  /** A bug: nothing may go on. */
  onFault(error: unknown): void
}

/**
 * Follows the metadata: partitions placed on this node get a log, those that went lose it, and configuration and leadership
 * reach the partitions. Finds partitions for the handlers.
 */
export class PartitionManager {
  /** Replicas on their way from one log directory to another. */
  readonly moves: ReplicaMoves
  readonly #options: PartitionManagerOptions
  readonly #preferred = new PreferredDirectories()
  readonly #topics = new Map<string, HostedTopic>()
  readonly #topicsById = new Map<Uuid, HostedTopic>()
  /** From a log to its partition, for the calls that come up from the storage. */
  readonly #byLog = new Map<Log, Partition>()
  /** Partitions that took records in this turn. */
  #touched: Partition[] = []
  #ackScan: Timer | null = null
  /** As last applied. */
  #image: MetadataImage | null = null
  /** Topics some of whose partitions have no log yet, since the disks failed. */
  readonly #unplaced = new Set<string>()
  #placementRetry: Timer | null = null
  /** Topics some of whose partitions have no log yet, since enough were made in this turn. */
  readonly #unhosted = new Set<string>()
  /** Logs out of use whose directories are still to be renamed. */
  readonly #doomed = new Set<Log>()
  #isHousekeeping = false
  /** How many logs may still be made, and how many deleted, in this turn, however many changes of metadata come in it. */
  #makingsLeft = MADE_PER_TURN
  #deletionsLeft = DELETED_PER_TURN
  readonly #afterFlush: () => void
  readonly #runAckScan: () => void

  constructor(options: PartitionManagerOptions) {
    this.#options = options
    this.moves = new ReplicaMoves({
      ...options,
      settings: options.moveSettings,
      onReplaced: (partition, before) => this.#onReplaced(partition, before),
    })
    this.#afterFlush = () => this.#advanceTouched()
    this.#runAckScan = () => {
      this.#ackScan = null
      this.#options.onAckScan()
    }
  }

  topic(name: string): HostedTopic | undefined {
    return this.#topics.get(name)
  }

  topicById(id: Uuid): HostedTopic | undefined {
    return this.#topicsById.get(id)
  }

  find(topic: string, partition: number): Partition | null {
    return this.#topics.get(topic)?.partitions[partition] ?? null
  }

  /** The partition that the log is of, null once it is here no more. */
  partitionOf(log: Log): Partition | null {
    return this.#byLog.get(log) ?? null
  }

  *all(): Iterable<Partition> {
    for (const topic of this.#topics.values()) {
      for (const partition of topic.partitions) if (partition !== null) yield partition
    }
  }

  /** Records were staged in this partition's log: the end of the turn writes them and moves the watermark. */
  touched(partition: Partition): void {
    if (this.#touched.length === 0) this.#options.turn.afterFlush(this.#afterFlush)
    const touched = this.#touched
    // Most turns touch one partition again and again.
    if (touched.length === 0 || touched[touched.length - 1] !== partition) touched.push(partition)
  }

  #advanceTouched(): void {
    const touched = this.#touched
    this.#touched = []
    for (const partition of touched) {
      const { log } = partition
      if (log.failed || log.refusesWrites) {
        // Refused by a full disk. It is written once there is room; nobody waits so long.
        partition.fail(ErrorCode.KAFKA_STORAGE_ERROR)
        continue
      }
      partition.onWritten()
      // A request that waited behind an answer has started since the flush: its records are the next turn's.
      if (log.hasStaged) this.touched(partition)
    }
  }

  /** Resolves once what is staged now was written, if the disks take it. */
  whenFlushed(): Promise<void> {
    return new Promise((resolve) => this.#options.turn.afterFlush(resolve))
  }

  /** Someone waits for an acknowledgement with a time limit. */
  requestAckScan(): void {
    this.#ackScan ??= this.#options.timers.setTimer(ACK_TIMEOUT_SCAN_MS, this.#runAckScan)
  }

  /**
   * Moves a replica to a log directory, given by its path; of one that is not here yet, it is where it will be made. Resolves to an error code,
   * as Kafka's of AlterReplicaLogDirs.
   */
  async move(topic: string, number: number, directory: string): Promise<number> {
    const found = this.#options.logs.directories().find(({ path }) => path === directory)
    if (!canBeMoved(topic, number)) return ErrorCode.INVALID_TOPIC_EXCEPTION
    if (found === undefined) return ErrorCode.LOG_DIR_NOT_FOUND
    if (!found.online) return ErrorCode.KAFKA_STORAGE_ERROR
    const partition = this.find(topic, number)
    if (partition !== null) return await this.moves.request(partition, directory)
    const absence = this.absenceCode(topic, number)
    if (absence === ErrorCode.KAFKA_STORAGE_ERROR) return absence
    this.#preferred.set(topic, number, directory)
    const isKnown = this.#image?.topics.get(topic)?.partitions[number] !== undefined
    return isKnown ? ErrorCode.REPLICA_NOT_AVAILABLE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  #onReplaced(partition: Partition, before: Log): void {
    this.#byLog.delete(before)
    this.#byLog.set(partition.log, partition)
    const { cluster } = this.#options
    if (cluster !== undefined) cluster.onMoved(partition)
    else this.#settleMove(partition)
  }

  /** Of a single node: nobody else needs to know where the log is. */
  #settleMove({ topicId, partition }: Partition): void {
    const { futures } = this.#options.logs
    if (futures.isUnsettled(topicId, partition)) void futures.settle(topicId, partition).catch(ignoreDiskError)
  }

  /** Nobody waits any more. */
  close(): void {
    this.#ackScan?.cancel()
    this.#placementRetry?.cancel()
    this.#unhosted.clear()
    this.#deletionsLeft = Number.POSITIVE_INFINITY
    // No turn comes after this one.
    this.#isHousekeeping = true
    this.#deleteDoomed()
  }

  /** The storage synced this log. */
  onDurable(log: Log): void {
    const partition = this.#byLog.get(log)
    if (partition !== undefined) partition.advanceHighWatermark()
    else this.moves.onDurable(log)
  }

  onDirectoryFailed(directory: string, error: DiskError): void {
    this.#options.logger.error('log directory failed; its partitions are offline', { directory, error: error.message })
    for (const partition of this.all()) {
      if (partition.log.directory === directory) partition.fail(ErrorCode.KAFKA_STORAGE_ERROR)
    }
    this.moves.onDirectoryFailed(directory)
  }

  /**
   * Makes this node's partitions those of the image, at once. What then has no place in it is the log of a topic that was deleted just
   * before the end of the last process, and goes, or a stray, and is set aside (S10). `removedTopics`: names by id of topics that are
   * known to have been deleted. Throws `DiskError`.
   */
  start(image: MetadataImage, removedTopics: ReadonlyMap<Uuid, string>): void {
    this.#image = image
    this.#makingsLeft = Number.POSITIVE_INFINITY
    for (const topic of image.topics.values()) this.#host(topic)
    this.#settleUnknown(image, removedTopics)
    this.moves.dropUnknown(({ topic, partition, topicId }) => this.#isReplicaOf(image, topic, partition, topicId))
    this.#makingsLeft = MADE_PER_TURN
    this.#deleteDoomed()
  }

  /**
   * Makes this node's partitions of the topics named in `changed` those of the image. Of many new partitions, or many that go, the rest
   * follows in later turns: until it has its log, a partition is unknown here.
   */
  apply(image: MetadataImage, changed: ReadonlySet<string>): void {
    this.#image = image
    for (const name of changed) {
      const topic = image.topics.get(name)
      const hosted = this.#topics.get(name)
      if (hosted !== undefined && (topic === undefined || topic.id !== hosted.id)) this.#drop(hosted)
      if (topic !== undefined) this.#host(topic)
    }
    this.#deleteDoomed()
  }

  /** In a later turn, goes on with what was too much for this one. */
  #scheduleHousekeeping(): void {
    if (this.#isHousekeeping) return
    this.#isHousekeeping = true
    this.#options.turn.afterFlush(() => {
      this.#isHousekeeping = false
      this.#makingsLeft = MADE_PER_TURN
      this.#deletionsLeft = DELETED_PER_TURN
      this.#deleteDoomed()
      if (this.#unhosted.size > 0) this.#hostSome()
    })
  }

  #hostSome(): void {
    const names = [...this.#unhosted]
    this.#unhosted.clear()
    for (const name of names) {
      const topic = this.#image?.topics.get(name)
      if (topic === undefined) continue
      if (this.#makingsLeft > 0) this.#host(topic)
      else this.#unhosted.add(name)
    }
    if (this.#unhosted.size > 0) this.#scheduleHousekeeping()
    this.#options.onPlaced()
  }

  #deleteDoomed(): void {
    for (const log of this.#doomed) {
      if (this.#deletionsLeft <= 0) break
      this.#deletionsLeft--
      // The end of the turn gives the next ones their room.
      this.#scheduleHousekeeping()
      this.#doomed.delete(log)
      this.#deleteLog(log)
    }
    if (this.#doomed.size > 0) this.#scheduleHousekeeping()
  }

  /** New effective configuration for these topics, or all (null). */
  updateConfigs(topics: ReadonlySet<string> | null): void {
    for (const topic of this.#topics.values()) {
      if (topics !== null && !topics.has(topic.name)) continue
      const config = this.#options.settingsOf(topic.name)
      for (const partition of topic.partitions) {
        if (partition === null) continue
        partition.config = config
        partition.log.updateConfig(config.log)
        this.moves.updateConfig(partition)
        // Fewer in-sync replicas may be enough now.
        partition.advanceHighWatermark()
      }
    }
  }

  /** Why a partition of this number is not here: as Kafka, which sends clients on to those who have it. */
  absenceCode(topic: string, partition: number): number {
    const image = this.#image?.topics.get(topic)?.partitions[partition]
    if (image === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (!image.replicas.includes(this.#options.nodeId)) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return this.#isOffline(this.#image!.topics.get(topic)!, image)
      ? ErrorCode.KAFKA_STORAGE_ERROR
      : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  #host(topic: TopicImage): void {
    const { nodeId, metrics, cluster } = this.#options
    let hosted = this.#topics.get(topic.name)
    if (hosted === undefined) {
      hosted = { name: topic.name, id: topic.id, internal: isInternalTopic(topic.name), partitions: [] }
      this.#topics.set(topic.name, hosted)
      this.#topicsById.set(topic.id, hosted)
    }
    let config: PartitionSettings | null = null
    for (const said of topic.partitions) {
      while (hosted.partitions.length <= said.partition) hosted.partitions.push(null)
      const known = hosted.partitions[said.partition] ?? null
      const isOfEarlierLife = this.#isOfEarlierLife(said, known)
      const image = isOfEarlierLife ? { ...said, leader: -1 } : said
      if (isOfEarlierLife && known !== null) known.abandonedEpoch = said.leaderEpoch
      const isReplica = image.replicas.includes(nodeId)
      if (known !== null) {
        if (isReplica || image.leader === nodeId) {
          known.update(image)
          cluster?.onHosted(known, image)
        } else {
          // Moved away by a reassignment.
          hosted.partitions[image.partition] = null
          this.#dropPartition(known, ErrorCode.NOT_LEADER_OR_FOLLOWER)
          this.#scheduleHousekeeping()
        }
        continue
      }
      if (!isReplica || this.#isOffline(topic, image)) continue
      if (this.#makingsLeft <= 0) {
        this.#unhosted.add(topic.name)
        this.#scheduleHousekeeping()
        // Those that are here must hear what is new all the same.
        continue
      }
      this.#makingsLeft--
      this.#scheduleHousekeeping()
      config ??= this.#options.settingsOf(topic.name)
      const log = this.#openLog(topic, image)
      if (log === null) continue
      log.updateConfig(config.log)
      const counters = metrics.of(topic.name)
      const partition = new Partition(topic.name, image, log, config, counters, nodeId, cluster?.ports)
      if (isOfEarlierLife) partition.abandonedEpoch = said.leaderEpoch
      hosted.partitions[image.partition] = partition
      this.#byLog.set(log, partition)
      if (partition.isLeader && log.latestEpoch < image.leaderEpoch)
        log.assignEpoch(image.leaderEpoch, log.logEndOffset)
      partition.advanceHighWatermark()
      cluster?.onHosted(partition, image)
      // A crash may have kept the last move of it from being settled, and no other could come to its end then.
      if (cluster === undefined) this.#settleMove(partition)
      this.moves.onHosted(partition)
    }
  }

  #isReplicaOf(image: MetadataImage, topic: string, partition: number, topicId: Uuid): boolean {
    const found = image.topics.get(topic)
    return found?.id === topicId && found.partitions[partition]?.replicas.includes(this.#options.nodeId) === true
  }

  #isOfEarlierLife(image: PartitionImage, known: Partition | null): boolean {
    const { cluster, nodeId } = this.#options
    if (cluster === undefined || image.leader !== nodeId) return false
    return !cluster.mayLead() || known?.abandonedEpoch === image.leaderEpoch
  }

  /** Its log is in a directory that is not online: an empty one elsewhere would pass for what was lost. */
  #isOffline(topic: TopicImage, image: PartitionImage): boolean {
    const { cluster, logs } = this.#options
    const directory = this.#directoryOf(image)
    const movedTo = logs.futures.movedAwayTo(topic.id, image.partition)
    if (movedTo !== null && logs.log(topic.name, image.partition)?.topicId !== topic.id) {
      if (cluster === undefined) return true
      if (directory !== movedTo) cluster.onMovedAway(topic.id, image.partition, movedTo)
      else void logs.futures.settleMovedAway(topic.id, image.partition).catch(ignoreDiskError)
      return true
    }
    if (cluster === undefined) return false
    if (directory === null ? !this.#isOnlyAndLost(image) : cluster.directoryPath(directory) !== null) return false
    // Put there before, and not told of yet.
    return logs.log(topic.name, image.partition) === undefined
  }

  /** Nobody else has it, and the disk that has it may come back. */
  #isOnlyAndLost({ directories, replicas }: PartitionImage): boolean {
    return replicas.length === 1 && directories[replicas.indexOf(this.#options.nodeId)] === DirectoryId.LOST
  }

  /** Where the metadata has this node's replica, or null if it does not say. */
  #directoryOf(image: PartitionImage): Uuid | null {
    const directory = image.directories[image.replicas.indexOf(this.#options.nodeId)]
    const isNone = directory === DirectoryId.UNASSIGNED || directory === DirectoryId.MIGRATING
    return directory === undefined || isNone || directory === DirectoryId.LOST ? null : directory
  }

  /**
   * The log of a partition, or null where no directory can take it now; it is tried again then. A directory that failed is offline, so
   * the next try goes to another one. What the metadata says happened already: a disk must not keep the rest of it from being applied.
   */
  #openLog(topic: TopicImage, image: PartitionImage): Log | null {
    const { logs, logger } = this.#options
    const { partition } = image
    for (let left = logs.directoryCount; left > 0; left--) {
      try {
        return this.#findOrCreateLog(topic, image)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        logger.error('the log of a partition could not be made', { topic: topic.name, partition, error: error.message })
      }
    }
    this.#unplaced.add(topic.name)
    this.#placementRetry ??= this.#options.timers.setTimer(PLACEMENT_RETRY_MS, () => this.#placeAgain())
    return null
  }

  #placeAgain(): void {
    this.#placementRetry = null
    const names = [...this.#unplaced]
    this.#unplaced.clear()
    for (const name of names) {
      const topic = this.#image?.topics.get(name)
      if (topic !== undefined) this.#host(topic)
    }
    this.#options.onPlaced()
  }

  /** The log on disk, if it is the same topic's; one of an older topic of the same name is set aside. Throws `DiskError`. */
  #findOrCreateLog(topic: TopicImage, image: PartitionImage): Log {
    const { logs, logger, cluster } = this.#options
    const { partition } = image
    for (let existing = logs.log(topic.name, partition); existing !== undefined; ) {
      if (existing.topicId === topic.id && !this.#doomed.has(existing)) return existing
      if (this.#doomed.delete(existing)) {
        logs.deleteLog(existing)
      } else {
        const movedTo = logs.setAsideStray(existing)
        logger.warn('a log of another topic of the same name is set aside', {
          topic: topic.name,
          partition,
          topicId: existing.topicId,
          movedTo,
        })
      }
      existing = logs.log(topic.name, partition)
    }
    const directory = this.#directoryOf(image)
    const preferred = this.#preferred.take(topic.name, partition)
    const isPreferredOnline = logs.directories().some(({ path, online }) => online && path === preferred)
    const said = directory === null ? null : (cluster?.directoryPath(directory) ?? null)
    const path = isPreferredOnline ? preferred : said
    return logs.createLog(topic.name, partition, topic.id, ...(path === null ? [] : [path]))
  }

  #drop(hosted: HostedTopic): void {
    this.#topics.delete(hosted.name)
    this.#topicsById.delete(hosted.id)
    for (const partition of hosted.partitions) {
      if (partition !== null) this.#dropPartition(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
  }

  /** Whoever waits for something of it gets the error; its log goes a little later. */
  #dropPartition(partition: Partition, errorCode: number): void {
    partition.deleted = true
    this.#byLog.delete(partition.log)
    partition.fail(errorCode)
    this.#options.cluster?.onDropped(partition)
    this.moves.onDropped(partition)
    this.#doomed.add(partition.log)
  }

  /** What cannot be removed now is a stray at the next start. */
  #deleteLog(log: Log): void {
    const { logs, logger } = this.#options
    try {
      logs.deleteLog(log)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      const { topic, partition } = log
      logger.error('the log of a deleted partition could not be removed', { topic, partition, error: error.message })
    }
  }

  /** Says one line of all that is set aside: of a topic that went, there may be thousands. */
  #settleUnknown(image: MetadataImage, removedTopics: ReadonlyMap<Uuid, string>): void {
    const { logs, logger } = this.#options
    const strays: Log[] = []
    for (const log of logs.logs()) {
      if (this.#byLog.has(log)) continue
      // By its name, too, and no other topic has that now: what a log says of its topic may be damaged.
      if (removedTopics.get(log.topicId) === log.topic && !image.topics.has(log.topic)) this.#doomed.add(log)
      else strays.push(log)
    }
    if (this.#doomed.size > 0) logger.info('logs of deleted topics are removed', { count: this.#doomed.size })
    if (strays.length === 0) return
    const sizeBytes = strays.reduce((sum, log) => sum + log.sizeBytes, 0)
    const movedTo = strays.map((log) => logs.setAsideStray(log)).slice(0, STRAYS_NAMED)
    const details = { count: strays.length, sizeBytes, movedTo }
    logger.warn('logs without a place in the metadata are set aside; they may be removed', details)
  }
}

/** The directory has heard of it. */
function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
