import { topicNameComplaint } from '@millrace/consensus'
import {
  ApiKey,
  createDeleteRecordsPartitionResult,
  createDeleteRecordsResponse,
  createDeleteRecordsTopicResult,
  createDescribeProducersResponse,
  createListOffsetsPartitionResponse,
  createListOffsetsResponse,
  createListOffsetsTopicResponse,
  createOffsetForLeaderEpochResponse,
  createOffsetForLeaderEpochResponseEpochEndOffset,
  createOffsetForLeaderTopicResult,
  createPartitionResponse,
  createTopicResponse,
  type DeleteRecordsRequest,
  type DeleteRecordsResponse,
  type DescribeProducersRequest,
  type DescribeProducersResponse,
  errorInfo,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
} from '@millrace/protocol'
import { addRows, type Guard, narrow } from '../guard.ts'
import { NEEDS } from '../needs.ts'

/** Guards of what is asked of partitions, topic by topic. */

export const listOffsetsGuard: Guard<ListOffsetsRequest, ListOffsetsResponse> = (request, scene, next) => {
  const { topic: need } = NEEDS[ApiKey.LIST_OFFSETS]
  const { errorCode } = need
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => scene.access.allows(need, name),
    ask: (topics) => next({ ...request, topics }),
    none: () => createListOffsetsResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, ({ name, partitions }) =>
        createListOffsetsTopicResponse({
          name,
          partitions: partitions.map(({ partitionIndex }) =>
            createListOffsetsPartitionResponse({ partitionIndex, errorCode }),
          ),
        }),
      )
      return response
    },
  })
}

/** Followers ask this too: who may act for the cluster need not be allowed to see the topics. */
export const offsetForLeaderEpochGuard: Guard<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> = (
  request,
  scene,
  next,
) => {
  const { topic: need, follower } = NEEDS[ApiKey.OFFSET_FOR_LEADER_EPOCH]
  if (scene.access.seesCluster(follower)) return next(request)
  const { errorCode } = need
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ topic }) => scene.access.allows(need, topic),
    ask: (topics) => next({ ...request, topics }),
    none: () => createOffsetForLeaderEpochResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, ({ topic, partitions }) =>
        createOffsetForLeaderTopicResult({
          topic,
          partitions: partitions.map(({ partition }) =>
            createOffsetForLeaderEpochResponseEpochEndOffset({ partition, errorCode }),
          ),
        }),
      )
      return response
    },
  })
}

export const deleteRecordsGuard: Guard<DeleteRecordsRequest, DeleteRecordsResponse> = (request, scene, next) => {
  const { topic: need } = NEEDS[ApiKey.DELETE_RECORDS]
  const { errorCode } = need
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => scene.access.allows(need, name),
    ask: (topics) => next({ ...request, topics }),
    none: () => createDeleteRecordsResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, ({ name, partitions }) =>
        createDeleteRecordsTopicResult({
          name,
          partitions: partitions.map(({ partitionIndex }) =>
            createDeleteRecordsPartitionResult({ partitionIndex, errorCode, lowWatermark: -1 }),
          ),
        }),
      )
      return response
    },
  })
}

/** What cannot be a topic's name is told to be none, before permissions are asked for. */
export const describeProducersGuard: Guard<DescribeProducersRequest, DescribeProducersResponse> = (
  request,
  scene,
  next,
) => {
  const { topic: need } = NEEDS[ApiKey.DESCRIBE_PRODUCERS]
  const { errorCode } = need
  const errorMessage = errorInfo(errorCode).description
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => topicNameComplaint(name) !== null || scene.access.allows(need, name),
    ask: (topics) => next({ ...request, topics }),
    none: () => createDescribeProducersResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, ({ name, partitionIndexes }) =>
        createTopicResponse({
          name,
          partitions: partitionIndexes.map((partitionIndex) =>
            createPartitionResponse({ partitionIndex, errorCode, errorMessage }),
          ),
        }),
      )
      return response
    },
  })
}
