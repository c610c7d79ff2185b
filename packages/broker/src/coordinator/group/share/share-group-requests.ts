import { type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsResponse,
  createAlterShareGroupOffsetsResponse,
  createAlterShareGroupOffsetsResponsePartition,
  createAlterShareGroupOffsetsResponseTopic,
  createDeleteShareGroupOffsetsResponseTopic,
  createDescribeShareGroupOffsetsResponseGroup,
  createDescribeShareGroupOffsetsResponsePartition,
  createDescribeShareGroupOffsetsResponseTopic,
  createShareGroupDescribeResponseAssignment,
  createShareGroupDescribeResponseDescribedGroup,
  createShareGroupDescribeResponseMember,
  createShareGroupDescribeResponseTopicPartitions,
  createShareGroupHeartbeatResponse,
  createShareGroupHeartbeatResponseAssignment,
  createShareGroupHeartbeatResponseTopicPartitions,
  type DescribeShareGroupOffsetsResponsePartition,
  ErrorCode,
  errorInfo,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../../handlers/handler.ts'
import { GROUP_OPERATIONS } from '../../../metadata/authorized-operations.ts'
import type { StateSummary } from '../../share/share-state.ts'
import { clientHostOf } from '../client-host.ts'
import type { Assignment } from '../modern/assignment.ts'
import type { HeartbeatAnswer } from '../modern/heartbeat-answer.ts'
import { JOIN_GROUP_MEMBER_EPOCH, LEAVE_GROUP_MEMBER_EPOCH, subscriptionOf } from '../modern/modern-member.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import { namedTopicRows, topicRows } from '../modern/topic-rows.ts'
import type { ShareGroup } from './share-group.ts'
import type { StateTopic } from './share-group-record.ts'
import type { ShareHeartbeatInput } from './share-heartbeat.ts'
import { SIMPLE_ASSIGNOR } from './simple-assignor.ts'
import type { PartitionLists } from './state-partitions.ts'

/** That of a UUID in the usual form. */
const MAX_MEMBER_ID_LENGTH = 36

/** What is wrong with a heartbeat, whatever group it is for; null: nothing. */
export function heartbeatComplaint(request: ShareGroupHeartbeatRequest): string | null {
  const { groupId, memberId, memberEpoch, rackId, subscribedTopicNames } = request
  if (groupId === '') return "GroupId can't be empty."
  if (memberId === '') return "MemberId can't be empty."
  if (memberId.length > MAX_MEMBER_ID_LENGTH) return `MemberId can't be longer than ${MAX_MEMBER_ID_LENGTH}.`
  if (rackId === '') return "RackId can't be empty."
  if (memberEpoch < LEAVE_GROUP_MEMBER_EPOCH) return `MemberEpoch is ${memberEpoch}, but must be at least -1.`
  const hasNames = subscribedTopicNames !== null && subscribedTopicNames.length > 0
  if (memberEpoch === JOIN_GROUP_MEMBER_EPOCH && !hasNames) return 'SubscribedTopicNames must be set when (re-)joining.'
  return null
}

export function heartbeatInput(
  request: ShareGroupHeartbeatRequest,
  { clientId, connection }: RequestContext,
): ShareHeartbeatInput {
  const { groupId, memberId, memberEpoch, rackId, subscribedTopicNames } = request
  return {
    groupId,
    memberId,
    memberEpoch,
    rackId,
    subscribedTopics: subscribedTopicNames === null ? null : subscriptionOf(subscribedTopicNames),
    clientId,
    clientHost: clientHostOf(connection),
  }
}

export function heartbeatResponse(answer: HeartbeatAnswer): ShareGroupHeartbeatResponse {
  if (answer.assignment === null) return createShareGroupHeartbeatResponse({ ...answer, assignment: null })
  const topicPartitions = topicRows(answer.assignment, createShareGroupHeartbeatResponseTopicPartitions)
  const assignment = createShareGroupHeartbeatResponseAssignment({ topicPartitions })
  return createShareGroupHeartbeatResponse({ ...answer, assignment })
}

/** A group in ShareGroupDescribe, as of the last commit. */
export function describedShareGroup(
  group: ShareGroup,
  directory: TopicDirectory,
  includeAuthorizedOperations: boolean,
) {
  const described = createShareGroupDescribeResponseDescribedGroup({
    groupId: group.groupId,
    groupState: group.committedState,
    groupEpoch: group.committedEpoch.epoch,
    assignmentEpoch: group.committedTarget.epoch,
    assignorName: SIMPLE_ASSIGNOR,
    members: group.members.committedValues().map((member) =>
      createShareGroupDescribeResponseMember({
        memberId: member.memberId,
        rackId: member.rackId,
        memberEpoch: member.memberEpoch,
        clientId: member.clientId,
        clientHost: member.clientHost,
        subscribedTopicNames: [...member.subscribedTopics],
        assignment: describedAssignment(member.assigned, directory),
      }),
    ),
  })
  if (includeAuthorizedOperations) described.authorizedOperations = GROUP_OPERATIONS
  return described
}

function describedAssignment(assignment: Assignment, directory: TopicDirectory) {
  const topicPartitions = namedTopicRows(assignment, directory, createShareGroupDescribeResponseTopicPartitions)
  return createShareGroupDescribeResponseAssignment({ topicPartitions })
}

export function failedShareGroup(groupId: string, errorCode: number, errorMessage: string | null = null) {
  return createShareGroupDescribeResponseDescribedGroup({ groupId, errorCode, errorMessage })
}

/** A topic whose offsets are asked for; without an id it does not exist. */
export interface OffsetsQuestion {
  readonly topicId: Uuid | null
  readonly topicName: string
  readonly partitions: readonly number[]
}

/** A topic with its offsets. */
export interface DescribedOffsets {
  readonly topicId: Uuid | null
  readonly topicName: string
  readonly partitions: DescribeShareGroupOffsetsResponsePartition[]
}

/** What could not be read has no offset, which is no error; an end that could not be found out is one. */
export function describedPartition(
  partitionIndex: number,
  summary: StateSummary | null,
  end: { readonly errorCode: number; readonly offset: Offset } | null,
): DescribeShareGroupOffsetsResponsePartition {
  const unknown = { partitionIndex, startOffset: -1, leaderEpoch: 0, lag: -1 }
  if (summary === null || summary.errorCode !== ErrorCode.NONE || end === null) {
    return createDescribeShareGroupOffsetsResponsePartition(unknown)
  }
  const { startOffset, leaderEpoch, deliveryCompleteCount } = summary
  if (startOffset >= 0 && end.errorCode !== ErrorCode.NONE) {
    const { errorCode } = end
    const errorMessage = errorInfo(errorCode).description
    return createDescribeShareGroupOffsetsResponsePartition({ ...unknown, errorCode, errorMessage })
  }
  const isCounted = startOffset >= 0 && deliveryCompleteCount >= 0
  const lag = isCounted ? Math.max(0, end.offset - startOffset - deliveryCompleteCount) : -1
  return createDescribeShareGroupOffsetsResponsePartition({ partitionIndex, startOffset, leaderEpoch, lag })
}

export function offsetsGroup(groupId: string, topics: readonly DescribedOffsets[]) {
  return createDescribeShareGroupOffsetsResponseGroup({
    groupId,
    topics: topics.map(({ topicId, topicName, partitions }) =>
      createDescribeShareGroupOffsetsResponseTopic({ topicName, topicId: topicId ?? ZERO_UUID, partitions }),
    ),
  })
}

export function failedOffsetsGroup(groupId: string, errorCode: number) {
  const errorMessage = errorInfo(errorCode).description
  return createDescribeShareGroupOffsetsResponseGroup({ groupId, errorCode, errorMessage })
}

/** What AlterShareGroupOffsets asks for, taken apart by what there is. Of a partition that is named twice the last offset counts. */
export class AlteredOffsets {
  readonly #request: AlterShareGroupOffsetsRequest
  readonly #directory: TopicDirectory
  readonly #offsets = new Map<Uuid, Map<number, Offset>>()

  constructor(request: AlterShareGroupOffsetsRequest, directory: TopicDirectory) {
    this.#request = request
    this.#directory = directory
    for (const { topicName, partitions } of request.topics) {
      const topicId = directory.idOf(topicName)
      if (topicId === null) continue
      const offsets = this.#offsets.get(topicId) ?? new Map<number, Offset>()
      for (const { partitionIndex, startOffset } of partitions) {
        const isKnown = partitionIndex >= 0 && partitionIndex < directory.partitionCountOf(topicId)
        if (isKnown && typeof startOffset === 'number' && startOffset >= 0) offsets.set(partitionIndex, startOffset)
      }
      if (offsets.size > 0) this.#offsets.set(topicId, offsets)
    }
  }

  /** All that can be altered. */
  lists(): PartitionLists {
    const lists = new Map<Uuid, StateTopic>()
    for (const [topicId, offsets] of this.#offsets) {
      const partitions = [...offsets.keys()].sort((left, right) => left - right)
      lists.set(topicId, { name: this.#directory.nameOf(topicId) ?? '', partitions })
    }
    return lists
  }

  offsetOf(topicId: Uuid, partition: number): Offset {
    return this.#offsets.get(topicId)?.get(partition) ?? -1
  }

  response(codes: ReadonlyMap<Uuid, ReadonlyMap<number, number>>): AlterShareGroupOffsetsResponse {
    const responses = this.#request.topics.map(({ topicName, partitions }) => {
      const topicId = this.#directory.idOf(topicName)
      return createAlterShareGroupOffsetsResponseTopic({
        topicName,
        topicId: topicId ?? ZERO_UUID,
        partitions: partitions.map(({ partitionIndex }) => {
          const known = topicId === null ? undefined : codes.get(topicId)?.get(partitionIndex)
          const errorCode = known ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
          return createAlterShareGroupOffsetsResponsePartition({ partitionIndex, ...told(errorCode) })
        }),
      })
    })
    return createAlterShareGroupOffsetsResponse({ responses })
  }
}

/** A topic in DeleteShareGroupOffsets; no error code: there was nothing of it to delete. */
export function deletedTopic(topicName: string, topicId: Uuid | null, errorCode: number | undefined) {
  return createDeleteShareGroupOffsetsResponseTopic({
    topicName,
    topicId: topicId ?? ZERO_UUID,
    ...told(errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
  })
}

function told(errorCode: number): { errorCode: number; errorMessage: string | null } {
  return { errorCode, errorMessage: errorCode === ErrorCode.NONE ? null : errorInfo(errorCode).description }
}
