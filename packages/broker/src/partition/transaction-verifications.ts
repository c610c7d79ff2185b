import type { ProducerId } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Log } from '@millrace/storage'

/** Most producers of one partition whose verification is under way or was never used. Beyond, the oldest is forgotten and begins anew. */
const MAX_PRODUCERS = 2_000
/** Epochs of one producer that are verified at the same time: the one at hand, and late requests of those before. */
const MAX_EPOCHS = 3

/** What this needs of a log. */
export type VerifiedLog = Pick<Log, 'currentProducers'>

/**
 * That a producer may begin its transaction in a partition was asked of the coordinator, or is being asked. Good for one epoch, until the
 * transaction has begun here or a marker has come: an answer from before cannot let anything in after it (KIP-890).
 */
export class Verification {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  /** The partition is added to the transaction by this broker, for a client that goes by the rules of KIP-890. */
  readonly isEnlisted: boolean
  /** Lowest sequence that came while it was under way: later ones must not overtake it. */
  lowestSequence: number

  constructor(producerId: ProducerId, producerEpoch: number, isEnlisted: boolean, lowestSequence: number) {
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
  /** By producer, oldest first; of each the epochs, ascending. Null: there has been none. */
  #byProducer: Map<ProducerId, Verification[]> | null = null

  /**
   * Before a batch of a transaction: the verification to be had from the coordinator; null: the transaction is open here, and nothing has to
   * be asked; a number: the error that refuses it at once.
   */
  begin(
    log: VerifiedLog,
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
    const existing = known.find((verification) => verification.producerEpoch === producerEpoch)
    if (existing !== undefined) {
      existing.lowestSequence = Math.min(existing.lowestSequence, baseSequence)
      return existing
    }
    const verification = new Verification(producerId, producerEpoch, isEnlisted, baseSequence)
    known.push(verification)
    known.sort((left, right) => left.producerEpoch - right.producerEpoch)
    if (known.length > MAX_EPOCHS) known.shift()
    this.#byProducer.set(producerId, known)
    if (this.#byProducer.size > MAX_PRODUCERS) this.#byProducer.delete(this.#byProducer.keys().next().value!)
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
    const current = this.#byProducer?.get(producerId)?.find((known) => known.producerEpoch === producerEpoch)
    const isVerified = verification !== null && verification === current
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
