import { ErrorCode } from '@millrace/protocol'
import { TransactionVerifications, type Verification } from '../../partition/transaction-verifications.ts'
import type { Marker } from '../transaction/marker.ts'

/** A record of a transaction, by what its producer calls it. */
interface SimulatedRecord {
  readonly name: string
  readonly producerId: number
  readonly producerEpoch: number
  fate: 'open' | 'committed' | 'aborted'
}

interface SimulatedEntry {
  producerEpoch: number
  coordinatorEpoch: number
  lastSequence: number
  currentTransactionFirstOffset: number
  batchCount: number
}

/**
 * A partition of records as transactions see it: a plain list, and Kafka's rules of `replication-and-transactions.md`, 8 to 10.5, written
 * down once more. It lets in by {@link TransactionVerifications}, as a real one.
 */
export class SimulatedDataPartition {
  readonly records: SimulatedRecord[] = []
  readonly verifications = new TransactionVerifications()
  readonly #entries = new Map<number, SimulatedEntry>()
  /** What verifications ask of a log. */
  readonly log = {
    currentProducers: () => ({ entry: (producerId: number) => this.#entries.get(producerId) ?? null }),
  } as unknown as Parameters<TransactionVerifications['begin']>[0]

  get hasOpenTransaction(): boolean {
    return this.records.some(({ fate }) => fate === 'open')
  }

  append(
    name: string,
    producerId: number,
    producerEpoch: number,
    sequence: number,
    verification: Verification | null,
  ): number {
    const entry = this.#entries.get(producerId)
    const isRepeated = entry?.producerEpoch === producerEpoch && sequence <= entry.lastSequence
    if (isRepeated) return ErrorCode.NONE
    const refusal = this.verifications.refusal(this.log, producerId, producerEpoch, sequence, verification, true)
    if (refusal !== ErrorCode.NONE) return refusal
    const expected = entry?.producerEpoch === producerEpoch ? entry.lastSequence + 1 : 0
    if (entry !== undefined && sequence !== expected) return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    const open = entry === undefined || entry.currentTransactionFirstOffset < 0
    this.#entries.set(producerId, {
      producerEpoch,
      coordinatorEpoch: entry?.coordinatorEpoch ?? -1,
      lastSequence: sequence,
      currentTransactionFirstOffset: open ? this.records.length : entry.currentTransactionFirstOffset,
      batchCount: 1,
    })
    this.records.push({ name, producerId, producerEpoch, fate: 'open' })
    this.verifications.onAppended(producerId, producerEpoch)
    return ErrorCode.NONE
  }

  writeMarker({ producerId, producerEpoch, coordinatorEpoch, commit, transactionVersion }: Marker): number {
    const entry = this.#entries.get(producerId)
    const isOpen = entry !== undefined && entry.currentTransactionFirstOffset >= 0
    if (entry !== undefined) {
      const isStrict = transactionVersion >= 2
      const isOld = producerEpoch < entry.producerEpoch || (isStrict && producerEpoch === entry.producerEpoch && isOpen)
      if (isOld && producerEpoch !== 32_767) return ErrorCode.INVALID_PRODUCER_EPOCH
      if (coordinatorEpoch < entry.coordinatorEpoch) return ErrorCode.TRANSACTION_COORDINATOR_FENCED
    }
    for (const record of this.records) {
      if (record.producerId === producerId && record.fate === 'open') record.fate = commit ? 'committed' : 'aborted'
    }
    const keeps = entry?.producerEpoch === producerEpoch
    this.#entries.set(producerId, {
      producerEpoch,
      coordinatorEpoch,
      lastSequence: keeps ? entry!.lastSequence : -1,
      currentTransactionFirstOffset: -1,
      batchCount: keeps ? 1 : 0,
    })
    this.verifications.onMarker(producerId, producerEpoch)
    return ErrorCode.NONE
  }
}
