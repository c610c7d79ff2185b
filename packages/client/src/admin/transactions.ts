import {
  createDescribeProducersRequest,
  createDescribeProducersRequestTopicRequest,
  createDescribeTransactionsRequest,
  createListTransactionsRequest,
  createWritableTxnMarker,
  createWritableTxnMarkerTopic,
  createWriteTxnMarkersRequest,
  type DescribeTransactionsResponseTransactionState,
  describeProducersApi,
  describeTransactionsApi,
  ErrorCode,
  listTransactionsApi,
  writeTxnMarkersApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { comparePartitions, groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A transactional id in a list. */
export interface TransactionListing {
  transactionalId: string
  producerId: bigint
  /** `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit` or `CompleteAbort`. */
  state: string
  /** Node id. */
  coordinator: number
}

/** Which transactional ids to list; all conditions must hold. */
export interface TransactionFilter {
  states?: readonly string[]
  producerIds?: readonly bigint[]
  /** Whose transaction is older than this; brokers before Kafka 3.8 do not know it. */
  longerThanMs?: number
  /** Regular expression of RE2 that the whole id must match; brokers before Kafka 4.1 do not know it. */
  pattern?: string
}

/** What a transactional id is at. */
export interface TransactionDescription {
  transactionalId: string
  state: string
  producerId: bigint
  producerEpoch: number
  timeoutMs: number
  /** When its transaction began, null if it has none. */
  startMs: number | null
  /** Node id. */
  coordinator: number
  partitions: TopicPartition[]
}

/** A producer that a partition remembers. */
export interface ProducerDescription {
  producerId: bigint
  producerEpoch: number
  lastSequence: number
  lastTimestampMs: number
  /** Of the last transaction that was ended here; null: none was. */
  coordinatorEpoch: number | null
  /** Where its open transaction begins; null: it has none. */
  transactionStartOffset: bigint | null
}

/** An open transaction in a partition that is to be aborted there, whatever its coordinator says. */
export interface TransactionToAbort extends TopicPartition {
  producerId: bigint
  producerEpoch: number
  /** As the partition tells it; null: of none. */
  coordinatorEpoch: number | null
}

const DURATION_FROM_VERSION = 1
const PATTERN_FROM_VERSION = 2

/** Transactional ids of all brokers, by id. Each broker knows those that it coordinates; one that cannot be reached makes the call fail. */
export async function listTransactions(
  core: ClientCore,
  options: AdminCallOptions & TransactionFilter,
): Promise<TransactionListing[]> {
  const { states = [], producerIds = [], longerThanMs, pattern } = options
  const message = createListTransactionsRequest({
    stateFilters: [...states],
    producerIdFilters: [...producerIds],
    ...(longerThanMs === undefined ? {} : { durationFilter: longerThanMs }),
    ...(pattern === undefined ? {} : { transactionalIdPattern: pattern }),
  })
  const minVersion =
    pattern !== undefined ? PATTERN_FROM_VERSION : longerThanMs !== undefined ? DURATION_FROM_VERSION : 0
  const answers = await askAllBrokers(core, 'listing transactions', options, async (nodeId, timeoutMs) => {
    const limits = { timeoutMs, minVersion }
    const { response } = await core.requestNode(nodeId, 'main', listTransactionsApi, message, limits)
    if (response.errorCode !== ErrorCode.NONE) throw new ProtocolError(response.errorCode)
    return response.transactionStates.map(({ transactionalId, producerId, transactionState }) => ({
      transactionalId,
      producerId: BigInt(producerId),
      state: transactionState,
      coordinator: nodeId,
    }))
  })
  return answers.flat().sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1))
}

/** What transactional ids are at, in the order asked for. One that nobody knows has the error TRANSACTIONAL_ID_NOT_FOUND. */
export async function describeTransactions(
  core: ClientCore,
  transactionalIds: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<TransactionDescription>[]> {
  const message = createDescribeTransactionsRequest({ transactionalIds: [...transactionalIds] })
  return core.retrying('describing transactions', limitOf(core, options), async () => {
    // Every id has one coordinator; the others say that they are none of it.
    const answers = await askAllBrokers(core, 'describing transactions', options, async (nodeId, timeoutMs) => {
      const { response } = await core.requestNode(nodeId, 'main', describeTransactionsApi, message, { timeoutMs })
      return response.transactionStates.map((state) => ({ nodeId, state }))
    })
    return transactionalIds.map((transactionalId) => {
      const told = answers.flat().filter(({ state }) => state.transactionalId === transactionalId)
      const found = told.find(({ state }) => state.errorCode !== ErrorCode.NOT_COORDINATOR)
      const errorCode = found?.state.errorCode ?? ErrorCode.NOT_COORDINATOR
      const error = errorOf(errorCode, { subject: `transactional id ${transactionalId}` })
      if (error?.retriable === true) throw error
      return describedTransaction(transactionalId, found, error)
    })
  })
}

function describedTransaction(
  transactionalId: string,
  found: { nodeId: number; state: DescribeTransactionsResponseTransactionState } | undefined,
  error: ProtocolError | null,
): Outcome<TransactionDescription> {
  const { nodeId: coordinator = -1, state } = found ?? {}
  const startMs = Number(state?.transactionStartTimeMs ?? -1)
  return {
    transactionalId,
    state: state?.transactionState ?? '',
    producerId: BigInt(state?.producerId ?? -1),
    producerEpoch: state?.producerEpoch ?? -1,
    timeoutMs: state?.transactionTimeoutMs ?? -1,
    startMs: startMs < 0 ? null : startMs,
    coordinator,
    partitions: (state?.topics ?? [])
      .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
      .sort(comparePartitions),
    error,
  }
}

/** The producers that the leaders of partitions remember. */
export async function describeProducers(
  core: ClientCore,
  partitions: readonly TopicPartition[],
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition & { producers: ProducerDescription[] }>[]> {
  const answers = await onLeaders(
    core,
    'describing producers',
    partitions,
    options,
    async (leaderId, list, timeoutMs) => {
      const topics = [...groupByTopic(list)].map(([name, partitionIndexes]) =>
        createDescribeProducersRequestTopicRequest({ name, partitionIndexes }),
      )
      const message = createDescribeProducersRequest({ topics })
      const { response } = await core.requestNode(leaderId, 'main', describeProducersApi, message, { timeoutMs })
      return response.topics.flatMap(({ name: topic, partitions: found }) =>
        found.map(({ partitionIndex: partition, errorCode, activeProducers }) => ({
          topic,
          partition,
          errorCode,
          producers: activeProducers.map((producer) => ({
            producerId: BigInt(producer.producerId),
            producerEpoch: producer.producerEpoch,
            lastSequence: producer.lastSequence,
            lastTimestampMs: Number(producer.lastTimestamp),
            coordinatorEpoch: producer.coordinatorEpoch < 0 ? null : producer.coordinatorEpoch,
            transactionStartOffset:
              Number(producer.currentTxnStartOffset) < 0 ? null : BigInt(producer.currentTxnStartOffset),
          })),
        })),
      )
    },
  )
  return answers.sort(comparePartitions).map(({ topic, partition, errorCode, producers }) => ({
    ...{ topic, partition, producers },
    error: errorOf(errorCode, { topic, partition }),
  }))
}

/** Writes the marker of an abort to a partition. For transactions that nobody will end any more. */
export async function abortTransaction(
  core: ClientCore,
  { topic, partition, producerId, producerEpoch, coordinatorEpoch }: TransactionToAbort,
  options: AdminCallOptions,
): Promise<void> {
  const partitions = [{ topic, partition }]
  const [answer] = await onLeaders(
    core,
    'aborting a transaction',
    partitions,
    options,
    async (leaderId, _, timeoutMs) => {
      const topics = [createWritableTxnMarkerTopic({ name: topic, partitionIndexes: [partition] })]
      const marker = createWritableTxnMarker({
        ...{ producerId, producerEpoch, topics },
        transactionResult: false,
        coordinatorEpoch: coordinatorEpoch ?? 0,
      })
      const message = createWriteTxnMarkersRequest({ markers: [marker] })
      const { response } = await core.requestNode(leaderId, 'main', writeTxnMarkersApi, message, { timeoutMs })
      const errorCode = response.markers[0]?.topics[0]?.partitions[0]?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      return [{ topic, partition, errorCode }]
    },
  )
  const error = errorOf(answer!.errorCode, { topic, partition })
  if (error !== null) throw error
}

/** Calls every broker that the metadata names, each for itself again while that may help. */
async function askAllBrokers<T>(
  core: ClientCore,
  what: string,
  options: AdminCallOptions,
  ask: (nodeId: number, timeoutMs: number) => Promise<T>,
): Promise<T[]> {
  const timeoutMs = limitOf(core, options)
  await core.ensureMetadata(timeoutMs)
  const nodes = [...core.metadata.view.brokers.keys()]
  return Promise.all(
    nodes.map((nodeId) =>
      core.retrying(`${what} of broker ${nodeId}`, timeoutMs, (leftMs) =>
        ask(nodeId, Math.min(leftMs, core.options.requestTimeoutMs)),
      ),
    ),
  )
}

interface Answered extends TopicPartition {
  errorCode: number
}

/** Asks the leader of each partition, and again where leaders move. */
async function onLeaders<T extends Answered>(
  core: ClientCore,
  what: string,
  partitions: readonly TopicPartition[],
  options: AdminCallOptions,
  ask: (leaderId: number, partitions: readonly TopicPartition[], timeoutMs: number) => Promise<T[]>,
): Promise<T[]> {
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  const timeoutMs = limitOf(core, options)
  for (const topic of topics) core.metadata.addTopic(topic)
  try {
    await Promise.all(topics.map((topic) => core.metadata.awaitTopic(topic, timeoutMs)))
    return await core.retrying(what, timeoutMs, async (leftMs) => {
      const limitMs = Math.min(leftMs, core.options.requestTimeoutMs)
      const byLeader = Map.groupBy(partitions, ({ topic, partition }) => {
        const known = core.metadata.partition(topic, partition)
        if (known === null) throw new ProtocolError(ErrorCode.INVALID_PARTITIONS, { topic, partition })
        if (known.leaderId === -1) throw new ProtocolError(ErrorCode.LEADER_NOT_AVAILABLE, { topic, partition })
        return known.leaderId
      })
      const answers = await Promise.all([...byLeader].map(([leaderId, list]) => ask(leaderId, list, limitMs)))
      const all = answers.flat()
      for (const { topic, partition, errorCode } of all) {
        const error = errorOf(errorCode, { topic, partition })
        if (error?.retriable !== true) continue
        core.metadata.requestUpdate()
        throw error
      }
      return all
    })
  } finally {
    for (const topic of topics) core.metadata.removeTopic(topic)
  }
}
