import {
  type AddOffsetsToTxnRequest,
  type AddOffsetsToTxnResponse,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  ApiKey,
  createAddOffsetsToTxnResponse,
  createAddPartitionsToTxnResponse,
  createAddPartitionsToTxnTransaction,
  createDescribeTransactionsResponse,
  createDescribeTransactionsResponseTransactionState,
  createEndTxnResponse,
  createTxnOffsetCommitResponse,
  createTxnOffsetCommitResponsePartition,
  createTxnOffsetCommitResponseTopic,
  createWritableTxnMarkerPartitionResult,
  createWritableTxnMarkerResult,
  createWritableTxnMarkerTopicResult,
  createWriteTxnMarkersResponse,
  type DescribeTransactionsRequest,
  type DescribeTransactionsResponse,
  type DescribeTransactionsResponseTransactionState,
  type EndTxnRequest,
  type EndTxnResponse,
  ErrorCode,
  type ListTransactionsRequest,
  type ListTransactionsResponse,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitRequestTopic,
  type TxnOffsetCommitResponse,
  type TxnOffsetCommitResponseTopic,
  type WriteTxnMarkersRequest,
  type WriteTxnMarkersResponse,
} from '@millrace/protocol'
import { refusedPartitions, resultOf } from '../../coordinator/transaction/enlist-answers.ts'
import { addRows, andThen, type Guard, narrow, visible } from '../guard.ts'
import { NEEDS } from '../needs.ts'

/** From here on AddPartitionsToTxn is for brokers. */
const FIRST_BROKER_VERSION = 4
const COMMIT_TOPIC_ID_VERSION = 6

/** A client's partitions are added all or none, so that one topic that it may not write to refuses the others. */
export const addPartitionsToTxnGuard: Guard<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse> = (
  request,
  { access, context, image },
  next,
) => {
  const needs = NEEDS[ApiKey.ADD_PARTITIONS_TO_TXN]
  if (context.apiVersion >= FIRST_BROKER_VERSION) {
    if (access.allowsCluster(needs.broker)) return next(request)
    return createAddPartitionsToTxnResponse({ errorCode: needs.broker.errorCode })
  }
  const transaction = createAddPartitionsToTxnTransaction({
    transactionalId: request.v3AndBelowTransactionalId,
    topics: request.v3AndBelowTopics,
  })
  if (!access.allows(needs.transaction, transaction.transactionalId)) {
    const { topicResults } = resultOf(transaction, needs.transaction.errorCode)
    return createAddPartitionsToTxnResponse({ resultsByTopicV3AndBelow: topicResults })
  }
  const allowed = new Set(transaction.topics.map(({ name }) => name).filter((name) => access.allows(needs.topic, name)))
  const refused = refusedPartitions(transaction, image(), false, (topic) => allowed.has(topic))
  if (refused === null) return next(request)
  return createAddPartitionsToTxnResponse({ resultsByTopicV3AndBelow: refused.topicResults })
}

export const addOffsetsToTxnGuard: Guard<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse> = (
  request,
  { access },
  next,
) => {
  const { transaction, group } = NEEDS[ApiKey.ADD_OFFSETS_TO_TXN]
  const refused = (errorCode: number): AddOffsetsToTxnResponse => createAddOffsetsToTxnResponse({ errorCode })
  if (!access.allows(transaction, request.transactionalId)) return refused(transaction.errorCode)
  return access.allows(group, request.groupId) ? next(request) : refused(group.errorCode)
}

export const endTxnGuard: Guard<EndTxnRequest, EndTxnResponse> = (request, { access }, next) => {
  const { transaction } = NEEDS[ApiKey.END_TXN]
  if (access.allows(transaction, request.transactionalId)) return next(request)
  return createEndTxnResponse({ errorCode: transaction.errorCode, producerId: -1, producerEpoch: -1 })
}

/** Of brokers, and of administrators who end a hanging transaction. */
export const writeTxnMarkersGuard: Guard<WriteTxnMarkersRequest, WriteTxnMarkersResponse> = (
  request,
  { access },
  next,
) => {
  const { administrator, broker } = NEEDS[ApiKey.WRITE_TXN_MARKERS]
  if (access.seesCluster(administrator) || access.allowsCluster(broker)) return next(request)
  const { errorCode } = broker
  return createWriteTxnMarkersResponse({
    markers: request.markers.map(({ producerId, topics }) =>
      createWritableTxnMarkerResult({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) =>
          createWritableTxnMarkerTopicResult({
            name,
            partitions: partitionIndexes.map((partitionIndex) =>
              createWritableTxnMarkerPartitionResult({ partitionIndex, errorCode }),
            ),
          }),
        ),
      }),
    ),
  })
}

export const txnOffsetCommitGuard: Guard<TxnOffsetCommitRequest, TxnOffsetCommitResponse> = (request, scene, next) => {
  const { transaction, group, topic: need } = NEEDS[ApiKey.TXN_OFFSET_COMMIT]
  const { access, context } = scene
  const image = scene.image()
  const nameOf = ({ name, topicId }: TxnOffsetCommitRequestTopic): string | undefined =>
    context.apiVersion >= COMMIT_TOPIC_ID_VERSION ? image.topicsById.get(topicId)?.name : name
  const failed = (topic: TxnOffsetCommitRequestTopic, errorCode: number): TxnOffsetCommitResponseTopic =>
    createTxnOffsetCommitResponseTopic({
      name: nameOf(topic) ?? '',
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }) =>
        createTxnOffsetCommitResponsePartition({ partitionIndex, errorCode }),
      ),
    })
  const refuseAll = (errorCode: number): TxnOffsetCommitResponse =>
    createTxnOffsetCommitResponse({ topics: request.topics.map((topic) => failed(topic, errorCode)) })
  if (!access.allows(transaction, request.transactionalId)) return refuseAll(transaction.errorCode)
  if (!access.allows(group, request.groupId)) return refuseAll(group.errorCode)
  return narrow(scene, {
    items: request.topics,
    isAllowed(topic) {
      const name = nameOf(topic)
      return name === undefined || access.allows(need, name)
    },
    ask: (topics) => next({ ...request, topics }),
    none: () => createTxnOffsetCommitResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, (topic) => failed(topic, need.errorCode))
      return response
    },
  })
}

export const describeTransactionsGuard: Guard<DescribeTransactionsRequest, DescribeTransactionsResponse> = (
  request,
  scene,
  next,
) => {
  const { transaction, topic: need } = NEEDS[ApiKey.DESCRIBE_TRANSACTIONS]
  const { access } = scene
  const failed = (transactionalId: string): DescribeTransactionsResponseTransactionState =>
    createDescribeTransactionsResponseTransactionState({ transactionalId, errorCode: transaction.errorCode })
  return narrow(scene, {
    items: request.transactionalIds,
    isAllowed: (transactionalId) => access.allows(transaction, transactionalId),
    ask: (transactionalIds) =>
      andThen(next({ ...request, transactionalIds }), (response) => {
        for (const state of response.transactionStates) {
          state.topics = state.topics.filter(({ topic }) => access.sees(need, topic))
        }
        return response
      }),
    none: () => createDescribeTransactionsResponse({}),
    refuse(response, refused) {
      addRows(response.transactionStates, refused, failed)
      return response
    },
  })
}

/** Ids that may not be described are left out. */
export const listTransactionsGuard: Guard<ListTransactionsRequest, ListTransactionsResponse> = (
  request,
  scene,
  next,
) => {
  const { transaction } = NEEDS[ApiKey.LIST_TRANSACTIONS]
  return andThen(next(request), (response) => {
    if (response.errorCode !== ErrorCode.NONE) return response
    const { transactionStates } = response
    const seen = visible(scene, transactionStates, ({ transactionalId }) =>
      scene.access.sees(transaction, transactionalId),
    )
    return andThen(seen, (states) => ({ ...response, transactionStates: states }))
  })
}
