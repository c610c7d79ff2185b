import { DiskError, type Timer, type Timers, type Uuid } from '@millrace/base'
import { DirectoryId, type MetadataImage, type PartitionImage, type TopicImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Log, LogManager } from '@millrace/storage'
import type { Logger } from '../logger.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import type { TopicMetrics } from '../metrics/topic-metrics.ts'
import type { Turn } from '../network/turn.ts'
import { LostReplicas } from './lost-replicas.ts'
import { Partition } from './partition.ts'
import type { PartitionCluster } from './partition-cluster.ts'
import type { PartitionSettings } from './partition-settings.ts'
import { PreferredDirectories } from './preferred-directories.ts'
import type { ReplicaMoves } from './replica-moves.ts'
import { setFutureAside, settleUnknownLogs } from './unknown-logs.ts'

/** After which a partition that no directory could take is tried again: a full disk may have room by then. */
const PLACEMENT_RETRY_MS = 10_000
/**
 * Most logs that are made in one turn: each takes a few calls of the file system, a millisecond in all where the disk is busy. A broker whose
 * heartbeats wait for a thousand of them is taken for dead. A topic of as many partitions can be written as soon as it is answered for.
 */
const MADE_PER_TURN = 100
/** Most that are deleted in one turn besides. */
const DELETED_PER_TURN = 50

/** The partitions of one topic on this node, by partition number. */
export interface HostedTopic {
  readonly name: string
  readonly id: Uuid
  /** Kept by the broker for itself. */
  readonly internal: boolean
  readonly partitions: (Partition | null)[]
}

/** What placement needs of the rest of the broker. */
export interface PartitionPlacementOptions {
  nodeId: number
  /** Left out for a node that is its own cluster. */
  cluster?: PartitionCluster
  logs: LogManager
  turn: Turn
  timers: Timers
  logger: Logger
  metrics: TopicMetrics
  settingsOf(topic: string): PartitionSettings
  /** Partitions that no disk could take before may have their logs now. */
  onPlaced(): void
}

/**
 * Which partitions are on this node, as the metadata has it, and in which directory each has its log: makes the logs of those that are
 * placed here, and removes, or sets aside, what has no place any more. Much of it at once is spread over turns.
 */
export class PartitionPlacement {
  readonly topics = new Map<string, HostedTopic>()
  readonly topicsById = new Map<Uuid, HostedTopic>()
  /** From a log to its partition. */
  readonly byLog = new Map<Log, Partition>()
  readonly #options: PartitionPlacementOptions
  readonly #moves: ReplicaMoves
  readonly #preferred = new PreferredDirectories()
  readonly lost: LostReplicas
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

  constructor(options: PartitionPlacementOptions, moves: ReplicaMoves) {
    this.#options = options
    this.#moves = moves
    this.lost = new LostReplicas(options.nodeId, options.logger, options.cluster === undefined)
  }

  /**
   * Makes this node's partitions those of the image, at once. What then has no place in it is the log of a topic that was deleted just
   * before the end of the last process, and goes, or a stray, and is set aside (S10). `removedTopics`: names by id of topics that are
   * known to have been deleted. Throws `DiskError`.
   */
  start(image: MetadataImage, removedTopics: ReadonlyMap<Uuid, string>): void {
    this.#image = image
    this.#makingsLeft = Number.POSITIVE_INFINITY
    this.lost.start(image, this.#options.logs, this.#isRegistered)
    for (const topic of image.topics.values()) this.#host(topic)
    const doomed = settleUnknownLogs(this.#options, image, removedTopics, this.byLog, this.lost.count > 0)
    for (const log of doomed) this.#doomed.add(log)
    this.#dropUnknownFutures(image)
    this.#makingsLeft = MADE_PER_TURN
    this.#deleteDoomed()
  }

  /**
   * Makes this node's partitions of the topics named in `changed` those of the image. Of many new partitions, or many that go, the rest
   * follows in later turns: until it has its log, a partition is unknown here.
   */
  apply(image: MetadataImage, changed: ReadonlySet<string>): void {
    this.#image = image
    // Of a partition without a log nobody else drops its future one.
    if (this.lost.apply(image, this.#isRegistered)) this.#dropUnknownFutures(image)
    for (const name of changed) {
      const topic = image.topics.get(name)
      const hosted = this.topics.get(name)
      if (hosted !== undefined && (topic === undefined || topic.id !== hosted.id)) this.#drop(hosted)
      if (topic !== undefined) this.#host(topic)
    }
    this.#deleteDoomed()
  }

  /** Nothing is left for a later turn: none comes. */
  close(): void {
    this.#placementRetry?.cancel()
    this.#unhosted.clear()
    this.#deletionsLeft = Number.POSITIVE_INFINITY
    this.#isHousekeeping = true
    this.#deleteDoomed()
  }

  /** A partition that is not here is to get its log in that directory, once it is. Gives Kafka's error code for that. */
  prefer(topic: string, number: number, directory: string): number {
    const absence = this.absenceCode(topic, number)
    if (absence === ErrorCode.KAFKA_STORAGE_ERROR) return absence
    this.#preferred.set(topic, number, directory)
    const isKnown = this.#image?.topics.get(topic)?.partitions[number] !== undefined
    return isKnown ? ErrorCode.REPLICA_NOT_AVAILABLE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** Why a partition of this number is not here: as Kafka, which sends clients on to those who have it. */
  absenceCode(topic: string, partition: number): number {
    const image = this.#image?.topics.get(topic)?.partitions[partition]
    if (image === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (!image.replicas.includes(this.#options.nodeId)) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    const known = this.#image!.topics.get(topic)!
    return this.#isOffline(known, image) || this.lost.has(known.id, partition)
      ? ErrorCode.KAFKA_STORAGE_ERROR
      : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** The partition goes on with another log than the one that it had, which was moved. */
  onReplaced(partition: Partition, before: Log): void {
    this.byLog.delete(before)
    this.byLog.set(partition.log, partition)
    const { cluster } = this.#options
    if (cluster !== undefined) cluster.onMoved(partition)
    else this.#settleMove(partition)
  }

  /** Of a single node: nobody else needs to know where the log is. */
  #settleMove({ topicId, partition }: Partition): void {
    const { futures } = this.#options.logs
    if (futures.isUnsettled(topicId, partition)) void futures.settle(topicId, partition).catch(ignoreDiskError)
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

  #host(topic: TopicImage): void {
    const { nodeId, metrics, cluster } = this.#options
    let hosted = this.topics.get(topic.name)
    if (hosted === undefined) {
      hosted = { name: topic.name, id: topic.id, internal: isInternalTopic(topic.name), partitions: [] }
      this.topics.set(topic.name, hosted)
      this.topicsById.set(topic.id, hosted)
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
      if (this.lost.isBarred(topic.id, said)) continue
      if (this.#makingsLeft <= 0) {
        this.#unhosted.add(topic.name)
        this.#scheduleHousekeeping()
        // Those that are here must hear what is new all the same.
        continue
      }
      this.#makingsLeft--
      this.#scheduleHousekeeping()
      config ??= this.#options.settingsOf(topic.name)
      if (said.leader === nodeId && this.lost.has(topic.id, said.partition))
        setFutureAside(this.#options, topic, said.partition)
      const log = this.#openLog(topic, image)
      if (log === null) continue
      this.lost.onBegun(topic.id, said)
      log.updateConfig(config.log)
      const counters = metrics.of(topic.name)
      const partition = new Partition(topic.name, image, log, config, counters, nodeId, cluster?.ports)
      if (isOfEarlierLife) partition.abandonedEpoch = said.leaderEpoch
      hosted.partitions[image.partition] = partition
      this.byLog.set(log, partition)
      if (partition.isLeader && log.latestEpoch < image.leaderEpoch)
        log.assignEpoch(image.leaderEpoch, log.logEndOffset)
      partition.advanceHighWatermark()
      cluster?.onHosted(partition, image)
      // A crash may have kept the last move of it from being settled, and no other could come to its end then.
      if (cluster === undefined) this.#settleMove(partition)
      this.#moves.onHosted(partition)
    }
  }

  /** The metadata knows this life of the node. That of a node of its own has no other life in mind. */
  get #isRegistered(): boolean {
    const { cluster } = this.#options
    return cluster === undefined || cluster.mayLead()
  }

  #dropUnknownFutures({ topicsById }: MetadataImage): void {
    const { nodeId } = this.#options
    this.#moves.dropUnknown(
      ({ topicId, partition }) => topicsById.get(topicId)?.partitions[partition]?.replicas.includes(nodeId) === true,
    )
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
    this.topics.delete(hosted.name)
    this.topicsById.delete(hosted.id)
    for (const partition of hosted.partitions) {
      if (partition !== null) this.#dropPartition(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
  }

  /** Whoever waits for something of it gets the error; its log goes a little later. */
  #dropPartition(partition: Partition, errorCode: number): void {
    partition.deleted = true
    this.byLog.delete(partition.log)
    partition.fail(errorCode)
    this.#options.cluster?.onDropped(partition)
    this.#moves.onDropped(partition)
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
}

/** The directory has heard of it. */
function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
