import type { Timer, Timers } from '@millrace/base'
import { isActiveBroker, type MetadataImage } from '@millrace/consensus'
import { ErrorCode, errorInfo } from '@millrace/protocol'
import type { NextTurn } from '../../handlers/next-turn.ts'
import type { Logger } from '../../logger.ts'
import type { DecidedTransaction, WriteMarker } from './marker.ts'
import type { TransactionCounters } from './transaction-counters.ts'

/** Markers that are written here in one turn. */
const LOCAL_PER_TURN = 100
/** Most markers of one request to another broker. */
const MARKERS_PER_REQUEST = 500
/** A marker that could not be written is tried again after so long, then twice as long, up to the most; all the sooner with new metadata. */
const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 2_000

/** One marker on its way. */
export interface MarkerWork {
  readonly transaction: PendingTransaction
  readonly topic: string
  readonly partition: number
  retryCount: number
}

/** A transaction whose partitions have not all been told yet. */
class PendingTransaction {
  readonly decided: DecidedTransaction
  readonly onDone: () => void
  left = 0
  /** Its coordinator is another one now, or it was begun again. */
  isCancelled = false

  constructor(decided: DecidedTransaction, onDone: () => void) {
    this.decided = decided
    this.onDone = onDone
  }
}

/**
 * Takes markers to another broker: resolves to their error codes, in order; rejects if nobody knows what became of them. `isSlow`: over a
 * connection of its own, so that others do not wait for what waits there.
 */
export type SendMarkers = (
  brokerId: number,
  works: readonly MarkerWork[],
  isSlow: boolean,
) => Promise<readonly number[]>

export interface MarkerSenderPorts {
  readonly nodeId: number
  readonly timers: Timers
  readonly logger: Logger
  readonly nextTurn: NextTurn
  readonly counters: TransactionCounters
  /** The newest metadata. */
  image(): MetadataImage
  readonly writeLocally: WriteMarker
  readonly sendTo: SendMarkers
}

/** What goes one request after the other to one broker. */
interface Lane {
  readonly brokerId: number
  readonly isSlow: boolean
  queue: MarkerWork[]
  isBusy: boolean
}

/**
 * Tells all partitions of decided transactions how they ended, for as long as it takes (T5). Each broker has a queue of its own, and a
 * second one for partitions that did not take their last marker: no partition and no broker that cannot answer holds up others. Markers
 * may be repeated; partitions take them again.
 */
export class MarkerSender {
  readonly #ports: MarkerSenderPorts
  /** By transactional id. */
  readonly #transactions = new Map<string, PendingTransaction>()
  #local: MarkerWork[] = []
  #isWritingLocally = false
  readonly #lanes = new Map<string, Lane>()
  /** Partitions that did not take their last marker. */
  readonly #slow = new Set<string>()
  /** By the pause after which they are tried again: whoever joins others waits less. */
  readonly #waiting = new Map<number, { readonly works: MarkerWork[]; readonly timer: Timer }>()
  #isClosed = false

  constructor(ports: MarkerSenderPorts) {
    this.#ports = ports
  }

  /** Transactions whose markers are not all written. */
  get transactionCount(): number {
    return this.#transactions.size
  }

  /** Markers that are not written. */
  get markerCount(): number {
    let count = 0
    for (const { left } of this.#transactions.values()) count += left
    return count
  }

  /** `onDone` is called once, when every partition has its marker, unless the transaction is cancelled or sent anew before. */
  send(decided: DecidedTransaction, onDone: () => void): void {
    const { transactionalId, partitions } = decided
    const before = this.#transactions.get(transactionalId)
    if (before !== undefined) before.isCancelled = true
    const transaction = new PendingTransaction(decided, onDone)
    const works: MarkerWork[] = []
    for (const [topic, numbers] of partitions) {
      for (const partition of numbers) works.push({ transaction, topic, partition, retryCount: 0 })
    }
    transaction.left = works.length
    this.#transactions.set(transactionalId, transaction)
    // A transaction without any partition is over as it is decided.
    if (works.length === 0) this.#finish(transaction)
    for (const work of works) this.#route(work)
  }

  /** This node does not coordinate the ids of a partition of `__transaction_state` any more: the next coordinator begins anew. */
  cancel(statePartition: number): void {
    for (const [transactionalId, transaction] of this.#transactions) {
      if (transaction.decided.statePartition !== statePartition) continue
      transaction.isCancelled = true
      this.#transactions.delete(transactionalId)
    }
  }

  /** The metadata changed: what waits may have a leader now. */
  onMetadata(): void {
    if (this.#waiting.size === 0) return
    for (const work of this.#takeWaiting()) this.#route(work)
  }

  close(): void {
    this.#isClosed = true
    for (const transaction of this.#transactions.values()) transaction.isCancelled = true
    this.#transactions.clear()
    this.#takeWaiting()
  }

  #takeWaiting(): MarkerWork[] {
    const works: MarkerWork[] = []
    for (const { works: waiting, timer } of this.#waiting.values()) {
      timer.cancel()
      for (const work of waiting) works.push(work)
    }
    this.#waiting.clear()
    return works
  }

  #route(work: MarkerWork): void {
    if (!this.#isWanted(work)) return
    const { nodeId, image } = this.#ports
    const metadata = image()
    const partition = metadata.topics.get(work.topic)?.partitions[work.partition]
    if (partition === undefined) {
      // Deleted, and with it what the transaction had there.
      this.#settle(work)
      return
    }
    const { leader } = partition
    if (leader === nodeId) this.#writeLocally(work)
    else if (leader >= 0 && isActiveBroker(metadata, leader)) this.#enqueue(leader, work)
    else this.#retry(work)
  }

  /** The partition of one that is not sent any more need not stay slow for it: if it is, the next to come finds out. */
  #isWanted(work: MarkerWork): boolean {
    if (work.transaction.isCancelled) this.#slow.delete(keyOf(work))
    return !work.transaction.isCancelled
  }

  #writeLocally(work: MarkerWork): void {
    this.#local.push(work)
    if (!this.#isWritingLocally) void this.#drainLocal()
  }

  /** Never rejects. */
  async #drainLocal(): Promise<void> {
    this.#isWritingLocally = true
    // Not inside of the call that told of the decision: it may stand in the middle of a partition's work.
    await Promise.resolve()
    for (;;) {
      const works = this.#local.splice(0, LOCAL_PER_TURN)
      for (const work of works) {
        if (!this.#isWanted(work)) continue
        const { transaction, topic, partition } = work
        void this.#ports.writeLocally(transaction.decided, topic, partition).then((code) => this.#onResult(work, code))
      }
      if (this.#local.length === 0) break
      await this.#ports.nextTurn()
    }
    this.#isWritingLocally = false
  }

  #enqueue(brokerId: number, work: MarkerWork): void {
    const isSlow = this.#slow.has(keyOf(work))
    const key = `${brokerId}/${isSlow}`
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = { brokerId, isSlow, queue: [], isBusy: false }
      this.#lanes.set(key, lane)
    }
    lane.queue.push(work)
    if (!lane.isBusy) void this.#drain(lane)
  }

  /** Never rejects. */
  async #drain(lane: Lane): Promise<void> {
    lane.isBusy = true
    // What else is decided in this turn goes with it.
    await Promise.resolve()
    while (lane.queue.length > 0 && !this.#isClosed) {
      const works = lane.queue.splice(0, MARKERS_PER_REQUEST).filter((work) => this.#isWanted(work))
      if (works.length === 0) continue
      await this.#send(lane, works)
    }
    lane.isBusy = false
    if (lane.queue.length === 0) this.#lanes.delete(`${lane.brokerId}/${lane.isSlow}`)
  }

  async #send({ brokerId, isSlow }: Lane, works: readonly MarkerWork[]): Promise<void> {
    try {
      const codes = await this.#ports.sendTo(brokerId, works, isSlow)
      for (const [slot, work] of works.entries()) this.#onResult(work, codes[slot]!)
    } catch (error) {
      this.#ports.logger.info('markers of transactions could not be sent and are sent again', {
        brokerId,
        markers: works.length,
        error: error instanceof Error ? error.message : String(error),
      })
      for (const work of works) this.#retry(work)
    }
  }

  #onResult(work: MarkerWork, errorCode: number): void {
    const { counters } = this.#ports
    switch (errorCode) {
      case ErrorCode.NONE:
        counters.markersWritten++
        this.#settle(work)
        return
      // A partition that cannot hold transactions has nothing of this one.
      case ErrorCode.INVALID_TOPIC_EXCEPTION:
      case ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT:
      case ErrorCode.UNSUPPORTED_VERSION:
        this.#settle(work)
        return
      // It has seen a later epoch of the producer, which can only be after this transaction was ended there by others.
      case ErrorCode.INVALID_PRODUCER_EPOCH:
        this.#giveUp(work, errorCode)
        this.#settle(work)
        return
      case ErrorCode.TRANSACTION_COORDINATOR_FENCED:
        this.#slow.delete(keyOf(work))
        this.#giveUp(work, errorCode)
        this.#abandon(work.transaction)
        return
      default:
        this.#retry(work, errorCode)
    }
  }

  #giveUp({ transaction, topic, partition }: MarkerWork, errorCode: number): void {
    if (transaction.isCancelled) return
    const { transactionalId, producerId, producerEpoch, coordinatorEpoch, commit } = transaction.decided
    this.#ports.counters.markersGivenUp++
    this.#ports.logger.warn('a partition will not take the marker of a transaction', {
      ...{ transactionalId, producerId, producerEpoch, coordinatorEpoch, commit, topic, partition },
      error: errorInfo(errorCode).name,
    })
  }

  /** A later coordinator ends the transaction. */
  #abandon(transaction: PendingTransaction): void {
    if (transaction.isCancelled) return
    transaction.isCancelled = true
    this.#transactions.delete(transaction.decided.transactionalId)
  }

  #settle(work: MarkerWork): void {
    this.#slow.delete(keyOf(work))
    const { transaction } = work
    if (transaction.isCancelled) return
    transaction.left--
    if (transaction.left === 0) this.#finish(transaction)
  }

  #finish(transaction: PendingTransaction): void {
    transaction.isCancelled = true
    this.#transactions.delete(transaction.decided.transactionalId)
    transaction.onDone()
  }

  #retry(work: MarkerWork, errorCode: number = ErrorCode.NONE): void {
    if (!this.#isWanted(work) || this.#isClosed) return
    this.#ports.counters.markersRetried++
    const { topic, partition, retryCount } = work
    if (retryCount === 0) {
      const { transactionalId } = work.transaction.decided
      const error = errorCode === ErrorCode.NONE ? 'no leader, or no answer' : errorInfo(errorCode).name
      this.#ports.logger.debug('a partition did not take the marker of a transaction yet', {
        ...{ transactionalId, topic, partition, error },
      })
    }
    this.#slow.add(keyOf(work))
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(retryCount, 10), MAX_RETRY_MS)
    work.retryCount++
    const together = this.#waiting.get(delayMs)
    if (together !== undefined) {
      together.works.push(work)
      return
    }
    const works = [work]
    const timer = this.#ports.timers.setTimer(delayMs, () => {
      this.#waiting.delete(delayMs)
      for (const waiting of works) this.#route(waiting)
    })
    this.#waiting.set(delayMs, { works, timer })
  }
}

function keyOf({ topic, partition }: MarkerWork): string {
  return `${topic}/${partition}`
}
