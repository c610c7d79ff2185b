import {
  createPartitionsSchema,
  createTransactionLogKey,
  createTransactionLogValue,
  decodeTransactionLogKey,
  decodeTransactionLogValue,
  encodeTransactionLogKey,
  encodeTransactionLogValue,
  MalformedMessageError,
  Reader,
  type TransactionLogValue,
} from '@millrace/protocol'
import type { EncodedRecord, RecordCodec } from '../runtime/coordinator.ts'
import { KEY_VERSION, RecordWriter } from '../runtime/record-writer.ts'
import type { TransactionRecord } from './transaction-record.ts'
import {
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  type PartitionsByTopic,
  partitionsByTopic,
  type TransactionState,
  TransactionStatus,
} from './transaction-state.ts'

/** The one type of records, which stands as a version before the key. */
const TRANSACTION_LOG = 0
/** Of values: without tagged fields, which every Kafka reads, and with them, from level 1 of `transaction.version` on. */
const PLAIN_VERSION = 0
const TAGGED_VERSION = 1

/** The records of `__transaction_state` byte for byte as Kafka 4.3 writes them, so that its tools read them too. */
export class TransactionRecordCodec implements RecordCodec<TransactionRecord> {
  readonly #writer = new RecordWriter()
  readonly #level: () => number

  /** `level` gives the finalized level of `transaction.version`, which says what every node of the cluster can read. */
  constructor(level: () => number) {
    this.#level = level
  }

  encode({ transactionalId, value }: TransactionRecord): EncodedRecord {
    const keyWriter = this.#writer.begin(TRANSACTION_LOG)
    encodeTransactionLogKey(keyWriter, createTransactionLogKey({ transactionalId }), KEY_VERSION)
    const key = this.#writer.take()
    if (value === null) return { key, value: null }
    const version = this.#level() >= 1 ? TAGGED_VERSION : PLAIN_VERSION
    encodeTransactionLogValue(this.#writer.begin(version), loggedValueOf(value, version), version)
    return { key, value: this.#writer.take() }
  }

  decode(key: Buffer, value: Buffer | null): TransactionRecord | null {
    const reader = new Reader(key)
    if (reader.int16() !== TRANSACTION_LOG) return null
    const { transactionalId } = decodeTransactionLogKey(reader, KEY_VERSION)
    if (value === null) return { transactionalId, value: null }
    const values = new Reader(value)
    return { transactionalId, value: stateOf(transactionalId, decodeTransactionLogValue(values, values.int16())) }
  }
}

function loggedValueOf(state: TransactionState, version: number): TransactionLogValue {
  const { status, partitions } = state
  return createTransactionLogValue({
    producerId: state.producerId,
    producerEpoch: state.producerEpoch,
    transactionTimeoutMs: state.timeoutMs,
    transactionStatus: status,
    transactionPartitions:
      status === TransactionStatus.EMPTY
        ? null
        : Array.from(partitions, ([topic, numbers]) => createPartitionsSchema({ topic, partitionIds: [...numbers] })),
    transactionLastUpdateTimestampMs: state.lastUpdateMs,
    transactionStartTimestampMs: state.startMs,
    ...(version >= TAGGED_VERSION
      ? {
          previousProducerId: state.previousProducerId,
          nextProducerId: state.nextProducerId,
          clientTransactionVersion: state.clientVersion,
        }
      : {}),
  })
}

/** What no coordinator writes is refused here: what passes, the state machine can work with. */
function stateOf(transactionalId: string, value: TransactionLogValue): TransactionState {
  const { producerEpoch, transactionStatus } = value
  const status = transactionStatus as TransactionStatus
  if (transactionStatus < TransactionStatus.EMPTY || transactionStatus > TransactionStatus.COMPLETE_ABORT) {
    throw new MalformedMessageError(`a transaction in state ${transactionStatus}, which is never stored`)
  }
  const producerId = safeNumber(value.producerId)
  if (producerId < 0 || producerEpoch < 0) {
    throw new MalformedMessageError(`a transaction of producer ${producerId}, epoch ${producerEpoch}`)
  }
  return {
    transactionalId,
    producerId,
    previousProducerId: safeNumber(value.previousProducerId),
    nextProducerId: safeNumber(value.nextProducerId),
    producerEpoch,
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    timeoutMs: value.transactionTimeoutMs,
    status,
    partitions: status === TransactionStatus.EMPTY ? NO_PARTITIONS : partitionsOf(value),
    startMs: safeNumber(value.transactionStartTimestampMs),
    lastUpdateMs: safeNumber(value.transactionLastUpdateTimestampMs),
    clientVersion: value.clientTransactionVersion,
    owner: null,
  }
}

function partitionsOf({ transactionPartitions }: TransactionLogValue): PartitionsByTopic {
  const topics = transactionPartitions ?? []
  return partitionsByTopic(topics.map(({ topic, partitionIds }) => ({ name: topic, partitions: partitionIds })))
}

/** Ids and times that a coordinator gives are far below 2^53. */
function safeNumber(value: number | bigint): number {
  if (typeof value === 'number') return value
  throw new MalformedMessageError(`${value} is no id or time that a coordinator has given`)
}
