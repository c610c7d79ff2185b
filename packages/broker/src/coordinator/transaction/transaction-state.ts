import type { ProducerId, TimestampMs } from '@millrace/base'

/** Kafka's numbers of what a transactional id is at, as `__transaction_state` has them. */
export const TransactionStatus = {
  EMPTY: 0,
  ONGOING: 1,
  PREPARE_COMMIT: 2,
  PREPARE_ABORT: 3,
  COMPLETE_COMMIT: 4,
  COMPLETE_ABORT: 5,
} as const
export type TransactionStatus = (typeof TransactionStatus)[keyof typeof TransactionStatus]

const NAMES = ['Empty', 'Ongoing', 'PrepareCommit', 'PrepareAbort', 'CompleteCommit', 'CompleteAbort'] as const
/** Names that a filter may give although no id is ever shown with them: Kafka has them for what happens between two records. */
const PASSING_NAMES: readonly string[] = ['Dead', 'PrepareEpochFence']

/** The last epoch that is given to a producer: the one after it is kept for the coordinator, to fence that producer. */
export const LAST_PRODUCER_EPOCH = 32_766
export const MAX_PRODUCER_EPOCH = 32_767
export const NO_PRODUCER_ID = -1
export const NO_PRODUCER_EPOCH = -1

/** From this level of `transaction.version` on the epoch changes with each end of a transaction (KIP-890). */
export const EPOCH_BUMP_VERSION = 2

/** Numbers of partitions by topic: ascending, each once. Topics without partitions are left out. */
export type PartitionsByTopic = ReadonlyMap<string, readonly number[]>

/** A transactional id as its coordinator knows it. Never changed: a transition makes another one. */
export interface TransactionState {
  readonly transactionalId: string
  readonly producerId: ProducerId
  /** Before the last record of this id; another one where the epochs had run out. -1: none. */
  readonly previousProducerId: ProducerId
  /** Taken over when the transaction at hand has ended, since the epochs have run out; -1: none. */
  readonly nextProducerId: ProducerId
  readonly producerEpoch: number
  /** The one before, with which a call that was answered may come again; -1: none. Not stored: a new coordinator does not know it. */
  readonly lastProducerEpoch: number
  readonly timeoutMs: number
  readonly status: TransactionStatus
  /** Of the open transaction, or of the one whose markers are being written. */
  readonly partitions: PartitionsByTopic
  /** -1: no transaction has begun. */
  readonly startMs: TimestampMs
  readonly lastUpdateMs: TimestampMs
  /** Level of `transaction.version` by which the transaction at hand goes. */
  readonly clientVersion: number
  /** Whose share of the node's ids it takes; not stored. Null: nobody's. */
  readonly owner: string | null
}

export const NO_PARTITIONS: PartitionsByTopic = new Map()

export function statusName(status: TransactionStatus): string {
  return NAMES[status]
}

/** The status by its name in Kafka; null: no id is ever shown with it; undefined: there is no such name. */
export function statusOfName(name: string): TransactionStatus | null | undefined {
  const status = (NAMES as readonly string[]).indexOf(name)
  if (status >= 0) return status as TransactionStatus
  return PASSING_NAMES.includes(name) ? null : undefined
}

export function isPrepared(status: TransactionStatus): boolean {
  return status === TransactionStatus.PREPARE_COMMIT || status === TransactionStatus.PREPARE_ABORT
}

export function isEpochExhausted(producerEpoch: number): boolean {
  return producerEpoch >= LAST_PRODUCER_EPOCH
}

/** A transaction without end: the one who decides it stands outside (KIP-939). */
export function isTwoPhase({ timeoutMs }: TransactionState): boolean {
  return timeoutMs === 2 ** 31 - 1
}

export function containsPartitions(all: PartitionsByTopic, some: PartitionsByTopic): boolean {
  for (const [topic, partitions] of some) {
    const known = all.get(topic)
    if (known === undefined || !partitions.every((partition) => known.includes(partition))) return false
  }
  return true
}

export function addPartitionsTo(all: PartitionsByTopic, some: PartitionsByTopic): PartitionsByTopic {
  const union = new Map(all)
  for (const [topic, partitions] of some) union.set(topic, ascending([...(all.get(topic) ?? []), ...partitions]))
  return union
}

/** The set of these partitions. Names and numbers may come again. */
export function partitionsByTopic(
  topics: Iterable<{ readonly name: string; readonly partitions: readonly number[] }>,
): PartitionsByTopic {
  const found = new Map<string, number[]>()
  for (const { name, partitions } of topics) {
    if (partitions.length === 0) continue
    const known = found.get(name)
    if (known === undefined) found.set(name, [...partitions])
    else for (const partition of partitions) known.push(partition)
  }
  for (const [name, partitions] of found) found.set(name, ascending(partitions))
  return found
}

export function countPartitions(partitions: PartitionsByTopic): number {
  let count = 0
  for (const numbers of partitions.values()) count += numbers.length
  return count
}

function ascending(partitions: readonly number[]): number[] {
  return [...new Set(partitions)].sort((left, right) => left - right)
}
