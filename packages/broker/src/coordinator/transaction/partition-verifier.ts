import type { Clock, Timers } from '@millrace/base'
import { isActiveBroker, type MetadataImage } from '@millrace/consensus'
import {
  type AddPartitionsToTxnResult,
  type AddPartitionsToTxnTransaction,
  createAddPartitionsToTxnTopic,
  createAddPartitionsToTxnTransaction,
  ErrorCode,
} from '@millrace/protocol'
import { TRANSACTION_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import type { AskCoordinator } from './peer-requests.ts'
import type { TransactionCounters } from './transaction-counters.ts'
import type { ProducerIdentity } from './transaction-protocol.ts'
import type { PartitionsByTopic } from './transaction-state.ts'

/** Transactions that one request to another coordinator asks about. */
const TRANSACTIONS_PER_REQUEST = 500
/** And partitions, by about as many: far below what a request may name (`element-limits.ts`). */
const PARTITIONS_PER_REQUEST = 10_000

/** A coordinator elsewhere is asked again after so long, then twice as long: markers take a few milliseconds as a rule. */
const FIRST_PAUSE_MS = 2

/** What a client of this version of Produce or TxnOffsetCommit understands (KIP-890). */
export interface ClientAbilities {
  /** The partition is added to the transaction for it; else it has done so itself. */
  readonly isEnlisted: boolean
  /** It knows TRANSACTION_ABORTABLE. */
  readonly knowsAbortable: boolean
}

/** A producer that wants to write to partitions of this node as part of a transaction. */
export interface VerificationInput extends ProducerIdentity {
  readonly transactionalId: string
  readonly partitions: PartitionsByTopic
  readonly client: ClientAbilities
}

/** Error code of a partition, NONE where it may be written to. */
export type Verdicts = (topic: string, partition: number) => number

export interface PartitionVerifierPorts {
  readonly nodeId: number
  readonly clock: Clock
  readonly timers: Timers
  readonly counters: TransactionCounters
  image(): MetadataImage
  /** Partition of `__transaction_state`, null while there are no coordinators. */
  partitionFor(transactionalId: string): number | null
  /** Asks the coordinator on this node. */
  askHere(transactions: readonly AddPartitionsToTxnTransaction[]): Promise<AddPartitionsToTxnResult[]>
  readonly ask: AskCoordinator
  /** See `TransactionCoordinator.whenEnded`. */
  whenEnded(identity: ProducerIdentity & { readonly transactionalId: string }, timeoutMs: number): Promise<void> | null
  /** As they are now. */
  settings(): {
    readonly requestTimeoutMs: number
    readonly addPartitionsToTxnRetryBackoffMs: number
    readonly addPartitionsToTxnRetryBackoffMaxMs: number
  }
}

interface Question {
  readonly transaction: AddPartitionsToTxnTransaction
  resolve(verdicts: Verdicts): void
}

/** What is to be asked of one broker about ids of one partition of `__transaction_state`: one request is under way at a time. */
interface Line {
  readonly key: string
  readonly brokerId: number
  readonly statePartition: number
  queue: Question[]
}

/**
 * Asks the coordinators of transactions on behalf of the partitions that this node leads: no record of a transaction is appended of which
 * its coordinator does not know (T4, KIP-890). What many producers ask of one coordinator goes together; a partition of
 * `__transaction_state` that cannot commit holds up its own ids only.
 */
export class PartitionVerifier {
  readonly #ports: PartitionVerifierPorts
  readonly #lines = new Map<string, Line>()

  constructor(ports: PartitionVerifierPorts) {
    this.#ports = ports
  }

  /**
   * Resolves to what producers are told of each partition; never rejects. A partition to be added is tried again for a moment while the
   * transaction before is still being ended: the producer would come back much later.
   */
  async verify(input: VerificationInput): Promise<Verdicts> {
    const { clock, timers, counters, settings } = this.#ports
    const startMs = clock.monotonicMs()
    const { addPartitionsToTxnRetryBackoffMs, addPartitionsToTxnRetryBackoffMaxMs, requestTimeoutMs } = settings()
    const limitMs = Math.min(addPartitionsToTxnRetryBackoffMaxMs, requestTimeoutMs)
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs *= 2) {
      const verdicts = await this.#ask(input, limitMs - (clock.monotonicMs() - startMs))
      const codes = codesOf(input.partitions, verdicts)
      const isLate = clock.monotonicMs() - startMs >= limitMs
      if (!input.client.isEnlisted || isLate || !codes.includes(ErrorCode.CONCURRENT_TRANSACTIONS)) {
        counters.verifications++
        counters.verificationMs += clock.monotonicMs() - startMs
        counters.verificationFailures += codes.filter((code) => code !== ErrorCode.NONE).length
        return (topic, partition) => producerErrorOf(verdicts(topic, partition), input.client)
      }
      const delayMs = Math.min(pauseMs, addPartitionsToTxnRetryBackoffMs)
      await new Promise<void>((resolve) => timers.setTimer(delayMs, resolve))
    }
  }

  /** `leftMs`: how long the answer may wait for the end of the transaction before. */
  #ask(input: VerificationInput, leftMs: number): Promise<Verdicts> {
    const { nodeId, image, partitionFor } = this.#ports
    const { transactionalId, producerId, producerEpoch, partitions, client } = input
    const statePartition = partitionFor(transactionalId)
    const metadata = image()
    const leader =
      statePartition === null
        ? -1
        : (metadata.topics.get(TRANSACTION_STATE_TOPIC)?.partitions[statePartition]?.leader ?? -1)
    if (statePartition === null || leader < 0 || !isActiveBroker(metadata, leader))
      return Promise.resolve(() => ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const transaction = createAddPartitionsToTxnTransaction({
      ...{ transactionalId, producerId, producerEpoch },
      verifyOnly: !client.isEnlisted,
      topics: Array.from(partitions, ([name, numbers]) =>
        createAddPartitionsToTxnTopic({ name, partitions: [...numbers] }),
      ),
    })
    if (leader === nodeId) return this.#askHere(input, transaction, leftMs)
    return new Promise((resolve) => this.#enqueue(leader, statePartition, { transaction, resolve }))
  }

  /** Nothing else waits with it, so it is asked as soon as a yes can be had. */
  async #askHere(
    input: VerificationInput,
    transaction: AddPartitionsToTxnTransaction,
    leftMs: number,
  ): Promise<Verdicts> {
    const ended = input.client.isEnlisted && leftMs > 0 ? this.#ports.whenEnded(input, leftMs) : null
    if (ended !== null) await ended
    const [result] = await this.#ports.askHere([transaction])
    return verdictsOf(result)
  }

  #enqueue(brokerId: number, statePartition: number, question: Question): void {
    const key = `${brokerId}/${statePartition}`
    const line = this.#lines.get(key)
    if (line !== undefined) {
      line.queue.push(question)
      return
    }
    const opened: Line = { key, brokerId, statePartition, queue: [question] }
    this.#lines.set(key, opened)
    void this.#drain(opened)
  }

  /** Never rejects. */
  async #drain(line: Line): Promise<void> {
    // What else comes in this turn goes with it.
    await Promise.resolve()
    while (line.queue.length > 0) await this.#askThere(line, takeDistinct(line))
    this.#lines.delete(line.key)
  }

  async #askThere({ brokerId, statePartition }: Line, questions: readonly Question[]): Promise<void> {
    const transactions = questions.map(({ transaction }) => transaction)
    try {
      const { errorCode, results } = await this.#ports.ask(
        brokerId,
        statePartition,
        transactions,
        this.#ports.settings().requestTimeoutMs,
      )
      const byId = new Map(results.map((result) => [result.transactionalId, result]))
      for (const { transaction, resolve } of questions) {
        if (errorCode === ErrorCode.NONE) resolve(verdictsOf(byId.get(transaction.transactionalId)))
        else resolve(() => refusalOf(errorCode))
      }
    } catch (error) {
      // What became of it nobody knows: the producer comes again.
      void error
      for (const { resolve } of questions) resolve(() => ErrorCode.NETWORK_EXCEPTION)
    }
  }
}

/** The next questions, no two of one id: they are told apart by it. */
function takeDistinct(line: Line): Question[] {
  const taken = new Map<string, Question>()
  const left: Question[] = []
  let partitionCount = 0
  for (const question of line.queue) {
    const { transactionalId, topics } = question.transaction
    const hasRoom = taken.size < TRANSACTIONS_PER_REQUEST && partitionCount < PARTITIONS_PER_REQUEST
    if (hasRoom && !taken.has(transactionalId)) {
      taken.set(transactionalId, question)
      for (const { partitions } of topics) partitionCount += partitions.length
    } else {
      left.push(question)
    }
  }
  line.queue = left
  return [...taken.values()]
}

function verdictsOf(result: AddPartitionsToTxnResult | undefined): Verdicts {
  const codes = new Map<string, number>()
  for (const { name, resultsByPartition } of result?.topicResults ?? []) {
    for (const { partitionIndex, partitionErrorCode } of resultsByPartition) {
      codes.set(`${partitionIndex}/${name}`, partitionErrorCode)
    }
  }
  // What the coordinator did not answer for was not verified.
  return (topic, partition) => codes.get(`${partition}/${topic}`) ?? ErrorCode.NETWORK_EXCEPTION
}

function codesOf(partitions: PartitionsByTopic, verdicts: Verdicts): number[] {
  const codes: number[] = []
  for (const [topic, numbers] of partitions) for (const partition of numbers) codes.push(verdicts(topic, partition))
  return codes
}

/** That this broker may not ask is none of the producer's business. */
function refusalOf(errorCode: number): number {
  return errorCode === ErrorCode.CLUSTER_AUTHORIZATION_FAILED ? ErrorCode.INVALID_TXN_STATE : errorCode
}

/** What the coordinator says, in words that a producer knows. */
function producerErrorOf(errorCode: number, { knowsAbortable }: ClientAbilities): number {
  if (errorCode === ErrorCode.PRODUCER_FENCED) return ErrorCode.INVALID_PRODUCER_EPOCH
  if (errorCode === ErrorCode.TRANSACTION_ABORTABLE && !knowsAbortable) return ErrorCode.INVALID_TXN_STATE
  return errorCode
}
