import type { Clock, DiskError, Timer, Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { canBeMoved, type Log } from '@millrace/storage'
import type { LostReplicas } from './lost-replicas.ts'
import type { Partition } from './partition.ts'
import { type HostedTopic, PartitionPlacement, type PartitionPlacementOptions } from './partition-placement.ts'
import { type ReplicaMoveSettings, ReplicaMoves } from './replica-moves.ts'

/** How often waiting acknowledgements are checked for their request's time-out. */
const ACK_TIMEOUT_SCAN_MS = 200

export interface PartitionManagerOptions extends PartitionPlacementOptions {
  clock: Clock
  /** Waiters for acknowledgement whose time is over; called while any partition has some. */
  onAckScan(): void
  /** Of moves between log directories, as they are now. */
  moveSettings(): ReplicaMoveSettings
  /** A bug: nothing may go on. */
  onFault(error: unknown): void
}

/**
 * The partitions of this node, which {@link PartitionPlacement} keeps as the metadata has them: finds them for the handlers, ends their
 * turns, and brings them what happens to the disks and to their configuration.
 */
export class PartitionManager {
  /** Replicas on their way from one log directory to another. */
  readonly moves: ReplicaMoves
  readonly #options: PartitionManagerOptions
  readonly #placement: PartitionPlacement
  /** Those of the placement, at hand for whoever looks for a partition. */
  readonly #topics: ReadonlyMap<string, HostedTopic>
  readonly #topicsById: ReadonlyMap<Uuid, HostedTopic>
  /** From a log to its partition, for the calls that come up from the storage. */
  readonly #byLog: ReadonlyMap<Log, Partition>
  /** Partitions that took records in this turn. */
  #touched: Partition[] = []
  /** In whose logs reads found damage that the start had not found. */
  readonly #damaged = new WeakSet<Partition>()
  #ackScan: Timer | null = null
  readonly #afterFlush: () => void
  readonly #runAckScan: () => void

  constructor(options: PartitionManagerOptions) {
    this.#options = options
    this.moves = new ReplicaMoves({
      ...options,
      settings: options.moveSettings,
      onReplaced: (partition, before) => this.#placement.onReplaced(partition, before),
    })
    this.#placement = new PartitionPlacement(options, this.moves)
    this.#topics = this.#placement.topics
    this.#topicsById = this.#placement.topicsById
    this.#byLog = this.#placement.byLog
    this.#afterFlush = () => this.#advanceTouched()
    this.#runAckScan = () => {
      this.#ackScan = null
      this.#options.onAckScan()
    }
  }

  /** As {@link PartitionPlacement.start}. */
  start(image: MetadataImage, removedTopics: ReadonlyMap<Uuid, string>): void {
    this.#placement.start(image, removedTopics)
  }

  /** As {@link PartitionPlacement.apply}. */
  apply(image: MetadataImage, changed: ReadonlySet<string>): void {
    this.#placement.apply(image, changed)
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

  /** As {@link PartitionPlacement.absenceCode}. */
  absenceCode(topic: string, partition: number): number {
    return this.#placement.absenceCode(topic, partition)
  }

  /** Replicas whose logs were lost before this start and are not begun anew yet. */
  get lost(): Pick<LostReplicas, 'all' | 'count'> {
    return this.#placement.lost
  }

  /** Of a node that has the only copy of its records: logs that are lost, and those of whose records some are damaged. */
  get damagedCount(): number {
    let { count } = this.lost
    for (const partition of this.all()) {
      // Few are, and to look for damage in all segments of all logs would hold the loop.
      if (!partition.isDamaged && !this.#damaged.has(partition)) continue
      const { log } = partition
      if (log.faultyRanges.some(({ endOffset }) => endOffset > log.logStartOffset)) count++
    }
    return count
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
    return this.#placement.prefer(topic, number, directory)
  }

  /** Nobody waits any more. */
  close(): void {
    this.#ackScan?.cancel()
    this.#placement.close()
  }

  /** The storage synced this log. */
  onDurable(log: Log): void {
    const partition = this.#byLog.get(log)
    if (partition !== undefined) partition.advanceHighWatermark()
    else this.moves.onDurable(log)
  }

  /** The storage found damage in this log, and has told of it: nobody else has the records. */
  onDamaged(log: Log): void {
    const partition = this.#byLog.get(log)
    if (partition !== undefined) this.#damaged.add(partition)
  }

  onDirectoryFailed(directory: string, error: DiskError): void {
    this.#options.logger.error('log directory failed; its partitions are offline', { directory, error: error.message })
    for (const partition of this.all()) {
      if (partition.log.directory === directory) partition.fail(ErrorCode.KAFKA_STORAGE_ERROR)
    }
    this.moves.onDirectoryFailed(directory)
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
}
