import {
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopics,
  createOffsetFetchResponse,
  createOffsetFetchResponsePartition,
  createOffsetFetchResponseTopic,
  ErrorCode,
  type OffsetFetchRequest,
  type OffsetFetchRequestGroup,
  type OffsetFetchResponse,
  type OffsetFetchResponseGroup,
  type OffsetFetchResponseTopic,
} from '@millrace/protocol'
import { responseErrorOf } from '../runtime/operation-errors.ts'

const TOP_LEVEL_ERROR_VERSION = 2
const GROUPS_VERSION = 8

/** The groups of a request; below version 8 it is one. */
export function fetchRequestGroups(
  request: OffsetFetchRequest,
  apiVersion: number,
): readonly OffsetFetchRequestGroup[] {
  if (apiVersion >= GROUPS_VERSION) return request.groups
  const topics = request.topics?.map(({ name, partitionIndexes }) =>
    createOffsetFetchRequestTopics({ name, partitionIndexes }),
  )
  return [createOffsetFetchRequestGroup({ groupId: request.groupId, topics: topics ?? null })]
}

/** A group and what of it is wanted, as text: the same for groups with the same answer, no longer than what the client sent. */
export function questionOf({ groupId, memberId, memberEpoch, topics }: OffsetFetchRequestGroup): string {
  const wanted = topics?.map(({ name, topicId, partitionIndexes }) => [name, topicId, partitionIndexes])
  return JSON.stringify([groupId, memberId, memberEpoch, wanted ?? null])
}

/** The response in the shape of its version. Before version 2 an error of the group stands at each partition. */
export function fetchResponse(
  groups: readonly OffsetFetchRequestGroup[],
  answers: OffsetFetchResponseGroup[],
  apiVersion: number,
): OffsetFetchResponse {
  if (apiVersion >= GROUPS_VERSION) return createOffsetFetchResponse({ groups: answers })
  const answer = answers[0]!
  if (answer.errorCode !== 0 && apiVersion < TOP_LEVEL_ERROR_VERSION) {
    return createOffsetFetchResponse({ topics: failedTopics(groups[0]!, answer.errorCode) })
  }
  return createOffsetFetchResponse({
    errorCode: answer.errorCode,
    topics: answer.topics.map(({ name, partitions }) =>
      createOffsetFetchResponseTopic({ name, partitions: partitions.map(createOffsetFetchResponsePartition) }),
    ),
  })
}

/** Consumers before 3.9 know no COORDINATOR_NOT_AVAILABLE here; NOT_COORDINATOR makes them look for the coordinator and retry. */
export function offsetFetchFailure(errorCode: number, requireStable: boolean): number {
  switch (errorCode) {
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.NOT_ENOUGH_REPLICAS:
    case ErrorCode.REQUEST_TIMED_OUT:
      return requireStable ? ErrorCode.NOT_COORDINATOR : responseErrorOf(errorCode)
    default:
      return responseErrorOf(errorCode)
  }
}

function failedTopics(group: OffsetFetchRequestGroup, errorCode: number): OffsetFetchResponseTopic[] {
  return (group.topics ?? []).map(({ name, partitionIndexes }) =>
    createOffsetFetchResponseTopic({
      name,
      partitions: partitionIndexes.map((partitionIndex) =>
        createOffsetFetchResponsePartition({ partitionIndex, committedOffset: -1, metadata: '', errorCode }),
      ),
    }),
  )
}
