import {
  type ConsumerGroupDescribeResponseAssignment,
  type ConsumerGroupDescribeResponseDescribedGroup,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  createConsumerGroupDescribeResponseAssignment,
  createConsumerGroupDescribeResponseDescribedGroup,
  createConsumerGroupDescribeResponseMember,
  createConsumerGroupDescribeResponseTopicPartitions,
  createConsumerGroupHeartbeatResponse,
  createConsumerGroupHeartbeatResponseAssignment,
  createConsumerGroupHeartbeatResponseTopicPartitions,
  ErrorCode,
} from '@millrace/protocol'
import type { RequestContext } from '../../../handlers/handler.ts'
import { GROUP_OPERATIONS } from '../../../metadata/authorized-operations.ts'
import { clientHostOf } from '../client-host.ts'
import { shortened } from '../group-notes.ts'
import { type Assignment, toAssignment } from '../modern/assignment.ts'
import type { HeartbeatAnswer } from '../modern/heartbeat-answer.ts'
import {
  JOIN_GROUP_MEMBER_EPOCH,
  LEAVE_GROUP_MEMBER_EPOCH,
  LEAVE_GROUP_STATIC_MEMBER_EPOCH,
  subscriptionOf,
} from '../modern/modern-member.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import { namedTopicRows, topicRows } from '../modern/topic-rows.ts'
import type { DescribedConsumerGroup } from './consumer-description.ts'
import type { ConsumerHeartbeatInput } from './consumer-inputs.ts'

/** From this version on clients make their own member ids (KIP-1082). */
const CLIENT_MEMBER_ID_VERSION = 1
const MEMBER_TYPE_VERSION = 1
/** Clients make ids of 22 characters. One is kept as long as its member, and named in every record of it. */
const MAX_MEMBER_ID_LENGTH = 1_000
const CLASSIC_MEMBER = 0
const CONSUMER_MEMBER = 1

/** What is wrong with a request, whatever group it is for; null: nothing (`coordinators.md`, 3.1). */
export function heartbeatComplaint(request: ConsumerGroupHeartbeatRequest, apiVersion: number): string | null {
  const { groupId, memberId, memberEpoch, instanceId, rackId, topicPartitions } = request
  if (groupId === '') return "GroupId can't be empty."
  if (instanceId === '') return "InstanceId can't be empty."
  if (rackId === '') return "RackId can't be empty."
  const needsId = apiVersion >= CLIENT_MEMBER_ID_VERSION || memberEpoch !== JOIN_GROUP_MEMBER_EPOCH
  if (memberId === '' && needsId) return "MemberId can't be empty."
  if (memberId.length > MAX_MEMBER_ID_LENGTH) return `MemberId can't be longer than ${MAX_MEMBER_ID_LENGTH}.`
  if (memberEpoch < LEAVE_GROUP_STATIC_MEMBER_EPOCH) return `MemberEpoch is ${memberEpoch}, but must be at least -2.`
  if (memberEpoch === LEAVE_GROUP_STATIC_MEMBER_EPOCH && instanceId === null) return "InstanceId can't be null."
  if (request.rebalanceTimeoutMs < -1) return "RebalanceTimeoutMs can't be negative."
  if (memberEpoch !== JOIN_GROUP_MEMBER_EPOCH) return null
  if (request.rebalanceTimeoutMs === -1) return 'RebalanceTimeoutMs must be provided in first request.'
  if (topicPartitions === null || topicPartitions.length > 0) {
    return 'TopicPartitions must be empty when (re-)joining.'
  }
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    return 'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.'
  }
  return null
}

export function heartbeatInput(
  request: ConsumerGroupHeartbeatRequest,
  { clientId, connection }: RequestContext,
  mayDescribe: (topic: string) => boolean,
): ConsumerHeartbeatInput {
  const { groupId, memberId, memberEpoch, instanceId, rackId, rebalanceTimeoutMs, serverAssignor } = request
  const { subscribedTopicNames, subscribedTopicRegex, topicPartitions } = request
  const isLeaving = memberEpoch === LEAVE_GROUP_MEMBER_EPOCH || memberEpoch === LEAVE_GROUP_STATIC_MEMBER_EPOCH
  return {
    groupId,
    memberId,
    memberEpoch,
    instanceId,
    rackId,
    rebalanceTimeoutMs,
    subscribedTopics: subscribedTopicNames === null || isLeaving ? null : subscriptionOf(subscribedTopicNames),
    topicRegex: subscribedTopicRegex,
    serverAssignor,
    owned: topicPartitions === null ? null : toAssignment(topicPartitions),
    clientId,
    clientHost: clientHostOf(connection),
    mayDescribe,
  }
}

export function heartbeatResponse(answer: HeartbeatAnswer): ConsumerGroupHeartbeatResponse {
  if (answer.assignment === null) return createConsumerGroupHeartbeatResponse({ ...answer, assignment: null })
  const topicPartitions = topicRows(answer.assignment, createConsumerGroupHeartbeatResponseTopicPartitions)
  const assignment = createConsumerGroupHeartbeatResponseAssignment({ topicPartitions })
  return createConsumerGroupHeartbeatResponse({ ...answer, assignment })
}

/** A group in ConsumerGroupDescribe. */
export function describedConsumerGroup(
  group: DescribedConsumerGroup,
  directory: TopicDirectory,
  apiVersion: number,
  includeAuthorizedOperations: boolean,
): ConsumerGroupDescribeResponseDescribedGroup {
  const { groupId, state, epoch, targetEpoch, assignor, members } = group
  const described = createConsumerGroupDescribeResponseDescribedGroup({
    groupId,
    groupState: state,
    groupEpoch: epoch,
    assignmentEpoch: targetEpoch,
    assignorName: assignor,
    members: members.map(({ member, target }) =>
      createConsumerGroupDescribeResponseMember({
        memberId: member.memberId,
        instanceId: member.instanceId,
        rackId: member.rackId,
        memberEpoch: member.memberEpoch,
        clientId: member.clientId,
        clientHost: member.clientHost,
        subscribedTopicNames: [...member.subscribedTopics],
        subscribedTopicRegex: member.metadata.topicRegex,
        assignment: describedAssignment([member.assigned, member.pendingRevocation], directory),
        targetAssignment: describedAssignment([target], directory),
        ...(apiVersion < MEMBER_TYPE_VERSION
          ? {}
          : { memberType: member.classic === null ? CONSUMER_MEMBER : CLASSIC_MEMBER }),
      }),
    ),
  })
  if (includeAuthorizedOperations) described.authorizedOperations = GROUP_OPERATIONS
  return described
}

function describedAssignment(
  assignments: readonly Assignment[],
  directory: TopicDirectory,
): ConsumerGroupDescribeResponseAssignment {
  const all = toAssignment(
    assignments.flatMap((assignment) => Array.from(assignment, ([topicId, partitions]) => ({ topicId, partitions }))),
  )
  const topicPartitions = namedTopicRows(all, directory, createConsumerGroupDescribeResponseTopicPartitions)
  return createConsumerGroupDescribeResponseAssignment({ topicPartitions })
}

/** A group that this node cannot describe, or does not know. */
export function failedConsumerGroup(
  groupId: string,
  errorCode: number,
  errorMessage: string | null = null,
): ConsumerGroupDescribeResponseDescribedGroup {
  return createConsumerGroupDescribeResponseDescribedGroup({ groupId, errorCode, errorMessage })
}

export function unknownConsumerGroup(groupId: string): ConsumerGroupDescribeResponseDescribedGroup {
  return failedConsumerGroup(groupId, ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} not found.`)
}
