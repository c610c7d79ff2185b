import { BaseError, type LeaderEpoch, type Timer, type Timers } from '@millrace/base'
import type { ControllerPort, PartitionImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { Partition } from '../partition/partition.ts'

/** When the controller is asked again for what it refused, or did not answer. */
const RETRY_MS = 500
const REQUEST_TIMEOUT_MS = 5_000
/** Replicas in one request: some 60 kB. The rest follows. */
const MAX_BATCH = 1_000

export interface ReplicaRepairsOptions {
  readonly brokerId: number
  readonly timers: Timers
  readonly logger: Logger
  /** -1: not registered yet. */
  brokerEpoch(): number
  /** The metadata applied here knows this life of the broker: leaders and controller count nothing any more that an earlier one told. */
  isRegistered(): boolean
}

interface DamagedReplica {
  /** Newest epoch in which this life may have told a leader that it has what is damaged; null before the life is known. */
  toldEpoch: LeaderEpoch | null
  /** The controller was asked to withdraw it in this epoch, and has not refused. */
  askedEpoch: LeaderEpoch
  /** Nothing committed rests on it, as the metadata says now. */
  isOut: boolean
  /** It was told that nobody can take its place. */
  isAlone: boolean
}

/**
 * Replicas here with damage in their records, until they have them again from others (`reliability.md`, 5.2). Each stops fetching at
 * once, so that it joins no in-sync set, and asks the controller to withdraw it. Once the metadata says that it is neither in sync nor
 * eligible, in an epoch in which it has told no leader anything, it counts for nothing that is committed: only then it fetches again,
 * from where the damage begins, and its log is cut there when its leader has answered: that one counts no more on what goes, and has it.
 * Where no other replica in sync could lead, it stays as it is, refuses to be read where it is damaged, and asks again: what it alone has
 * is not thrown away.
 */
export class ReplicaRepairs {
  readonly #options: ReplicaRepairsOptions
  readonly #damaged = new Map<Partition, DamagedReplica>()
  #port: Pick<ControllerPort, 'request'> | null = null
  #isSending = false
  #retry: Timer | null = null
  #isClosed = false
  /** How often damaged records were thrown away to be fetched again. */
  repairedCount = 0

  constructor(options: ReplicaRepairsOptions) {
    this.#options = options
  }

  onControllerPort(port: Pick<ControllerPort, 'request'>): void {
    this.#port = port
    this.#ask()
  }

  /** Replicas with damage that others have not made good yet. */
  get damagedCount(): number {
    return this.#damaged.size
  }

  /** Damage was found, at the start or by a read. */
  onDamaged(partition: Partition): void {
    if (this.#isClosed || this.#damaged.has(partition)) return
    const [first] = damageOf(partition)
    partition.isDamaged = first !== undefined
    if (first === undefined) return
    const toldEpoch = this.#options.isRegistered() ? partition.leaderEpoch : null
    this.#damaged.set(partition, { toldEpoch, askedEpoch: -1, isOut: false, isAlone: false })
    this.#options.logger.error('records of a replica are damaged', { ...nameOf(partition), ...first })
    this.#ask()
  }

  /** What the metadata says of the partition has changed. Before it is followed in a new epoch. */
  onImage(partition: Partition, image: PartitionImage): void {
    if (partition.isDamaged) this.onDamaged(partition)
    const damaged = this.#damaged.get(partition)
    if (damaged === undefined || !this.#options.isRegistered()) return
    damaged.toldEpoch ??= partition.leaderEpoch
    damaged.isOut = this.#isOut(partition, damaged, image)
    if (damaged.isOut) this.#release(partition, damaged)
    else partition.repair = null
    this.#ask()
  }

  /** It is here no more. */
  onDropped(partition: Partition): void {
    this.#damaged.delete(partition)
  }

  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    this.#damaged.clear()
  }

  /**
   * Whether nothing committed rests on this replica, nor can before it has fetched again. Of an epoch in which it has told its leader
   * nothing no request of that leader can make it a member.
   */
  #isOut(partition: Partition, { toldEpoch }: DamagedReplica, { isr, elr, leaderEpoch }: PartitionImage): boolean {
    const { brokerId } = this.#options
    if (toldEpoch === null || leaderEpoch <= toldEpoch || partition.leaderEpoch !== leaderEpoch) return false
    return partition.isFollower && !isr.includes(brokerId) && !elr.includes(brokerId)
  }

  /** From now on the replica is fetched again from where its damage begins; what it has from there on goes with the first answer. */
  #release(partition: Partition, damaged: DamagedReplica): void {
    const [first] = damageOf(partition)
    const { repair, leaderEpoch, log } = partition
    const { logEndOffset } = log
    const fromOffset = first === undefined ? logEndOffset : repairStart(partition, first.startOffset)
    if (repair !== null && fromOffset < repair.fromOffset) {
      // Of what lies between the leader was told that it is here.
      Object.assign(damaged, { toldEpoch: leaderEpoch, isOut: false })
      partition.repair = null
      return
    }
    if (repair !== null) return
    partition.repair = { fromOffset, onCut: () => this.#onCut(partition, logEndOffset) }
  }

  #onCut(partition: Partition, endBefore: number): void {
    this.#forget(partition)
    this.repairedCount++
    const { log, leader: leaderId } = partition
    const fields = { ...nameOf(partition), from: log.logEndOffset, to: endBefore, leaderId }
    this.#options.logger.warn('damaged records of a replica are fetched again from its leader', fields)
    // What is left of the damage is another one, which its leader has not been spared.
    this.onDamaged(partition)
  }

  #forget(partition: Partition): void {
    this.#damaged.delete(partition)
    partition.isDamaged = false
    partition.repair = null
  }

  #ask(): void {
    const port = this.#port
    const { brokerId, timers } = this.#options
    if (this.#isClosed || this.#isSending || port === null || this.#damaged.size === 0) return
    this.#retry ??= timers.setTimer(RETRY_MS, () => this.#askAgain())
    if (!this.#options.isRegistered()) return
    const asked = this.#takeBatch()
    if (asked.length === 0) return
    this.#isSending = true
    const partitions = asked.map(({ topicId, partition, leaderEpoch }) => ({ topicId, partition, leaderEpoch }))
    const request = { brokerId, brokerEpoch: this.#options.brokerEpoch(), partitions }
    port.request('withdrawReplicas', request, REQUEST_TIMEOUT_MS).then(
      (answer) => this.#onAnswer(asked, 'code' in answer ? [] : answer.partitions),
      (error: unknown) => {
        // Whether it was done is not known; asked again, the controller says so. Anything but an operating error is a bug.
        if (!(error instanceof BaseError)) throw error
        this.#onAnswer(asked, [])
      },
    )
  }

  /** Those whose place another one could take, as far as this node knows. */
  #takeBatch(): Partition[] {
    const batch: Partition[] = []
    for (const [partition, damaged] of this.#damaged) {
      if (batch.length === MAX_BATCH) break
      const { leader, leaderEpoch, isrCount, isLeader, log } = partition
      if (damaged.isOut || damaged.askedEpoch === leaderEpoch || log.failed) continue
      if (leader < 0 || (isLeader && isrCount < 2)) continue
      damaged.askedEpoch = leaderEpoch
      batch.push(partition)
    }
    return batch
  }

  #onAnswer(
    asked: readonly Partition[],
    answers: readonly { readonly topicId: string; readonly partition: number; readonly errorCode: number }[],
  ): void {
    this.#isSending = false
    for (const partition of asked) {
      const damaged = this.#damaged.get(partition)
      if (damaged === undefined) continue
      const answer = answers.find((one) => one.topicId === partition.topicId && one.partition === partition.partition)
      // Else the metadata will say what became of it.
      if (answer?.errorCode === ErrorCode.NONE) continue
      damaged.askedEpoch = -1
      if (answer?.errorCode !== ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE || damaged.isAlone) continue
      damaged.isAlone = true
      this.#options.logger.error('no other replica in sync can take the place of a damaged one', nameOf(partition))
    }
  }

  #askAgain(): void {
    this.#retry = null
    for (const [partition, damaged] of this.#damaged) {
      // The log may have come to begin behind it.
      if (damageOf(partition).length === 0) this.#forget(partition)
      // Or more of it have been found.
      else if (damaged.isOut) this.#release(partition, damaged)
    }
    this.#ask()
  }
}

/**
 * From where a log with damage at `offset` is fetched again. A log that is or was compacted: from its beginning. What it has in front of
 * the damage may be an older state than its leader's: records are in it whose tombstones, behind the damage, the leader has removed.
 */
function repairStart({ log }: Partition, offset: number): number {
  return log.config.cleanupCompact || log.cleanedOffset > 0 ? log.logStartOffset : offset
}

/** What of its damage still lies in the log, in order. */
function damageOf({ log }: Partition): { startOffset: number; endOffset: number }[] {
  return log.faultyRanges
    .map(({ startOffset, endOffset }) => ({ startOffset: Math.max(startOffset, log.logStartOffset), endOffset }))
    .filter(({ startOffset, endOffset }) => startOffset < endOffset && startOffset < log.logEndOffset)
    .sort((left, right) => left.startOffset - right.startOffset)
}

function nameOf({ topic, partition }: Partition): { topic: string; partition: number } {
  return { topic, partition }
}
