import type { ProducerId } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Log } from '@millrace/storage'

/** Most producers of one partition whose verification is under way or was never used. Beyond, the oldest is forgotten and begins anew. */
const MAX_PRODUCERS = 2_000
/** Verifications of one producer id at the same time: the one at hand, late requests of epochs before, and those of whoever says he is it. */
const MAX_PER_PRODUCER = 8

/** What this needs of a log. */
export type VerifiedLog = Pick<Log, 'currentProducers'>

/**
 * That a producer may begin its transaction in a partition was asked of the coordinator, or is being asked. Good for one epoch, until the
 * transaction has begun here or a marker has come: an answer from before cannot let anything in after it (KIP-890).
 */
export class Verification {
  readonly transactionalId: string
  readonly producerId: ProducerId
  readonly producerEpoch: number
  /** The partition is added to the transaction by this broker, for a client that goes by the rules of KIP-890. */
  readonly isEnlisted: boolean
  /** Lowest sequence that came while it was under way: later ones must not overtake it. */
  lowestSequence: number
  /** There were too many, and it was forgotten: whoever waited for it comes again. */
  isEvicted = false

  constructor(
    transactionalId: string,
    producerId: ProducerId,
    producerEpoch: number,
    isEnlisted: boolean,
    lowestSequence: number,
  ) {
    this.transactionalId = transactionalId
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.isEnlisted = isEnlisted
    this.lowestSequence = lowestSequence
  }
}

/**
 * The verifications of one led partition (`replication-and-transactions.md`, 9): no record of a transaction is appended before its
 * coordinator knows of the partition, or the transaction would hang here when it ends (T4).
 */
export class TransactionVerifications {
  /** By producer, oldest first; of each, oldest first. Null: there has been none. */
  #byProducer: Map<ProducerId, Verification[]> | null = null

  /**
   * Before a batch of a transaction: the verification to be had from the coordinator; null: the transaction is open here, and nothing has to
   * be asked; a number: the error that refuses it at once.
   */
  begin(
    log: VerifiedLog,
    transactionalId: string,
    producerId: ProducerId,
    producerEpoch: number,
    baseSequence: number,
    isEnlisted: boolean,
  ): Verification | number | null {
    const entry = log.currentProducers().entry(producerId)
    if (entry !== null && producerEpoch < entry.producerEpoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    if (isOpen(log, producerId, producerEpoch)) return null
    this.#byProducer ??= new Map()
    const known = this.#byProducer.get(producerId) ?? []
    // Whoever names another id must not share it: his refusal would be the producer's.
    const existing = known.find(
      (verification) =>
        verification.producerEpoch === producerEpoch && verification.transactionalId === transactionalId,
    )
    if (existing !== undefined) {
      existing.lowestSequence = Math.min(existing.lowestSequence, baseSequence)
      return existing
    }
    const verification = new Verification(transactionalId, producerId, producerEpoch, isEnlisted, baseSequence)
    known.push(verification)
    if (known.length > MAX_PER_PRODUCER) known.shift()!.isEvicted = true
    this.#byProducer.set(producerId, known)
    if (this.#byProducer.size > MAX_PRODUCERS) this.#evictOldest()
    return verification
  }

  /**
   * Why a batch of a transaction cannot be appended, or 0. `baseSequence` -1: it has none, as offsets of groups. `isRequired`:
   * `transaction.partition.verification.enable`.
   */
  refusal(
    log: VerifiedLog,
    producerId: ProducerId,
    producerEpoch: number,
    baseSequence: number,
    verification: Verification | null,
    isRequired: boolean,
  ): number {
    if (isOpen(log, producerId, producerEpoch)) return ErrorCode.NONE
    const entry = log.currentProducers().entry(producerId)
    if (entry !== null && producerEpoch < entry.producerEpoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    const isVerified =
      verification !== null &&
      verification.producerEpoch === producerEpoch &&
      this.#byProducer?.get(producerId)?.includes(verification) === true
    const current = isVerified ? verification : undefined
    if (verification?.isEvicted === true) return ErrorCode.NOT_ENOUGH_REPLICAS
    // Whom this broker adds to transactions itself has no other proof than that.
    if ((isRequired || verification?.isEnlisted === true) && !isVerified) return ErrorCode.INVALID_TXN_STATE
    if (current === undefined || baseSequence < 0) return ErrorCode.NONE
    const isUnknown = entry === null || entry.batchCount === 0
    if (current.isEnlisted && isUnknown && baseSequence !== 0) return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    return baseSequence > current.lowestSequence ? ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER : ErrorCode.NONE
  }

  /** The coordinator says no, and will say so again. */
  onRefused(verification: Verification): void {
    if (this.#byProducer !== null) this.#keep(verification.producerId, (known) => known !== verification)
  }

  /** The transaction is open here. */
  onAppended(producerId: ProducerId, producerEpoch: number): void {
    if (this.#byProducer !== null) this.#keep(producerId, (known) => known.producerEpoch > producerEpoch)
  }

  /** A transaction was ended here. With KIP-890 the marker has the epoch with which the next one begins, which may be under way. */
  onMarker(producerId: ProducerId, producerEpoch: number): void {
    if (this.#byProducer === null) return
    this.#keep(
      producerId,
      (known) => known.producerEpoch > producerEpoch || (known.producerEpoch === producerEpoch && known.isEnlisted),
    )
  }

  #evictOldest(): void {
    const [[producerId, known]] = this.#byProducer! as unknown as [[ProducerId, Verification[]]]
    for (const verification of known) verification.isEvicted = true
    this.#byProducer!.delete(producerId)
  }

  /** The leadership is over, and with it all that was asked for. */
  clear(): void {
    this.#byProducer = null
  }

  #keep(producerId: ProducerId, isKept: (verification: Verification) => boolean): void {
    const known = this.#byProducer!.get(producerId)
    if (known === undefined) return
    const kept = known.filter(isKept)
    if (kept.length === 0) this.#byProducer!.delete(producerId)
    else this.#byProducer!.set(producerId, kept)
  }
}

function isOpen(log: VerifiedLog, producerId: ProducerId, producerEpoch: number): boolean {
  const entry = log.currentProducers().entry(producerId)
  return entry !== null && entry.currentTransactionFirstOffset >= 0 && entry.producerEpoch === producerEpoch
}
