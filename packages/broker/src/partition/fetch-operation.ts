import type { Offset, Timer, Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { ReadResult } from '@millrace/storage'
import { type FetchLimits, UNLIMITED_FETCHES } from './fetch-limits.ts'
import type { FetchPartition } from './fetch-session.ts'
import { type FetchWaiter, FollowerFetch, type Partition } from './partition.ts'

/** Up to where a reader may read. */
export const FetchIsolation = { LOG_END: 0, HIGH_WATERMARK: 1, TRANSACTION_COMMITTED: 2 } as const
export type FetchIsolation = (typeof FetchIsolation)[keyof typeof FetchIsolation]

/** What is answered for one partition. */
export interface FetchedPartition {
  readonly wanted: FetchPartition
  errorCode: number
  highWatermark: Offset
  lastStableOffset: Offset
  logStartOffset: Offset
  /** The reader's log left ours after this (epoch, end offset), KIP-320; null if not. */
  divergingEpoch: { epoch: number; endOffset: Offset } | null
  abortedTransactions: { producerId: number; firstOffset: Offset }[] | null
  /** Where a consumer does better to read, -1 if here (KIP-392); then there are no records. */
  preferredReadReplica: number
  /** Views into the log or buffers of their own; valid as long as they are referenced. */
  records: readonly Buffer[]
  sizeBytes: number
}

export interface FetchParameters {
  /** Of a follower (≥ 0), -1 for consumers, -2 for debugging. */
  replicaId: number
  /** Of the follower's broker, -1 if it does not say. */
  brokerEpoch: number
  /** A consumer that understands that any replica may answer (KIP-392). */
  mayReadFollower: boolean
  /** Where the consumer is; empty if it does not say. */
  rackId: string
  isolation: FetchIsolation
  minBytes: number
  maxBytes: number
  maxWaitMs: number
  /** Of a session: the answer may leave out partitions of which there is nothing new to tell. */
  onlyNews: boolean
}

/** Where an operation finds the partitions; errors are per partition. */
export interface FetchSource {
  /** The partition, or the error code to answer. */
  resolve(wanted: FetchPartition): Partition | number
}

/** What replication has to say about fetches. */
export interface FetchReplication {
  /** Broker that the consumer in this rack does better to read from; -1: this one. */
  preferredReplica(partition: Partition, fetchOffset: Offset, rackId: string): number
  /** The follower must wait: replicas that are not in sync get only so many bytes a second. */
  isThrottled(partition: Partition, replicaId: number): boolean
  onReplicated(partition: Partition, replicaId: number, sizeBytes: number): void
}

/** Where there are no other brokers. */
export const NO_REPLICATION: FetchReplication = {
  preferredReplica: () => -1,
  isThrottled: () => false,
  onReplicated: () => undefined,
}

const NO_RECORDS: readonly Buffer[] = []
const AT_ONCE = Number.POSITIVE_INFINITY

/**
 * One fetch from its start to its answer. It first looks, without reading, whether enough is there; if not, it parks in the
 * partitions it names until something changes or its time is over (Kafka's purgatory), and reads once, at the end.
 */
export class FetchOperation implements FetchWaiter {
  readonly #source: FetchSource
  readonly #parameters: FetchParameters
  readonly #wanted: readonly FetchPartition[]
  readonly #done: (answers: FetchedPartition[]) => void
  readonly #failed: (error: unknown) => void
  readonly #scratch = new ReadResult()
  /** Those of `#wanted` whose partition was there at the start. */
  #present: FetchPartition[] = []
  #parkedIn: Partition[] = []
  #timer: Timer | null = null
  #finished = false
  /** Some partition was held back, which nothing will tell the end of. */
  #hasThrottled = false
  readonly #limits: FetchLimits
  readonly #replication: FetchReplication
  /** Read from the disk so far: of the answers' budget until the answer is sent. */
  copiedBytes = 0

  constructor(
    source: FetchSource,
    parameters: FetchParameters,
    wanted: readonly FetchPartition[],
    done: (answers: FetchedPartition[]) => void,
    failed: (error: unknown) => void,
    limits: FetchLimits = UNLIMITED_FETCHES,
    replication: FetchReplication = NO_REPLICATION,
  ) {
    this.#replication = replication
    this.#limits = limits
    this.#source = source
    this.#parameters = parameters
    this.#wanted = wanted
    this.#done = done
    this.#failed = failed
  }

  /**
   * Answers now if it can, else parks. `done` may be called before this returns. Partitions that are unknown from the start do not
   * hurry an answer that also waits for others, as in Kafka: a consumer of a deleted topic would ask again at once, without end.
   */
  start(timers: Timers): void {
    const { maxWaitMs } = this.#parameters
    const isReplica = this.#isReplica
    this.#present = this.#wanted.filter((wanted) => typeof this.#source.resolve(wanted) !== 'number')
    // Once, and not again when it is answered: later it would tell of a time that is over.
    if (isReplica) this.#countFollower()
    // A follower does not name what it knows to be gone, so that is to be told at once.
    const isIncomplete = isReplica && this.#present.length < this.#wanted.length
    if (maxWaitMs <= 0 || isIncomplete || this.#present.length === 0 || this.#isSatisfied()) {
      this.#finish()
      return
    }
    for (const wanted of this.#present) {
      const partition = this.#source.resolve(wanted)
      if (typeof partition === 'number') continue
      partition.addFetchWaiter(this, isReplica)
      this.#parkedIn.push(partition)
    }
    this.#timer = timers.setTimer(this.#parameters.maxWaitMs, () => this.#finish())
    this.#limits.purgatory.add(this)
  }

  /** What it keeps in memory while it waits. */
  get partitionCount(): number {
    return this.#wanted.length
  }

  /** Others need its place: it answers with what there is. */
  answerNow(): void {
    this.#finish()
  }

  /** Before, there was nothing to answer with: of many partitions only this one has to be looked at, where a byte of any is enough. */
  onPartitionChanged(changed: Partition): void {
    if (this.#finished) return
    const isAnyEnough = this.#parameters.minBytes <= 1 && !this.#hasThrottled
    const wanted = isAnyEnough ? this.#present.find(({ found }) => found === changed) : undefined
    const isSatisfied = wanted === undefined ? this.#isSatisfied() : this.#readyBytes(wanted) > 0
    if (isSatisfied) this.#finish()
  }

  /** The client is gone. */
  abandon(): void {
    this.#finished = true
    this.#unpark()
  }

  #unpark(): void {
    for (const partition of this.#parkedIn) partition.removeFetchWaiter(this)
    this.#parkedIn = []
    if (this.#timer !== null) this.#limits.purgatory.remove(this)
    this.#timer?.cancel()
    this.#timer = null
  }

  get #isReplica(): boolean {
    return this.#parameters.replicaId >= 0
  }

  /** What a follower asks for tells the partitions what it has. */
  #countFollower(): void {
    const { replicaId, brokerEpoch } = this.#parameters
    for (const wanted of this.#present) {
      wanted.refusal = ErrorCode.NONE
      const partition = this.#source.resolve(wanted)
      if (typeof partition === 'number' || this.#errorOf(partition, wanted) !== ErrorCode.NONE) continue
      if (wanted.lastFetchedEpoch >= 0 && divergence(partition, wanted) !== null) continue
      const { fetchOffset, logStartOffset } = wanted
      const taken = partition.onFollowerFetch(replicaId, brokerEpoch, fetchOffset, logStartOffset)
      if (taken === FollowerFetch.UNKNOWN_BROKER_EPOCH) wanted.refusal = ErrorCode.NOT_LEADER_OR_FOLLOWER
      if (taken === FollowerFetch.STRANGER) wanted.refusal = strangerCode(wanted)
    }
  }

  /** Why the partition cannot be read from where the reader wants to, or 0. Divergence aside. */
  #errorOf(partition: Partition, wanted: FetchPartition): number {
    const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch } = wanted
    const { mayReadFollower } = this.#parameters
    const error = mayReadFollower
      ? partition.checkReplica(currentLeaderEpoch)
      : partition.checkLeader(currentLeaderEpoch)
    if (error !== ErrorCode.NONE) return error
    if (this.#isReplica) {
      if (partition.follower(this.#parameters.replicaId) === null) return strangerCode(wanted)
      if (wanted.refusal !== ErrorCode.NONE) return wanted.refusal
    }
    const { log } = partition
    if (fetchOffset < log.logStartOffset) return ErrorCode.OFFSET_OUT_OF_RANGE
    if (lastFetchedEpoch >= 0) {
      const diverging = divergence(partition, wanted)
      // Where the logs parted tells more than that the offset is not here.
      if (diverging !== null) return diverging.epoch < 0 ? ErrorCode.OFFSET_OUT_OF_RANGE : ErrorCode.NONE
    }
    return fetchOffset > log.logEndOffset ? ErrorCode.OFFSET_OUT_OF_RANGE : ErrorCode.NONE
  }

  #preferredReplica(partition: Partition, wanted: FetchPartition): number {
    const { rackId, mayReadFollower } = this.#parameters
    if (rackId === '' || !mayReadFollower || !partition.isLeader) return -1
    return this.#replication.preferredReplica(partition, wanted.fetchOffset, rackId)
  }

  #isThrottled(partition: Partition): boolean {
    return this.#isReplica && this.#replication.isThrottled(partition, this.#parameters.replicaId)
  }

  /** Enough bytes, or anything that must be told at once: an error, a divergence, a better replica. */
  #isSatisfied(): boolean {
    const { minBytes } = this.#parameters
    let availableBytes = 0
    for (const wanted of this.#present) {
      availableBytes += this.#readyBytes(wanted)
      if (availableBytes >= minBytes && availableBytes > 0) return true
    }
    return availableBytes >= minBytes
  }

  /** Bytes that could be answered with; infinite if there is something to be told at once. */
  #readyBytes(wanted: FetchPartition): number {
    const partition = this.#source.resolve(wanted)
    if (typeof partition === 'number' || this.#errorOf(partition, wanted) !== ErrorCode.NONE) return AT_ONCE
    if (wanted.lastFetchedEpoch >= 0 && divergence(partition, wanted) !== null) return AT_ONCE
    if (this.#preferredReplica(partition, wanted) >= 0) return AT_ONCE
    const { log } = partition
    // Somebody may wait for the records that were deleted to be gone here as well.
    if (this.#isReplica && wanted.sentLogStartOffset >= 0 && wanted.sentLogStartOffset < log.logStartOffset)
      return AT_ONCE
    const upperOffset = upperOffsetOf(partition, this.#parameters.isolation)
    if (wanted.fetchOffset >= upperOffset) return 0
    if (this.#isThrottled(partition)) {
      // Time alone may change that.
      this.#hasThrottled = true
      return 0
    }
    // The read will end with the segment, which gets no more: there is nothing to wait for (case F of Kafka's `DelayedFetch`).
    if (log.endsInLaterSegment(wanted.fetchOffset, upperOffset)) return AT_ONCE
    return log.bytesAvailable(wanted.fetchOffset, upperOffset, wanted.maxBytes)
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#unpark()
    const answers: FetchedPartition[] = []
    const pending = this.#readFrom(0, answers, this.#parameters.maxBytes)
    if (pending === null) {
      this.#done(answers)
      return
    }
    pending.then(
      () => this.#done(answers),
      (error: unknown) => {
        // No answer will hold what was read before the failure.
        this.#limits.memory.release(this.copiedBytes)
        this.#failed(error)
      },
    )
  }

  /** Reads partition after partition; goes on from a promise where one has to come from the disk. */
  #readFrom(start: number, answers: FetchedPartition[], budgetBytes: number): Promise<void> | null {
    let budget = budgetBytes
    for (let slot = start; slot < this.#wanted.length; slot++) {
      const wanted = this.#wanted[slot]!
      if (this.#parameters.onlyNews && this.#isQuiet(wanted)) continue
      const answer = this.#answerFor(wanted)
      answers.push(answer)
      if (answer.errorCode !== ErrorCode.NONE || answer.divergingEpoch !== null) continue
      const partition = this.#source.resolve(answer.wanted) as Partition
      const upperOffset = upperOffsetOf(partition, this.#parameters.isolation)
      if (answer.wanted.fetchOffset >= upperOffset || answer.preferredReadReplica >= 0) continue
      if (this.#isThrottled(partition)) continue
      // The first batch of the first partition with data is returned whole, whatever the limits say (KIP-74).
      const minOneBatch = budget === this.#parameters.maxBytes
      const wantedBytes = Math.min(answer.wanted.maxBytes, budget)
      if (wantedBytes <= 0 && !minOneBatch) continue
      const { memory } = this.#limits
      const maxBytes = memory.reserve(Math.max(0, wantedBytes))
      const { log } = partition
      const read = log.read(answer.wanted.fetchOffset, maxBytes, upperOffset, minOneBatch, this.#scratch)
      if (typeof read === 'boolean') {
        // Views of what is in memory anyway.
        memory.release(maxBytes)
        budget -= this.#takeRead(partition, answer, upperOffset, read)
        continue
      }
      return read.then(
        (ok) => {
          if (!ok && partition.log !== log) {
            // It was moved meanwhile, and the one in its place has the same.
            memory.release(maxBytes)
            answers.pop()
            return this.#readFrom(slot, answers, budget) ?? undefined
          }
          const sizeBytes = this.#takeRead(partition, answer, upperOffset, ok)
          memory.release(maxBytes - sizeBytes)
          this.copiedBytes += sizeBytes
          return this.#readFrom(slot + 1, answers, budget - sizeBytes) ?? undefined
        },
        (error: unknown) => {
          memory.release(maxBytes)
          throw error
        },
      )
    }
    return null
  }

  /** Nothing of it is new to the reader: of a follower's thousand partitions nearly all, at each fetch. */
  #isQuiet(wanted: FetchPartition): boolean {
    const partition = this.#source.resolve(wanted)
    if (typeof partition === 'number') return false
    const { log } = partition
    if (wanted.sentHighWatermark !== log.highWatermark || wanted.sentLogStartOffset !== log.logStartOffset) return false
    if (wanted.fetchOffset < upperOffsetOf(partition, this.#parameters.isolation)) return false
    if (this.#errorOf(partition, wanted) !== ErrorCode.NONE || this.#preferredReplica(partition, wanted) >= 0)
      return false
    return wanted.lastFetchedEpoch < 0 || divergence(partition, wanted) === null
  }

  #takeRead(partition: Partition, answer: FetchedPartition, upperOffset: Offset, ok: boolean): number {
    const scratch = this.#scratch
    if (!ok) {
      // A log that fails because its topic was deleted while it was read is no fault of the disk.
      fail(answer, partition.deleted ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : scratch.errorCode)
      return 0
    }
    answer.records = scratch.buffers
    answer.sizeBytes = scratch.sizeBytes
    scratch.buffers = []
    if (this.#isReplica) this.#onServed(partition, answer)
    if (this.#parameters.isolation === FetchIsolation.TRANSACTION_COMMITTED && answer.sizeBytes > 0) {
      const end = Math.min(upperOffset, scratch.lastOffset + 1)
      answer.abortedTransactions = partition.log.abortedTransactions(answer.wanted.fetchOffset, end)
    }
    return answer.sizeBytes
  }

  #onServed(partition: Partition, { wanted, sizeBytes }: FetchedPartition): void {
    const { replicaId } = this.#parameters
    this.#replication.onReplicated(partition, replicaId, sizeBytes)
    const follower = partition.follower(replicaId)
    if (follower !== null && sizeBytes > 0) follower.servedOffset = wanted.fetchOffset
  }

  #answerFor(wanted: FetchPartition): FetchedPartition {
    const partition = this.#source.resolve(wanted)
    if (typeof partition === 'number') return failure(wanted, partition)
    const error = this.#errorOf(partition, wanted)
    if (error !== ErrorCode.NONE) return failure(wanted, error)
    const { log } = partition
    return {
      wanted,
      errorCode: ErrorCode.NONE,
      highWatermark: log.highWatermark,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.logStartOffset,
      divergingEpoch: wanted.lastFetchedEpoch >= 0 ? divergence(partition, wanted) : null,
      abortedTransactions: this.#parameters.isolation === FetchIsolation.TRANSACTION_COMMITTED ? [] : null,
      preferredReadReplica: this.#preferredReplica(partition, wanted),
      records: NO_RECORDS,
      sizeBytes: 0,
    }
  }
}

/** To one who is not among the replicas, as far as this broker knows: its metadata may be newer. */
function strangerCode(wanted: FetchPartition): number {
  return wanted.currentLeaderEpoch >= 0 ? ErrorCode.UNKNOWN_LEADER_EPOCH : ErrorCode.NOT_LEADER_OR_FOLLOWER
}

/** An error tells no offsets. */
function fail(answer: FetchedPartition, errorCode: number): void {
  answer.errorCode = errorCode
  answer.highWatermark = -1
  answer.lastStableOffset = -1
  answer.logStartOffset = -1
  answer.abortedTransactions = null
}

function failure(wanted: FetchPartition, errorCode: number): FetchedPartition {
  return {
    wanted,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: null,
    abortedTransactions: null,
    preferredReadReplica: -1,
    records: NO_RECORDS,
    sizeBytes: 0,
  }
}

function upperOffsetOf(partition: Partition, isolation: FetchIsolation): Offset {
  const { log } = partition
  if (isolation === FetchIsolation.LOG_END) return log.writtenOffset
  return isolation === FetchIsolation.HIGH_WATERMARK ? log.highWatermark : log.lastStableOffset
}

/** Where the reader's (epoch, offset) left this log, or null if they agree. Epoch -1 means that the epoch is unknown here. */
function divergence(partition: Partition, wanted: FetchPartition): { epoch: number; endOffset: Offset } | null {
  const { log } = partition
  // Nearly always, of each partition several times a fetch.
  if (wanted.lastFetchedEpoch === log.latestEpoch && wanted.fetchOffset <= log.logEndOffset) return null
  const end = log.endOffsetForEpoch(wanted.lastFetchedEpoch)
  if (end.epoch < 0 || end.endOffset < 0) return { epoch: -1, endOffset: -1 }
  return end.epoch < wanted.lastFetchedEpoch || end.endOffset < wanted.fetchOffset ? end : null
}
