import { AclResourceType } from '@millrace/consensus'
import {
  ApiKey,
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  createConsumerGroupDescribeResponse,
  createConsumerGroupDescribeResponseDescribedGroup,
  createConsumerGroupHeartbeatResponse,
  createShareGroupDescribeResponse,
  createShareGroupDescribeResponseDescribedGroup,
  createShareGroupHeartbeatResponse,
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

/** Of a group with a topic that may not be described. */
const HIDDEN = 'The group has described topic(s) that the client is not authorized to describe.'

interface GroupNeeds {
  readonly group: Need
  readonly topic: Need
}

export const consumerGroupHeartbeatGuard: Guard<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse> =
  heartbeatGuard(NEEDS[ApiKey.CONSUMER_GROUP_HEARTBEAT], createConsumerGroupHeartbeatResponse)

export const shareGroupHeartbeatGuard: Guard<ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse> = heartbeatGuard(
  NEEDS[ApiKey.SHARE_GROUP_HEARTBEAT],
  createShareGroupHeartbeatResponse,
)

/** One topic that may not be described refuses the whole heartbeat: the member would wait for its partitions in vain. */
function heartbeatGuard<
  Request extends { readonly groupId: string; readonly subscribedTopicNames: readonly string[] | null },
  Response,
>(
  { group, topic }: GroupNeeds,
  responseOf: (init: { errorCode: number; errorMessage: string }) => Response,
): Guard<Request, Response> {
  const refused = ({ errorCode }: Need): Response =>
    responseOf({ errorCode, errorMessage: errorInfo(errorCode).description })
  return (request, { access, nextTurn }, next) => {
    if (!access.allows(group, request.groupId)) return refused(group)
    const names = [...new Set(request.subscribedTopicNames ?? [])]
    if (names.length === 0) return next(request)
    return andThen(
      mapInSlices(names, nextTurn, (name) => access.allows(topic, name)),
      (verdicts) => (verdicts.every(Boolean) ? next(request) : refused(topic)),
    )
  }
}

export const consumerGroupDescribeGuard: Guard<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse> =
  describeGuard(
    NEEDS[ApiKey.CONSUMER_GROUP_DESCRIBE],
    createConsumerGroupDescribeResponse,
    createConsumerGroupDescribeResponseDescribedGroup,
    ({ assignment, targetAssignment }) => [...assignment.topicPartitions, ...targetAssignment.topicPartitions],
  )

export const shareGroupDescribeGuard: Guard<ShareGroupDescribeRequest, ShareGroupDescribeResponse> = describeGuard(
  NEEDS[ApiKey.SHARE_GROUP_DESCRIBE],
  createShareGroupDescribeResponse,
  createShareGroupDescribeResponseDescribedGroup,
  ({ assignment }) => assignment.topicPartitions,
)

interface DescribedGroup {
  readonly groupId: string
  authorizedOperations: number
  readonly members: readonly unknown[]
}

/** A group with a topic that may not be described is not shown at all, as in Kafka. */
function describeGuard<
  Request extends { readonly groupIds: readonly string[] },
  Response extends { groups: Group[] },
  Group extends DescribedGroup,
>(
  { group: need, topic }: GroupNeeds,
  emptyResponse: () => Response,
  failedGroup: (init: { groupId: string; errorCode: number; errorMessage?: string }) => Group,
  topicsOf: (member: Group['members'][number]) => readonly { readonly topicName: string }[],
): Guard<Request, Response> {
  return (request, scene, next) => {
    const { access, nextTurn } = scene
    const seen = new Map<string, boolean>()
    const isVisible = ({ topicName }: { readonly topicName: string }): boolean => {
      let isSeen = seen.get(topicName)
      if (isSeen === undefined) {
        isSeen = access.passes(topic, topicName)
        seen.set(topicName, isSeen)
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
            if (group.members.every((member) => topicsOf(member).every(isVisible))) return group
            return failedGroup({ groupId: group.groupId, errorCode: topic.errorCode, errorMessage: HIDDEN })
          })
          return andThen(shown, (groups) => ({ ...response, groups }))
        }),
      none: () => emptyResponse(),
      refuse(response, refused) {
        addRows(response.groups, refused, (groupId) => failedGroup({ groupId, errorCode: need.errorCode }))
        return response
      },
    })
  }
}
