import { AclResourceType } from '@millrace/consensus'
import {
  ApiKey,
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  type ConsumerGroupDescribeResponseDescribedGroup,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  createConsumerGroupDescribeResponse,
  createConsumerGroupDescribeResponseDescribedGroup,
  createConsumerGroupHeartbeatResponse,
  errorInfo,
} from '@millrace/protocol'
import { mapInSlices } from '../../handlers/slices.ts'
import { OPERATIONS_NOT_ASKED } from '../../metadata/authorized-operations.ts'
import { addRows, andThen, type Guard, narrow } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

/** One topic that may not be described refuses the whole heartbeat: the member would wait for its partitions in vain. */
export const consumerGroupHeartbeatGuard: Guard<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse> = (
  request,
  { access, nextTurn },
  next,
) => {
  const { group, topic } = NEEDS[ApiKey.CONSUMER_GROUP_HEARTBEAT]
  const refused = ({ errorCode }: Need): ConsumerGroupHeartbeatResponse =>
    createConsumerGroupHeartbeatResponse({ errorCode, errorMessage: errorInfo(errorCode).description })
  if (!access.allows(group, request.groupId)) return refused(group)
  const names = [...new Set(request.subscribedTopicNames ?? [])]
  if (names.length === 0) return next(request)
  return andThen(
    mapInSlices(names, nextTurn, (name) => access.allows(topic, name)),
    (verdicts) => (verdicts.every(Boolean) ? next(request) : refused(topic)),
  )
}

/** A group with a topic that may not be described is not shown at all, as in Kafka. */
export const consumerGroupDescribeGuard: Guard<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse> = (
  request,
  scene,
  next,
) => {
  const { access, nextTurn } = scene
  const { group: need, topic } = NEEDS[ApiKey.CONSUMER_GROUP_DESCRIBE]
  const seen = new Map<string, boolean>()
  const isVisible = (name: string): boolean => {
    let isSeen = seen.get(name)
    if (isSeen === undefined) {
      isSeen = access.passes(topic, name)
      seen.set(name, isSeen)
    }
    return isSeen
  }
  return narrow(scene, {
    items: request.groupIds,
    isAllowed: (groupId) => access.allows(need, groupId),
    ask: (groupIds) =>
      andThen(next({ ...request, groupIds }), (response) => {
        const shown = mapInSlices(response.groups, nextTurn, (group) => {
          if (group.authorizedOperations !== OPERATIONS_NOT_ASKED) {
            group.authorizedOperations = access.authorizedOperations(AclResourceType.GROUP, group.groupId)
          }
          return showsOnly(group, isVisible) ? group : hidden(group.groupId, topic)
        })
        return andThen(shown, (groups) => ({ ...response, groups }))
      }),
    none: () => createConsumerGroupDescribeResponse({}),
    refuse(response, refused) {
      addRows(response.groups, refused, (groupId) =>
        createConsumerGroupDescribeResponseDescribedGroup({ groupId, errorCode: need.errorCode }),
      )
      return response
    },
  })
}

function showsOnly(
  { members }: ConsumerGroupDescribeResponseDescribedGroup,
  isVisible: (topic: string) => boolean,
): boolean {
  return members.every(({ assignment, targetAssignment }) =>
    [assignment, targetAssignment].every(({ topicPartitions }) =>
      topicPartitions.every(({ topicName }) => isVisible(topicName)),
    ),
  )
}

function hidden(groupId: string, { errorCode }: Need): ConsumerGroupDescribeResponseDescribedGroup {
  return createConsumerGroupDescribeResponseDescribedGroup({
    groupId,
    errorCode,
    errorMessage: 'The group has described topic(s) that the client is not authorized to describe.',
  })
}
