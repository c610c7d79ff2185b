import {
  BATCH_HEADER_BYTES,
  baseSequenceOf,
  ErrorCode,
  errorInfo,
  isTransactionalBatch,
  magicOf,
  producerEpochOf,
  producerIdOf,
} from '@millrace/protocol'
import type { ClientAbilities, PartitionVerifier, Verdicts } from '../coordinator/transaction/partition-verifier.ts'
import { partitionsByTopic } from '../coordinator/transaction/transaction-state.ts'
import type { Partition } from '../partition/partition.ts'
import type { Verification } from '../partition/transaction-verifications.ts'
import type { ProduceRequestView } from './produce-request.ts'

const FIRST_ABORTABLE_VERSION = 11
const FIRST_ENLISTED_VERSION = 12

/** Whether the entry at a position holds a batch that says that it is part of a transaction. Hot path. */
export function isTransactionalAt(view: ProduceRequestView, buffer: Buffer, at: number): boolean {
  const start = view.recordsStart[at]!
  if (start < 0 || view.recordsEnd[at]! - start < BATCH_HEADER_BYTES || magicOf(buffer, start) !== 2) return false
  return isTransactionalBatch(buffer, start)
}

/** What of a Produce request has to be asked of the coordinator before it is appended: the first batches of a transaction in each partition. */
export class ProduceVerification {
  readonly #transactionalId: string
  readonly #client: ClientAbilities
  #producerId = -1
  #producerEpoch = -1
  /** Another producer's batches are in the same request, which belongs to one. */
  isMixed = false
  readonly #asked = new Map<number, { partition: Partition; verification: Verification }>()
  #verdicts: Verdicts | null = null

  constructor(transactionalId: string, apiVersion: number) {
    this.#transactionalId = transactionalId
    this.#client = {
      isEnlisted: apiVersion >= FIRST_ENLISTED_VERSION,
      knowsAbortable: apiVersion >= FIRST_ABORTABLE_VERSION,
    }
  }

  /** Nothing has to be asked. */
  get isEmpty(): boolean {
    return this.#asked.size === 0
  }

  /** Whether clients of this version are asked about: others the broker may be told to believe. */
  isNeeded(isRequired: boolean): boolean {
    return this.#client.isEnlisted || isRequired
  }

  /** Notes whose batch an entry is. */
  noteProducer(buffer: Buffer, start: number): void {
    const [producerId, producerEpoch] = [producerIdOf(buffer, start), producerEpochOf(buffer, start)]
    if (this.#producerId >= 0 && (producerId !== this.#producerId || producerEpoch !== this.#producerEpoch)) {
      this.isMixed = true
    }
    this.#producerId = producerId
    this.#producerEpoch = producerEpoch
  }

  /** An entry that may be appended but for this. What the partition refuses at once it refuses again when it is appended. */
  begin(partition: Partition, buffer: Buffer, start: number, at: number): void {
    const { verifications, log } = partition
    const [producerId, producerEpoch] = [producerIdOf(buffer, start), producerEpochOf(buffer, start)]
    const { isEnlisted } = this.#client
    const begun = verifications.begin(
      ...([log, this.#transactionalId, producerId, producerEpoch, baseSequenceOf(buffer, start), isEnlisted] as const),
    )
    if (begun !== null && typeof begun !== 'number') this.#asked.set(at, { partition, verification: begun })
  }

  /** Never rejects. */
  async ask(verifier: Pick<PartitionVerifier, 'verify'>): Promise<void> {
    const named = Array.from(this.#asked.values(), ({ partition: { topic, partition } }) => ({
      name: topic,
      partitions: [partition],
    }))
    this.#verdicts = await verifier.verify({
      transactionalId: this.#transactionalId,
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      partitions: partitionsByTopic(named),
      client: this.#client,
    })
    for (const { partition, verification } of this.#asked.values()) {
      if (isFinal(this.#verdicts(partition.topic, partition.partition))) partition.verifications.onRefused(verification)
    }
  }

  verificationOf(at: number): Verification | null {
    return this.#asked.get(at)?.verification ?? null
  }

  /** Why an entry is not let in, in words that its producer knows; 0: it is. `text`: what to say besides. */
  refusal(at: number): { readonly errorCode: number; readonly text: string | null } {
    const asked = this.#asked.get(at)
    if (asked === undefined || this.#verdicts === null) return LET_IN
    const { topic, partition } = asked.partition
    const errorCode = this.#verdicts(topic, partition)
    if (errorCode === ErrorCode.NONE) return LET_IN
    if (!isTranslated(errorCode, this.#client)) return { errorCode, text: null }
    const { name } = errorInfo(errorCode)
    const text = `the partition could not be verified to be part of the transaction: ${name}`
    return { errorCode: ErrorCode.NOT_ENOUGH_REPLICAS, text }
  }
}

const LET_IN = { errorCode: ErrorCode.NONE, text: null }

/** The coordinator has said no. Others may be told otherwise a moment later. */
function isFinal(errorCode: number): boolean {
  return errorCode !== ErrorCode.NONE && !errorInfo(errorCode).retriable
}

/**
 * Of the errors that pass, older producers know none that has to do with coordinators; after this one all of them send the same batch
 * again, without asking for new metadata first.
 */
function isTranslated(errorCode: number, { isEnlisted }: ClientAbilities): boolean {
  switch (errorCode) {
    case ErrorCode.NETWORK_EXCEPTION:
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.NOT_COORDINATOR:
      return true
    case ErrorCode.CONCURRENT_TRANSACTIONS:
      return !isEnlisted
    default:
      return false
  }
}
