import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsRequestTopic,
  type AlterShareGroupOffsetsResponse,
  ApiKey,
  createAlterShareGroupOffsetsResponse,
  createAlterShareGroupOffsetsResponsePartition,
  createAlterShareGroupOffsetsResponseTopic,
  createDeleteShareGroupOffsetsResponse,
  createDeleteShareGroupOffsetsResponseTopic,
  createDescribeShareGroupOffsetsResponse,
  createDescribeShareGroupOffsetsResponseGroup,
  createDescribeShareGroupOffsetsResponsePartition,
  createDescribeShareGroupOffsetsResponseTopic,
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  type DescribeShareGroupOffsetsRequest,
  type DescribeShareGroupOffsetsRequestTopic,
  type DescribeShareGroupOffsetsResponse,
  errorInfo,
} from '@millrace/protocol'
import { addRows, andThen, type Guard, narrow } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

/** Offsets in topics that may not be described are not told: refused where they are named, left out where all are asked for. */
export const describeShareGroupOffsetsGuard: Guard<
  DescribeShareGroupOffsetsRequest,
  DescribeShareGroupOffsetsResponse
> = (request, scene, next) => {
  const { access } = scene
  const { group: need, topic } = NEEDS[ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS]
  return narrow(scene, {
    items: request.groups,
    isAllowed: ({ groupId }) => access.allows(need, groupId),
    ask(groups) {
      const refusedByGroup = new Map<string, DescribeShareGroupOffsetsRequestTopic[]>()
      const namesAll = new Set(groups.flatMap(({ groupId, topics }) => (topics === null ? groupId : [])))
      const narrowed = groups.map((group) => {
        const refused = (group.topics ?? []).filter(({ topicName }) => !access.allows(topic, topicName))
        if (refused.length === 0) return group
        const known = refusedByGroup.get(group.groupId)
        if (known === undefined) refusedByGroup.set(group.groupId, refused)
        else addRows(known, refused, (row) => row)
        const gone = new Set(refused)
        return { ...group, topics: group.topics!.filter((row) => !gone.has(row)) }
      })
      return andThen(next({ ...request, groups: narrowed }), (response) => {
        for (const group of response.groups) {
          if (namesAll.has(group.groupId)) {
            group.topics = group.topics.filter(({ topicName }) => access.passes(topic, topicName))
          }
          addRows(group.topics, refusedByGroup.get(group.groupId) ?? [], (row) => refusedTopic(row, topic))
          refusedByGroup.delete(group.groupId)
        }
        return response
      })
    },
    none: () => createDescribeShareGroupOffsetsResponse({}),
    refuse(response, refused) {
      const { errorCode } = need
      addRows(response.groups, refused, ({ groupId }) =>
        createDescribeShareGroupOffsetsResponseGroup({
          ...{ groupId, errorCode },
          errorMessage: errorInfo(errorCode).description,
        }),
      )
      return response
    },
  })
}

function refusedTopic({ topicName, partitions }: DescribeShareGroupOffsetsRequestTopic, { errorCode }: Need) {
  const errorMessage = errorInfo(errorCode).description
  return createDescribeShareGroupOffsetsResponseTopic({
    topicName,
    partitions: partitions.map((partitionIndex) =>
      createDescribeShareGroupOffsetsResponsePartition({ partitionIndex, startOffset: -1, errorCode, errorMessage }),
    ),
  })
}

export const alterShareGroupOffsetsGuard: Guard<AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse> = (
  request,
  scene,
  next,
) => {
  const { group, topic } = NEEDS[ApiKey.ALTER_SHARE_GROUP_OFFSETS]
  const { errorCode } = topic
  if (!scene.access.allows(group, request.groupId)) {
    return createAlterShareGroupOffsetsResponse({ errorCode: group.errorCode })
  }
  const refusedRow = ({ topicName, partitions }: AlterShareGroupOffsetsRequestTopic) =>
    createAlterShareGroupOffsetsResponseTopic({
      topicName,
      partitions: partitions.map(({ partitionIndex }) =>
        createAlterShareGroupOffsetsResponsePartition({ partitionIndex, errorCode }),
      ),
    })
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ topicName }) => scene.access.allows(topic, topicName),
    ask: (topics) => next({ ...request, topics }),
    none: () => createAlterShareGroupOffsetsResponse({}),
    refuse(response, refused) {
      addRows(response.responses, refused, refusedRow)
      return response
    },
  })
}

export const deleteShareGroupOffsetsGuard: Guard<DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse> = (
  request,
  scene,
  next,
) => {
  const { group, topic } = NEEDS[ApiKey.DELETE_SHARE_GROUP_OFFSETS]
  const { errorCode } = topic
  if (!scene.access.allows(group, request.groupId)) {
    return createDeleteShareGroupOffsetsResponse({ errorCode: group.errorCode })
  }
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ topicName }) => scene.access.allows(topic, topicName),
    ask: (topics) => next({ ...request, topics }),
    none: () => createDeleteShareGroupOffsetsResponse({}),
    refuse(response, refused) {
      addRows(response.responses, refused, ({ topicName }) =>
        createDeleteShareGroupOffsetsResponseTopic({ topicName, errorCode }),
      )
      return response
    },
  })
}
