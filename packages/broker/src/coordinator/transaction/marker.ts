import type { ProducerId } from '@millrace/base'
import type { PartitionsByTopic } from './transaction-state.ts'

/** What a partition is told of the end of a producer's transaction. */
export interface Marker {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  readonly commit: boolean
  /** Epoch of the coordinator's partition: a partition takes nothing of a coordinator that was replaced. */
  readonly coordinatorEpoch: number
  /** Level of `transaction.version`, which says how strictly the producer's epoch is checked (KIP-890). */
  readonly transactionVersion: number
}

/** A decided transaction, all of whose partitions are to be told. */
export interface DecidedTransaction extends Marker {
  readonly transactionalId: string
  /** Of `__transaction_state`. */
  readonly statePartition: number
  readonly partitions: PartitionsByTopic
}

/** Appends a marker to a partition that this node leads. Resolves to the error code, NONE once the marker is committed; never rejects. */
export type WriteMarker = (marker: Marker, topic: string, partition: number) => Promise<number>
