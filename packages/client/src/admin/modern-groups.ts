import {
  type ConsumerGroupDescribeResponseAssignment,
  consumerGroupDescribeApi,
  createConsumerGroupDescribeRequest,
  createShareGroupDescribeRequest,
  ErrorCode,
  shareGroupDescribeApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { onCoordinator, throwIfCoordinatorMoved } from './groups.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A group whose coordinator assigns, as it stands. */
interface ModernGroup<Member> {
  groupId: string
  /** `Empty`, `Assigning`, `Reconciling`, `Stable`; a share group is `Empty` or `Stable`. */
  state: string
  /** Grows with every change of members, subscriptions and topics. */
  groupEpoch: number
  /** The group epoch that the present assignment was made for. */
  assignmentEpoch: number
  assignor: string
  /** Node id. */
  coordinator: number
  members: Member[]
}

interface ModernMember {
  memberId: string
  rackId: string | null
  /** The assignment epoch that it has reached. */
  memberEpoch: number
  clientId: string
  host: string
  topics: string[]
  assignment: TopicPartition[]
}

export interface ConsumerGroupMember extends ModernMember {
  groupInstanceId: string | null
  /** RE2 text of its subscription, null if it has none. */
  topicPattern: string | null
  /** What it will own once others have given it up. */
  targetAssignment: TopicPartition[]
  /** Whether it speaks the classic protocol. */
  isClassic: boolean
}

/** A group of consumers by the newer protocol (KIP-848). */
export type ConsumerGroupDescription = ModernGroup<ConsumerGroupMember>

/** A share group (KIP-932). */
export type ShareGroupDescription = ModernGroup<ModernMember>

const CLASSIC_MEMBER = 0

/**
 * Groups of the newer consumer protocol, epochs and all. A group that is none, or that nobody knows, has the error
 * GROUP_ID_NOT_FOUND. Rejects with `UnsupportedVersionError` where brokers do not know the protocol.
 */
export function describeConsumerGroups(
  core: ClientCore,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<ConsumerGroupDescription>[]> {
  const describe = (groupId: string) =>
    onCoordinator(core, `describing group ${groupId}`, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
      const message = createConsumerGroupDescribeRequest({ groupIds: [groupId] })
      const { response } = await core.requestNode(nodeId, 'coordinator', consumerGroupDescribeApi, message, {
        timeoutMs,
      })
      const group = response.groups.find((candidate) => candidate.groupId === groupId)
      const members = (group?.members ?? []).map((member) => ({
        ...commonOf(member),
        groupInstanceId: member.instanceId,
        topicPattern: member.subscribedTopicRegex,
        targetAssignment: placesOf(member.targetAssignment),
        isClassic: member.memberType === CLASSIC_MEMBER,
      }))
      return outcomeOf(core, groupId, nodeId, group, members)
    })
  return Promise.all(groupIds.map(describe))
}

/** Share groups. Otherwise as {@link describeConsumerGroups}. */
export function describeShareGroups(
  core: ClientCore,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<ShareGroupDescription>[]> {
  const describe = (groupId: string) =>
    onCoordinator(core, `describing group ${groupId}`, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
      const message = createShareGroupDescribeRequest({ groupIds: [groupId] })
      const { response } = await core.requestNode(nodeId, 'coordinator', shareGroupDescribeApi, message, { timeoutMs })
      const group = response.groups.find((candidate) => candidate.groupId === groupId)
      return outcomeOf(core, groupId, nodeId, group, (group?.members ?? []).map(commonOf))
    })
  return Promise.all(groupIds.map(describe))
}

interface DescribedGroup {
  errorCode: number
  errorMessage: string | null
  groupState: string
  groupEpoch: number
  assignmentEpoch: number
  assignorName: string
}

function outcomeOf<Member>(
  core: ClientCore,
  groupId: string,
  coordinator: number,
  group: DescribedGroup | undefined,
  members: Member[],
): Outcome<ModernGroup<Member>> {
  const errorCode = group?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  throwIfCoordinatorMoved(core, groupId, errorCode)
  return {
    groupId,
    state: group?.groupState ?? '',
    groupEpoch: group?.groupEpoch ?? -1,
    assignmentEpoch: group?.assignmentEpoch ?? -1,
    assignor: group?.assignorName ?? '',
    coordinator,
    members,
    error: errorOf(errorCode, { subject: `group ${groupId}`, message: group?.errorMessage ?? null }),
  }
}

interface DescribedMember {
  memberId: string
  rackId: string | null
  memberEpoch: number
  clientId: string
  clientHost: string
  subscribedTopicNames: string[]
  assignment: ConsumerGroupDescribeResponseAssignment
}

function commonOf(member: DescribedMember): ModernMember {
  const { memberId, rackId, memberEpoch, clientId, clientHost, subscribedTopicNames, assignment } = member
  const topics = subscribedTopicNames
  return { memberId, rackId, memberEpoch, clientId, host: clientHost, topics, assignment: placesOf(assignment) }
}

function placesOf({ topicPartitions }: ConsumerGroupDescribeResponseAssignment): TopicPartition[] {
  return topicPartitions.flatMap(({ topicName, partitions }) =>
    partitions.map((partition) => ({ topic: topicName, partition })),
  )
}
