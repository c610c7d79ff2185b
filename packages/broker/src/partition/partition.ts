import type { LeaderEpoch, Offset } from '@millrace/base'
import type { PartitionImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Log } from '@millrace/storage'
import type { TopicCounters } from '../metrics/topic-metrics.ts'
import type { PartitionSettings } from './partition-settings.ts'

/** Waits in a partition until the high watermark reaches its offset. Intrusive: the waiter itself is the queue's node. */
export interface HighWatermarkWaiter {
  /** The high watermark that satisfies it. */
  requiredOffset: Offset
  /** Called once, with 0 when the watermark was reached, else with the error that ends the wait. */
  onCommitted(errorCode: number): void
}

/** A parked fetch, told when there may be more to read or the partition went away. */
export interface FetchWaiter {
  onPartitionChanged(partition: Partition): void
}

/**
 * A partition on this node: its log, its leadership and who waits for it. With one replica the high watermark is what is
 * durable here, or what is written where `write.caching` says that the page cache is enough (`design.md`, 5).
 */
export class Partition {
  readonly topic: string
  readonly partition: number
  readonly log: Log
  config: PartitionSettings
  /** Of its topic. */
  readonly counters: TopicCounters
  leader: number
  leaderEpoch: LeaderEpoch
  partitionEpoch: number
  isrCount: number
  replicaCount: number
  readonly #nodeId: number
  #ackWaiters: HighWatermarkWaiter[] = []
  #ackHead = 0
  readonly #fetchWaiters = new Set<FetchWaiter>()
  #highWatermarkListener: ((highWatermark: Offset) => void) | null = null
  deleted = false
  /** Number of the Produce request that named the partition last, by which one that names it twice is noticed. */
  producedBy = 0

  constructor(
    topic: string,
    image: PartitionImage,
    log: Log,
    config: PartitionSettings,
    counters: TopicCounters,
    nodeId: number,
  ) {
    this.topic = topic
    this.partition = image.partition
    this.log = log
    this.config = config
    this.counters = counters
    this.#nodeId = nodeId
    this.leader = image.leader
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.isrCount = image.isr.length
    this.replicaCount = image.replicas.length
  }

  get isLeader(): boolean {
    return this.leader === this.#nodeId && !this.deleted
  }

  /** What the metadata says now. A new leader epoch starts in the log's epoch cache even before anything is written. */
  update(image: PartitionImage): void {
    const newEpoch = image.leaderEpoch > this.leaderEpoch
    this.leader = image.leader
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.isrCount = image.isr.length
    this.replicaCount = image.replicas.length
    if (newEpoch && this.isLeader) this.log.assignEpoch(this.leaderEpoch, this.log.logEndOffset)
  }

  /** Kafka's rule for acks=all: enough in-sync replicas, counted against what the partition can have at all. */
  hasEnoughReplicas(): boolean {
    return this.isrCount >= Math.min(this.config.minInsyncReplicas, this.replicaCount)
  }

  /** 0, or why a request that names `requestEpoch` (-1: none) may not be served here (KIP-320). */
  checkLeader(requestEpoch: LeaderEpoch): number {
    if (this.deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (this.log.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    if (requestEpoch >= 0) {
      if (requestEpoch < this.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
      if (requestEpoch > this.leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH
    }
    return this.isLeader ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** Calls the waiter once the high watermark reaches its offset; immediately never, always in a later step of the turn. */
  awaitHighWatermark(waiter: HighWatermarkWaiter): void {
    this.#ackWaiters.push(waiter)
  }

  /**
   * Resolves once all that the log holds now is committed, with 0, or with the error that ended the wait. At once if it cannot come
   * to that here, for want of replicas.
   */
  whenCommitted(): Promise<number> {
    const requiredOffset = this.log.logEndOffset
    if (this.log.highWatermark >= requiredOffset || !this.hasEnoughReplicas()) return Promise.resolve(ErrorCode.NONE)
    return new Promise((resolve) => this.awaitHighWatermark({ requiredOffset, onCommitted: resolve }))
  }

  /** Whether anybody waits for acknowledgement: the request time-out scan skips the others. */
  get waitingAcks(): number {
    return this.#ackWaiters.length - this.#ackHead
  }

  addFetchWaiter(waiter: FetchWaiter): void {
    this.#fetchWaiters.add(waiter)
  }

  removeFetchWaiter(waiter: FetchWaiter): void {
    this.#fetchWaiters.delete(waiter)
  }

  setHighWatermarkListener(listener: ((highWatermark: Offset) => void) | null): void {
    this.#highWatermarkListener = listener
  }

  /** The log wrote or synced: the high watermark may follow, and those who waited for it are told. */
  advanceHighWatermark(): void {
    const log = this.log
    const target = this.config.writeCaching ? log.writtenOffset : log.durableOffset
    if (target <= log.highWatermark && target >= 0) return
    if (!this.hasEnoughReplicas()) return
    if (log.setHighWatermark(target)) this.#announce()
  }

  /** The log start moved (delete records, retention): readers below it must hear of it. */
  onLogStartRaised(): void {
    this.#notifyFetchWaiters()
  }

  #announce(): void {
    const highWatermark = this.log.highWatermark
    const waiters = this.#ackWaiters
    let head = this.#ackHead
    while (head < waiters.length && waiters[head]!.requiredOffset <= highWatermark) {
      const waiter = waiters[head]!
      head++
      waiter.onCommitted(ErrorCode.NONE)
    }
    this.#ackHead = head
    if (head === waiters.length) {
      waiters.length = 0
      this.#ackHead = 0
    } else if (head > 1024 && head * 2 > waiters.length) {
      this.#ackWaiters = waiters.slice(head)
      this.#ackHead = 0
    }
    if (this.#highWatermarkListener !== null) this.#highWatermarkListener(highWatermark)
    this.#notifyFetchWaiters()
  }

  /** The partition is gone from this node, or its disk is: everybody who waits gets the error. */
  fail(errorCode: number): void {
    const waiters = this.#ackWaiters
    const head = this.#ackHead
    this.#ackWaiters = []
    this.#ackHead = 0
    for (let i = head; i < waiters.length; i++) waiters[i]!.onCommitted(errorCode)
    this.#notifyFetchWaiters()
  }

  #notifyFetchWaiters(): void {
    if (this.#fetchWaiters.size === 0) return
    // A waiter that is done removes itself, which a Set allows during iteration; one that parks again is not called twice.
    for (const waiter of [...this.#fetchWaiters]) waiter.onPartitionChanged(this)
  }
}
