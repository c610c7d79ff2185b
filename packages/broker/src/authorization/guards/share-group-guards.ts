import { AclResourceType } from '@millrace/consensus'
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
  createShareGroupDescribeResponse,
  createShareGroupDescribeResponseDescribedGroup,
  createShareGroupHeartbeatResponse,
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  type DescribeShareGroupOffsetsRequest,
  type DescribeShareGroupOffsetsRequestTopic,
  type DescribeShareGroupOffsetsResponse,
  errorInfo,
  type ShareGroupDescribeRequest,
  type ShareGroupDescribeResponse,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
} from '@millrace/protocol'
import { mapInSlices } from '../../handlers/slices.ts'
import { OPERATIONS_NOT_ASKED } from '../../metadata/authorized-operations.ts'
import { addRows, andThen, type Guard, narrow } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

/** One topic that may not be described refuses the whole heartbeat: the member would wait for its partitions in vain. */
export const shareGroupHeartbeatGuard: Guard<ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse> = (
  request,
  { access, nextTurn },
  next,
) => {
  const { group, topic } = NEEDS[ApiKey.SHARE_GROUP_HEARTBEAT]
  const refused = ({ errorCode }: Need): ShareGroupHeartbeatResponse =>
    createShareGroupHeartbeatResponse({ errorCode, errorMessage: errorInfo(errorCode).description })
  if (!access.allows(group, request.groupId)) return refused(group)
  const names = [...new Set(request.subscribedTopicNames ?? [])]
  if (names.length === 0) return next(request)
  return andThen(
    mapInSlices(names, nextTurn, (name) => access.allows(topic, name)),
    (verdicts) => (verdicts.every(Boolean) ? next(request) : refused(topic)),
  )
}

/** A group with a topic that may not be described is not shown at all, as in Kafka. */
export const shareGroupDescribeGuard: Guard<ShareGroupDescribeRequest, ShareGroupDescribeResponse> = (
  request,
  scene,
  next,
) => {
  const { access, nextTurn } = scene
  const { group: need, topic } = NEEDS[ApiKey.SHARE_GROUP_DESCRIBE]
  return narrow(scene, {
    items: request.groupIds,
    isAllowed: (groupId) => access.allows(need, groupId),
    ask: (groupIds) =>
      andThen(next({ ...request, groupIds }), (response) => {
        const shown = mapInSlices(response.groups, nextTurn, (group) => {
          if (group.authorizedOperations !== OPERATIONS_NOT_ASKED) {
            group.authorizedOperations = access.authorizedOperations(AclResourceType.GROUP, group.groupId)
          }
          const names = new Set(
            group.members.flatMap(({ assignment }) => assignment.topicPartitions.map(({ topicName }) => topicName)),
          )
          if ([...names].every((name) => access.passes(topic, name))) return group
          return createShareGroupDescribeResponseDescribedGroup({
            groupId: group.groupId,
            errorCode: topic.errorCode,
            errorMessage: 'The group has topics that the client may not describe.',
          })
        })
        return andThen(shown, (groups) => ({ ...response, groups }))
      }),
    none: () => createShareGroupDescribeResponse({}),
    refuse(response, refused) {
      addRows(response.groups, refused, (groupId) =>
        createShareGroupDescribeResponseDescribedGroup({ groupId, errorCode: need.errorCode }),
      )
      return response
    },
  })
}

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
