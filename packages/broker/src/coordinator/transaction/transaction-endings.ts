import type { ProducerId, Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Logger } from '../../logger.ts'
import type { ProducerIdSource } from '../../metadata/producer-id-source.ts'
import type { CoordinatorRuntime, ReadOutcome } from '../runtime/coordinator-runtime.ts'
import type { EndingTransactions } from './ending-transactions.ts'
import type { MarkerSender } from './marker-sender.ts'
import type { TransactionCounters } from './transaction-counters.ts'
import type { TransactionMachine } from './transaction-machine.ts'
import {
  NEEDS_PRODUCER_ID,
  type TransactionEvent,
  type TransactionNotice,
  type TransactionStep,
} from './transaction-protocol.ts'
import type { TransactionRecord } from './transaction-record.ts'
import { type TransactionState, TransactionStatus } from './transaction-state.ts'

export type TransactionRuntime = CoordinatorRuntime<
  TransactionMachine,
  TransactionRecord,
  TransactionEvent,
  TransactionNotice
>

/** A decision whose end could not be written is written again after so long. */
const COMPLETION_RETRY_MS = 100

/** What endings need of their coordinator. */
export interface TransactionEndingsDeps {
  readonly markers: MarkerSender
  /** Producers whose next transaction waits for the end of the last one. */
  readonly waiters: EndingTransactions
  readonly runtime: TransactionRuntime
  readonly timers: Timers
  readonly logger: Logger
  readonly counters: TransactionCounters
  readonly producerIds: Pick<ProducerIdSource, 'next'>
  /** Level of `transaction.version` now. */
  version(): number
  partitionFor(transactionalId: string): number | null
  /** Takes one step of the machine that an id belongs to. */
  write<Response>(
    transactionalId: string,
    compute: (machine: TransactionMachine, step: TransactionStep) => Response,
  ): Promise<ReadOutcome<Response>>
}

/**
 * How transactions come to their end without anybody's asking: what is decided reaches all partitions, by {@link MarkerSender}, and is then
 * complete; what took too long is aborted.
 */
export class TransactionEndings {
  readonly #deps: TransactionEndingsDeps
  /** Leader epochs of the partitions that this node leads. */
  readonly #epochs = new Map<number, number>()

  constructor(deps: TransactionEndingsDeps) {
    this.#deps = deps
  }

  /** This node leads the partition from now on: what an earlier leadership has begun is begun anew once it is loaded. */
  onElection(partition: number, leaderEpoch: number): void {
    this.#deps.markers.cancel(partition)
    this.#epochs.set(partition, leaderEpoch)
  }

  /** This node does not lead the partition any more: its markers are the next coordinator's. */
  onResignation(partition: number): void {
    this.#epochs.delete(partition)
    this.#deps.markers.cancel(partition)
  }

  /** What a machine has noticed. */
  onNotice(notice: TransactionNotice): void {
    if (notice.type === 'decided') this.#sendMarkers(notice.state)
    else for (const state of notice.transactions) void this.#abortTimedOut(state)
  }

  #sendMarkers(state: TransactionState): void {
    const { transactionalId, producerId, producerEpoch, partitions, clientVersion } = state
    const statePartition = this.#deps.partitionFor(transactionalId)
    const coordinatorEpoch = statePartition === null ? undefined : this.#epochs.get(statePartition)
    if (statePartition === null || coordinatorEpoch === undefined) return
    const decided = {
      ...{ transactionalId, statePartition, partitions, producerId, producerEpoch, coordinatorEpoch },
      commit: state.status === TransactionStatus.PREPARE_COMMIT,
      transactionVersion: clientVersion,
    }
    this.#deps.markers.send(decided, () => this.#complete(statePartition, coordinatorEpoch, state))
  }

  /** All partitions have been told. Tried until it is written, or until the partition has another coordinator, which does all of it again. */
  #complete(partition: number, coordinatorEpoch: number, state: TransactionState): void {
    if (this.#epochs.get(partition) !== coordinatorEpoch) return
    this.#deps.runtime.write(
      partition,
      (machine, step) => machine.complete(state.transactionalId, state, step),
      (errorCode) => {
        const isOver = errorCode === ErrorCode.NOT_COORDINATOR || errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        if (errorCode === ErrorCode.NONE || isOver) return
        this.#deps.timers.setTimer(COMPLETION_RETRY_MS, () => this.#complete(partition, coordinatorEpoch, state))
      },
    )
    // Whoever waits sees the newest state: the next transaction begins in the same batch.
    this.#deps.waiters.release(state.transactionalId)
  }

  async #abortTimedOut(state: TransactionState): Promise<void> {
    const { transactionalId, producerId, producerEpoch, timeoutMs } = state
    let freshProducerId: ProducerId | null = null
    for (;;) {
      const version = this.#deps.version()
      const { errorCode, response } = await this.#deps.write(transactionalId, (machine, step) =>
        machine.abortTimedOut(state, version, freshProducerId, step),
      )
      if (response === NEEDS_PRODUCER_ID) {
        const next = await this.#deps.producerIds.next()
        // The next round finds it again.
        if ('errorCode' in next) return
        freshProducerId = next.producerId
        continue
      }
      const fields = { transactionalId, producerId, producerEpoch, timeoutMs }
      if (response === true) {
        this.#deps.counters.timedOutTransactions++
        this.#deps.logger.info('a transaction ran out of time and is aborted', fields)
      } else if (errorCode !== ErrorCode.NONE && errorCode !== ErrorCode.NOT_COORDINATOR) {
        this.#deps.logger.warn('a transaction ran out of time and could not be aborted yet', { ...fields, errorCode })
      }
      return
    }
  }
}
