import { assert, type LeaderEpoch, type Offset, type Uuid } from '@millrace/base'
import type { PartitionImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Log, LogMove } from '@millrace/storage'
import type { TopicCounters } from '../metrics/topic-metrics.ts'
import type { FollowerState } from '../replication/follower-state.ts'
import type { CommittedIsr, IsrOwner, IsrProposal } from '../replication/isr-proposal.ts'
import { type LeaderContext, LeaderState } from '../replication/leader-state.ts'
import type { PartitionSettings } from './partition-settings.ts'
import { TransactionVerifications } from './transaction-verifications.ts'

/** Waits in a partition until the high watermark reaches its offset. Intrusive: the waiter itself is the queue's node. */
export interface HighWatermarkWaiter {
  /** The high watermark that satisfies it. */
  requiredOffset: Offset
  /** False: its time is over, and it may be forgotten. */
  readonly waiting?: boolean
  /** Called once, with 0 when the watermark was reached, else with the error that ends the wait. */
  onCommitted(errorCode: number): void
}

/** A parked fetch, told when there may be more to read or the partition went away. */
export interface FetchWaiter {
  onPartitionChanged(partition: Partition): void
}

/** Waits for records to be deleted at all replicas. */
export interface LowWatermarkWaiter {
  /** The low watermark may have moved, or the leadership here be over. */
  onLowWatermark(): void
}

/** A damaged replica counts for nothing any more: it may throw away what it has from some offset on, once its leader gives it that again. */
export interface ReplicaRepair {
  readonly fromOffset: Offset
  /** The log has been cut. */
  onCut(): void
}

/** What a partition tells those who replicate it. */
export interface ReplicationEvents {
  /** A led partition's in-sync replicas should change. */
  onIsrProposed(partition: Partition, proposal: IsrProposal): void
  /** What is durable here, of a partition that another node leads, has grown. */
  onFollowerDurable(partition: Partition): void
}

/** What partitions need of the cluster around them. */
export interface ReplicationPorts {
  readonly context: LeaderContext
  readonly events: ReplicationEvents
}

const ACK_SWEEP_MIN_COUNT = 2048

/** How a follower's fetch was taken. */
export const FollowerFetch = { COUNTED: 0, STRANGER: 1, UNKNOWN_BROKER_EPOCH: 2 } as const
export type FollowerFetch = (typeof FollowerFetch)[keyof typeof FollowerFetch]

/**
 * A partition on this node: its log, its leadership and who waits for it. Where this node leads, the high watermark is what all in-sync
 * replicas have durably, or have written where `write.caching` says that the page cache is enough (`design.md`, 5); where another
 * does, what that one says.
 */
export class Partition implements IsrOwner {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  /** Another one once the replica has been moved to another directory: not to be kept over an `await`. */
  log: Log
  /** While the replica is being moved. */
  move: Pick<LogMove, 'bound' | 'lag' | 'future'> | null = null
  config: PartitionSettings
  /** Of its topic. */
  readonly counters: TopicCounters
  leader: number
  leaderEpoch: LeaderEpoch
  partitionEpoch: number
  isrCount: number
  replicaCount: number
  /** This replica is one of the in-sync ones, as the metadata has it. */
  isInSync: boolean
  /** Something of its log is damaged and must come from others again: it follows no leader before there is a {@link repair}. */
  isDamaged: boolean
  repair: ReplicaRepair | null = null
  /** Of the leadership of this node, null while it has none. */
  leading: LeaderState | null = null
  /** Of producers that begin a transaction here, while this node leads. */
  readonly verifications = new TransactionVerifications()
  readonly #nodeId: number
  readonly #replication: ReplicationPorts
  #ackWaiters: HighWatermarkWaiter[] = []
  #ackHead = 0
  /** So many waiters are looked through for those whose time is over. */
  #ackSweepCount = ACK_SWEEP_MIN_COUNT
  readonly #fetchWaiters = new Set<FetchWaiter>()
  /** Of followers, who read what is not committed yet. */
  readonly #replicaWaiters = new Set<FetchWaiter>()
  readonly #lowWatermarkWaiters = new Set<LowWatermarkWaiter>()
  #highWatermarkListener: ((highWatermark: Offset) => void) | null = null
  deleted = false
  /** Leader epoch of this node in an earlier life, which must not go on; -1: none. */
  abandonedEpoch: LeaderEpoch = -1
  /** Number of the Produce request that named the partition last, by which one that names it twice is noticed. */
  producedBy = 0

  constructor(
    topic: string,
    image: PartitionImage,
    log: Log,
    config: PartitionSettings,
    counters: TopicCounters,
    nodeId: number,
    replication: ReplicationPorts = ALONE,
  ) {
    this.topic = topic
    this.topicId = log.topicId
    this.partition = image.partition
    this.log = log
    this.config = config
    this.counters = counters
    this.#nodeId = nodeId
    this.#replication = replication
    this.leader = image.leader
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.isrCount = image.isr.length
    this.replicaCount = image.replicas.length
    this.isInSync = image.isr.includes(nodeId)
    this.isDamaged = log.faultyRanges.length > 0
    if (this.isLeader) this.leading = new LeaderState(nodeId, image, log.logEndOffset, replication.context)
  }

  get isLeader(): boolean {
    return this.leader === this.#nodeId && !this.deleted
  }

  /** Another node leads it, and this one follows. */
  get isFollower(): boolean {
    return this.leader >= 0 && this.leader !== this.#nodeId && !this.deleted
  }

  /** What this replica holds for certain ends here: what it may tell its leader, or, as leader, count of itself. */
  get certainOffset(): Offset {
    const certainOffset = this.config.writeCaching ? this.log.writtenOffset : this.log.durableOffset
    return this.move === null ? certainOffset : this.move.bound(certainOffset)
  }

  /** Another log, which holds the same, takes the place of this one. Nothing is told of it to those who wait: nothing has changed for them. */
  replaceLog(log: Log): void {
    this.log = log
    log.updateConfig(this.config.log)
    // Of an epoch in which nothing was written nothing was copied.
    if (this.isLeader && log.latestEpoch < this.leaderEpoch) log.assignEpoch(this.leaderEpoch, log.logEndOffset)
  }

  /**
   * What the metadata says now. A new leader epoch starts in the log's epoch cache even before anything is written. Whoever waits on a
   * leadership that is over hears of it: nobody here will see those records committed.
   */
  update(image: PartitionImage): void {
    const newEpoch = image.leaderEpoch > this.leaderEpoch
    // Older than what the controller answered to a proposal: the rest of the metadata has not come yet.
    if (!newEpoch && image.partitionEpoch < this.partitionEpoch) return
    const wasLeader = this.isLeader
    this.leader = image.leader
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.isrCount = image.isr.length
    this.replicaCount = image.replicas.length
    this.isInSync = image.isr.includes(this.#nodeId)
    if (this.isLeader) this.#lead(image, newEpoch)
    else if (wasLeader || newEpoch) this.#endLeadership()
    this.#notifyLowWatermarkWaiters()
  }

  #lead(image: PartitionImage, newEpoch: boolean): void {
    if (this.leading !== null && !newEpoch) {
      this.leading.onImage(image)
      this.advanceHighWatermark()
      return
    }
    this.verifications.clear()
    this.log.assignEpoch(this.leaderEpoch, this.log.logEndOffset)
    this.leading = new LeaderState(this.#nodeId, image, this.log.logEndOffset, this.#replication.context)
    // Those who fetch with the old epoch must hear that it is over.
    this.#notifyAllFetchWaiters()
    this.advanceHighWatermark()
  }

  #endLeadership(): void {
    this.leading = null
    this.verifications.clear()
    this.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  /** Kafka's rule for acks=all: enough in-sync replicas, counted against what the partition can have at all. */
  hasEnoughReplicas(): boolean {
    return this.isrCount >= this.minIsr
  }

  /** The same of what was appended before: a replica that may have left the in-sync ones was waited for as well. */
  hadEnoughReplicas(): boolean {
    return (this.leading?.maximalIsrCount ?? this.isrCount) >= this.minIsr
  }

  /** In-sync replicas without which nothing is acknowledged to all. */
  get minIsr(): number {
    return Math.min(this.config.minInsyncReplicas, this.replicaCount)
  }

  /** 0, or why a request that names `requestEpoch` (-1: none) may not be served here (KIP-320). */
  checkLeader(requestEpoch: LeaderEpoch): number {
    const error = this.checkReplica(requestEpoch)
    if (error !== ErrorCode.NONE) return error
    return this.isLeader ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** The same of what any replica may answer (KIP-392). */
  checkReplica(requestEpoch: LeaderEpoch): number {
    if (this.deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (this.log.failed) return ErrorCode.KAFKA_STORAGE_ERROR
    if (requestEpoch >= 0) {
      if (requestEpoch < this.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
      if (requestEpoch > this.leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH
    }
    return this.leader < 0 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.NONE
  }

  /** Whether the high watermark covers all that earlier leaders may have committed (R12). */
  get isHighWatermarkCurrent(): boolean {
    return this.leading === null || this.log.highWatermark >= this.leading.epochStartOffset
  }

  /**
   * A follower reads from `fetchOffset` on, which tells what it holds: the high watermark may follow, and the follower may join the
   * in-sync replicas. Only for a fetch that agrees with this log's epochs.
   */
  onFollowerFetch(brokerId: number, brokerEpoch: number, fetchOffset: Offset, logStartOffset: Offset): FollowerFetch {
    const { leading } = this
    const follower = leading?.follower(brokerId) ?? null
    if (leading === null || follower === null) return FollowerFetch.STRANGER
    // What it was given from there it has not kept: perhaps since it was damaged.
    if (fetchOffset === follower.servedOffset) {
      this.log.distrust(fetchOffset)
      follower.servedOffset = -1
    }
    const before = follower.endOffset
    const startBefore = follower.logStartOffset
    const isCounted = leading.onFetch(follower, fetchOffset, logStartOffset, brokerEpoch, this.certainOffset)
    if (!isCounted) return FollowerFetch.UNKNOWN_BROKER_EPOCH
    if (!follower.isInSync) this.#propose(leading.expansion(follower, this.log.highWatermark))
    if (follower.endOffset !== before) this.advanceHighWatermark()
    if (follower.logStartOffset !== startBefore) this.#notifyLowWatermarkWaiters()
    return FollowerFetch.COUNTED
  }

  /** Records below are deleted here and, as far as they have told, at all followers that are alive; -1: one has told nothing yet. */
  get lowWatermark(): Offset {
    const { logStartOffset } = this.log
    return this.leading === null ? logStartOffset : this.leading.lowWatermark(logStartOffset)
  }

  addLowWatermarkWaiter(waiter: LowWatermarkWaiter): void {
    this.#lowWatermarkWaiters.add(waiter)
  }

  removeLowWatermarkWaiter(waiter: LowWatermarkWaiter): void {
    this.#lowWatermarkWaiters.delete(waiter)
  }

  #notifyLowWatermarkWaiters(): void {
    for (const waiter of [...this.#lowWatermarkWaiters]) waiter.onLowWatermark()
  }

  follower(brokerId: number): FollowerState | null {
    return this.leading?.follower(brokerId) ?? null
  }

  /** Looks for followers that have not kept up, and for the end of a recovery to tell of. Every half `replica.lag.time.max.ms`. */
  checkReplicas(): void {
    const { leading } = this
    if (leading === null || this.log.failed) return
    this.#propose(leading.shrinking(this.certainOffset))
    // A follower that fell silent holds the watermark back no longer than it may lag.
    this.advanceHighWatermark()
  }

  /** This node leads it now, and nothing that was lost by an unclean election will come back. */
  tellRecovered(): void {
    if (this.leading !== null) this.#propose(this.leading.recovery())
  }

  #propose(proposal: IsrProposal | null): void {
    if (proposal !== null) this.#replication.events.onIsrProposed(this, proposal)
  }

  isPending(proposal: IsrProposal): boolean {
    return this.leading?.proposal === proposal && !this.deleted
  }

  onIsrCommitted(proposal: IsrProposal, committed: CommittedIsr): void {
    const { leading } = this
    if (leading === null || !leading.onCommitted(proposal, committed)) return
    this.partitionEpoch = committed.partitionEpoch
    this.isrCount = committed.isr.length
    this.advanceHighWatermark()
  }

  onIsrRefused(proposal: IsrProposal): void {
    this.leading?.onRefused(proposal)
    this.advanceHighWatermark()
  }

  /** Calls the waiter once the high watermark reaches its offset; immediately never, always in a later step of the turn. */
  awaitHighWatermark(waiter: HighWatermarkWaiter): void {
    if (this.#ackWaiters.push(waiter) >= this.#ackSweepCount) this.#sweepAckWaiters()
  }

  /** A leader that is cut off commits nothing, while its producers send again and again. */
  #sweepAckWaiters(): void {
    this.#ackWaiters = this.#ackWaiters.filter(({ waiting }, slot) => slot >= this.#ackHead && waiting !== false)
    this.#ackHead = 0
    this.#ackSweepCount = Math.max(ACK_SWEEP_MIN_COUNT, this.#ackWaiters.length * 2)
  }

  /**
   * Resolves once all that the log holds now is committed, with 0, or with the error that ended the wait. At once if it cannot come
   * to that here, for want of replicas, or if others have a say in it: their time is not this node's.
   */
  whenCommitted(): Promise<number> {
    const requiredOffset = this.log.logEndOffset
    const isAlone = this.leading === null || this.leading.maximalIsrCount === 1
    if (this.log.highWatermark >= requiredOffset || !isAlone || !this.hasEnoughReplicas()) {
      return Promise.resolve(ErrorCode.NONE)
    }
    return new Promise((resolve) => this.awaitHighWatermark({ requiredOffset, onCommitted: resolve }))
  }

  /** Whether anybody waits for acknowledgement: the request time-out scan skips the others. */
  get waitingAcks(): number {
    return this.#ackWaiters.length - this.#ackHead
  }

  /** `ofReplica`: it reads up to the log's end, so it hears of each write too. */
  addFetchWaiter(waiter: FetchWaiter, ofReplica = false): void {
    if (ofReplica) this.#replicaWaiters.add(waiter)
    else this.#fetchWaiters.add(waiter)
  }

  removeFetchWaiter(waiter: FetchWaiter): void {
    this.#fetchWaiters.delete(waiter)
    this.#replicaWaiters.delete(waiter)
  }

  setHighWatermarkListener(listener: ((highWatermark: Offset) => void) | null): void {
    this.#highWatermarkListener = listener
  }

  /** What was appended can be read: followers that wait for it are told. Hot path. */
  onWritten(): void {
    if (this.#replicaWaiters.size > 0) notify(this.#replicaWaiters, this)
    this.advanceHighWatermark()
  }

  /** The log wrote or synced: the high watermark may follow, and those who waited for it are told. Hot path. */
  advanceHighWatermark(): void {
    const { log, leading } = this
    if (leading === null) {
      if (this.isFollower) this.#replication.events.onFollowerDurable(this)
      return
    }
    const end = this.certainOffset
    const target = leading.followers.length === 0 ? end : leading.committedOffset(end)
    if (target <= log.highWatermark) return
    if (!this.hasEnoughReplicas()) return
    if (log.setHighWatermark(target)) this.#announce()
  }

  /**
   * From the leader that is followed. The watermark goes no further than what is certain here, and not back: what was committed is,
   * whatever a new leader knows of it yet. Only truncation takes from it.
   */
  followHighWatermark(leaderHighWatermark: Offset): void {
    const target = Math.min(leaderHighWatermark, this.certainOffset)
    if (target > this.log.highWatermark && this.log.setHighWatermark(target)) this.#announce()
  }

  /** The log start moved (delete records, retention): readers below it must hear of it. */
  onLogStartRaised(): void {
    this.#notifyAllFetchWaiters()
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
    if (this.#fetchWaiters.size > 0) notify(this.#fetchWaiters, this)
  }

  /** The partition is gone from this node, its disk is, or its leadership: everybody who waits gets the error. */
  fail(errorCode: number): void {
    const waiters = this.#ackWaiters
    const head = this.#ackHead
    this.#ackWaiters = []
    this.#ackHead = 0
    for (let i = head; i < waiters.length; i++) waiters[i]!.onCommitted(errorCode)
    this.#notifyAllFetchWaiters()
    this.#notifyLowWatermarkWaiters()
  }

  #notifyAllFetchWaiters(): void {
    if (this.#fetchWaiters.size > 0) notify(this.#fetchWaiters, this)
    if (this.#replicaWaiters.size > 0) notify(this.#replicaWaiters, this)
  }
}

function notify(waiters: ReadonlySet<FetchWaiter>, partition: Partition): void {
  // A waiter that is done removes itself, which a Set allows during iteration; one that parks again is not called twice.
  for (const waiter of [...waiters]) waiter.onPartitionChanged(partition)
}

/** For a partition whose replicas are all here: nothing is ever asked. */
const ALONE: ReplicationPorts = {
  context: {
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    maxLagMs: Number.POSITIVE_INFINITY,
    brokerEpochOf: () => -1,
    isActive: () => false,
  },
  events: {
    onIsrProposed: () => assert(false, 'a partition without other replicas changes no ISR'),
    onFollowerDurable: () => undefined,
  },
}
