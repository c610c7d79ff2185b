import { DiskError, type LeaderEpoch, type Offset } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { AppendResult } from '@millrace/storage'
import type { Logger } from '../logger.ts'
import type { Partition } from '../partition/partition.ts'

/** Where the leader's log and this one part: the largest epoch not above the follower's, and its end at the leader (KIP-595). */
export interface DivergingEpoch {
  readonly epoch: LeaderEpoch
  readonly endOffset: Offset
}

/** What a leader answered for one partition, without an error. */
export interface FetchedRecords {
  readonly records: Buffer | null
  readonly highWatermark: Offset
  readonly logStartOffset: Offset
}

/**
 * The partition of another leader as it is followed here, in one leader epoch: what to ask for next, and what to do with the answer
 * (`replication-and-transactions.md`, 6.4). It asks from where its log is durable and only once all of that is, so that a fetch is an
 * acknowledgement of everything below (`design.md`, 5). Truncates by leader epochs alone (R8). Knows no network.
 */
export class FollowerReplica {
  readonly partition: Partition
  readonly leaderId: number
  readonly leaderEpoch: LeaderEpoch
  /** As the leader last said, -1 before. */
  leaderHighWatermark: Offset = -1
  /** Not asked for before this time. */
  resumeMs = Number.NEGATIVE_INFINITY
  /** Failures in a row. */
  failureCount = 0
  /** Nothing but other metadata can help. */
  isParked = false
  readonly #logger: Logger
  readonly #appended = new AppendResult()

  constructor(partition: Partition, logger: Logger) {
    this.partition = partition
    this.leaderId = partition.leader
    this.leaderEpoch = partition.leaderEpoch
    this.#logger = logger
    // An epoch that this node led and wrote nothing in has no records, here or elsewhere: what it follows may lie in an earlier one.
    partition.log.truncateTo(partition.log.logEndOffset)
  }

  /** Whether it is still what the metadata wants of this partition. */
  get isCurrent(): boolean {
    const { partition } = this
    return partition.isFollower && partition.leader === this.leaderId && partition.leaderEpoch === this.leaderEpoch
  }

  /** All that it has is certain: there is nothing to wait for before the next fetch. */
  get isSettled(): boolean {
    const { partition } = this
    return !partition.log.failed && partition.certainOffset === partition.log.logEndOffset
  }

  /** What it has may be told to the leader: its disk works, and what is damaged is not counted. */
  get mayFetch(): boolean {
    const { log, isDamaged, repair } = this.partition
    return !log.failed && (!isDamaged || repair !== null)
  }

  /** Of a damaged log, where the damage begins. */
  get fetchOffset(): Offset {
    const { repair, log } = this.partition
    return repair === null ? log.logEndOffset : Math.min(repair.fromOffset, log.logEndOffset)
  }

  /** Epoch of the last record before `fetchOffset`; -1 where the log is empty: then there is nothing to disagree about. */
  get lastFetchedEpoch(): LeaderEpoch {
    const { fetchOffset } = this
    const { log } = this.partition
    return fetchOffset > log.logStartOffset ? log.epochOf(fetchOffset - 1) : -1
  }

  /** Offsets that the leader has committed and this log has not. */
  get lag(): number {
    return Math.max(0, this.leaderHighWatermark - this.partition.log.logEndOffset)
  }

  /**
   * Takes what was fetched from `fetchOffset` on. 0, or the error that kept it from being stored; OFFSET_OUT_OF_RANGE if it does not
   * follow what is here. The buffer is not needed afterwards. `appended`: the caller must have it written and synced.
   */
  onRecords(fetchOffset: Offset, fetched: FetchedRecords): { errorCode: number; appended: boolean } {
    const { partition } = this
    const { log, repair } = partition
    // The leader knows from where on this replica holds nothing, and has given it that: only now it can go.
    if (repair !== null && repair.fromOffset === fetchOffset && !this.#dropFrom(fetchOffset)) {
      return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, appended: false }
    }
    // Cut or emptied meanwhile: it asks anew.
    if (log.logEndOffset !== fetchOffset) return { errorCode: ErrorCode.NONE, appended: false }
    const { records } = fetched
    let appended = false
    if (records !== null && records.length > 0) {
      const errorCode = log.append(records, 0, records.length, 'replication', this.leaderEpoch, this.#appended)
      appended = log.logEndOffset !== fetchOffset
      if (errorCode !== ErrorCode.NONE) return { errorCode, appended }
      // No batch could be made out: asked again at once, the leader would send the same without end.
      if (!appended) return { errorCode: ErrorCode.CORRUPT_MESSAGE, appended }
    }
    this.leaderHighWatermark = fetched.highWatermark
    partition.followHighWatermark(fetched.highWatermark)
    if (fetched.logStartOffset > log.logStartOffset) {
      log.raiseLogStart(fetched.logStartOffset)
      partition.onLogStartRaised()
    }
    return { errorCode: ErrorCode.NONE, appended }
  }

  /** More of it is certain. */
  onDurable(): void {
    if (this.leaderHighWatermark >= 0) this.partition.followHighWatermark(this.leaderHighWatermark)
  }

  /**
   * The leader's log has other records than this one: cuts back to where they may agree. If the leader's epoch is none of this log's,
   * the next fetch tells whether that was enough. False if it has to be tried again later (no descriptor for it).
   */
  onDiverging({ epoch, endOffset }: DivergingEpoch): boolean {
    const { log } = this.partition
    const own = log.endOffsetForEpoch(epoch)
    // Without any epoch at or below the leader's, only the leader's word counts.
    const ownEnd = own.epoch < 0 ? log.logEndOffset : own.endOffset
    // Of an epoch that this log lacks, the leader's end says nothing of where the next lower one ends here.
    const agreed = own.epoch >= 0 && own.epoch < epoch ? ownEnd : Math.min(ownEnd, endOffset)
    return this.truncateTo(Math.max(0, Math.min(agreed, this.fetchOffset)))
  }

  /** OFFSET_OUT_OF_RANGE: the leader's log is elsewhere, perhaps since it lost its head to retention or its tail to an unclean election. */
  onOutOfRange(leaderStart: Offset, leaderEnd: Offset): boolean {
    const { fetchOffset } = this
    if (leaderEnd < fetchOffset) return this.truncateTo(leaderEnd)
    return leaderStart > fetchOffset ? this.#restartAt(leaderStart) : true
  }

  truncateTo(offset: Offset): boolean {
    const { partition } = this
    const { log } = partition
    const { logEndOffset, highWatermark } = log
    const fields = { topic: partition.topic, partition: partition.partition, from: logEndOffset, to: offset }
    // Only an unclean election takes back what was committed.
    if (offset < highWatermark) this.#logger.warn('committed records are cut away', { ...fields, highWatermark })
    else if (offset < logEndOffset) this.#logger.info('log is cut to agree with its leader', fields)
    return this.#cut(() => log.truncateTo(offset))
  }

  #restartAt(offset: Offset): boolean {
    const { partition } = this
    const { topic, log } = partition
    const { logEndOffset } = log
    this.#logger.warn('log is behind its leader’s start and begins anew there', {
      topic,
      partition: partition.partition,
      from: logEndOffset,
      to: offset,
    })
    return this.#cut(() => log.truncateFullyAndStartAt(offset))
  }

  /** False if it has to be tried again later. */
  #dropFrom(offset: Offset): boolean {
    const { log } = this.partition
    const { logStartOffset } = log
    if (offset > logStartOffset) return this.#cut(() => log.truncateTo(offset))
    return this.#cut(() => log.truncateFullyAndStartAt(logStartOffset))
  }

  #cut(cut: () => void): boolean {
    try {
      cut()
    } catch (error) {
      // For want of a descriptor, which others give back, or of space; all else has taken the directory offline.
      if (!(error instanceof DiskError)) throw error
      return false
    }
    // Whoever read here what is gone must hear of it.
    this.partition.onLogStartRaised()
    this.partition.repair?.onCut()
    return true
  }
}
