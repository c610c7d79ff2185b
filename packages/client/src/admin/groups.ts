import {
  consumerGroupDescribeApi,
  createConsumerGroupDescribeRequest,
  createDeleteGroupsRequest,
  createDescribeGroupsRequest,
  createListGroupsRequest,
  deleteGroupsApi,
  describeGroupsApi,
  ErrorCode,
  listGroupsApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { decodeAssignment } from '../consumer/consumer-protocol-codec.ts'
import { UnsupportedVersionError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { forgetIfMoved, withCoordinator } from '../offsets/committed-offsets.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A group in a list. */
export interface GroupListing {
  groupId: string
  /** `consumer` for consumers of the classic protocol, `connect` for Connect; empty where only offsets were committed. */
  protocolType: string
  /** `Stable`, `Empty`, …; empty when the broker does not tell. */
  state: string
  /** `classic`, `consumer`, `share`, `streams`; empty when the broker does not tell. */
  type: string
}

export interface GroupMember {
  memberId: string
  groupInstanceId: string | null
  clientId: string
  host: string
  assignment: TopicPartition[]
  /** Of members of consumer groups (KIP-848), else null: how far the member has come. */
  epoch: number | null
  /** How the member talks to its coordinator: in a group that changes its protocol it may be either way. */
  protocol: 'classic' | 'consumer'
}

export interface GroupDescription {
  groupId: string
  type: 'classic' | 'consumer'
  protocolType: string
  state: string
  /** Assignor in use, empty if none. */
  assignor: string
  /** Of consumer groups (KIP-848), else null: that of the group, and that for which there is an assignment. */
  epoch: number | null
  assignmentEpoch: number | null
  /** Node id. */
  coordinator: number
  members: GroupMember[]
}

/** How ConsumerGroupDescribe says that a member speaks the classic protocol (v1). */
const CLASSIC_MEMBER = 0

/** Filters by state came with version 4 (KIP-518), by type with version 5 (KIP-848). */
const STATES_FROM_VERSION = 4
const TYPES_FROM_VERSION = 5

/** Groups of all brokers, by id. Each broker knows those that it coordinates; a broker that cannot be reached makes the call fail. */
export async function listGroups(
  core: ClientCore,
  options: AdminCallOptions & { states?: readonly string[]; types?: readonly string[] },
): Promise<GroupListing[]> {
  const { states = [], types = [] } = options
  const timeoutMs = limitOf(core, options)
  await core.ensureMetadata(timeoutMs)
  const message = createListGroupsRequest({ statesFilter: [...states], typesFilter: [...types] })
  const minVersion = types.length > 0 ? TYPES_FROM_VERSION : states.length > 0 ? STATES_FROM_VERSION : 0
  const nodes = [...core.metadata.view.brokers.keys()]
  const answers = await Promise.all(
    nodes.map((nodeId) =>
      core.retrying(`listing groups of broker ${nodeId}`, timeoutMs, async (leftMs) => {
        const { response } = await core.requestNode(nodeId, 'main', listGroupsApi, message, {
          timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs),
          minVersion,
        })
        if (response.errorCode !== ErrorCode.NONE) throw new ProtocolError(response.errorCode)
        return response.groups
      }),
    ),
  )
  const byId = new Map<string, GroupListing>()
  for (const { groupId, protocolType, groupState, groupType } of answers.flat()) {
    byId.set(groupId, { groupId, protocolType, state: groupState, type: groupType.toLowerCase() })
  }
  return [...byId.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

/** Members and state of groups, of either protocol. A group that nobody knows has the error GROUP_ID_NOT_FOUND. */
export async function describeGroups(
  core: ClientCore,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<GroupDescription>[]> {
  return Promise.all(groupIds.map((groupId) => describeGroup(core, groupId, limitOf(core, options))))
}

/** Deletes groups without members, and the offsets that they committed. */
export async function deleteGroups(
  core: ClientCore,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<{ groupId: string }>[]> {
  return Promise.all(
    groupIds.map((groupId) =>
      onCoordinator(core, `deleting group ${groupId}`, groupId, limitOf(core, options), async (nodeId, leftMs) => {
        const message = createDeleteGroupsRequest({ groupsNames: [groupId] })
        const { response } = await core.requestNode(nodeId, 'coordinator', deleteGroupsApi, message, {
          timeoutMs: leftMs,
        })
        const result = response.results.find((candidate) => candidate.groupId === groupId)
        const errorCode = result?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
        throwIfCoordinatorMoved(core, groupId, errorCode)
        return {
          groupId,
          error: errorOf(errorCode, { subject: `group ${groupId}`, message: result?.errorMessage ?? null }),
        }
      }),
    ),
  )
}

/** Runs a call on the coordinator, again while it moves or loads. */
export function onCoordinator<T>(
  core: ClientCore,
  what: string,
  groupId: string,
  timeoutMs: number,
  call: (nodeId: number, leftMs: number) => Promise<T>,
): Promise<T> {
  return core.retrying(what, timeoutMs, (leftMs) =>
    withCoordinator(core, groupId, (nodeId) => call(nodeId, Math.min(leftMs, core.options.requestTimeoutMs))),
  )
}

/** Throws the retriable error that makes {@link onCoordinator} go on, if the code is one. */
export function throwIfCoordinatorMoved(core: ClientCore, groupId: string, errorCode: number): void {
  forgetIfMoved(core, groupId, errorCode)
  const error = errorOf(errorCode, { subject: `group ${groupId}` })
  if (error?.retriable) throw error
}

function describeGroup(core: ClientCore, groupId: string, timeoutMs: number): Promise<Outcome<GroupDescription>> {
  return onCoordinator(core, `describing group ${groupId}`, groupId, timeoutMs, async (nodeId, leftMs) => {
    const modern = await describeModern(core, groupId, nodeId, leftMs)
    return modern ?? describeClassic(core, groupId, nodeId, leftMs)
  })
}

/** Null if it is no group of the newer protocol, or the broker does not know that protocol. */
async function describeModern(
  core: ClientCore,
  groupId: string,
  nodeId: number,
  timeoutMs: number,
): Promise<Outcome<GroupDescription> | null> {
  const message = createConsumerGroupDescribeRequest({ groupIds: [groupId] })
  try {
    const { response } = await core.requestNode(nodeId, 'coordinator', consumerGroupDescribeApi, message, { timeoutMs })
    const group = response.groups.find((candidate) => candidate.groupId === groupId)
    const errorCode = group?.errorCode ?? ErrorCode.GROUP_ID_NOT_FOUND
    throwIfCoordinatorMoved(core, groupId, errorCode)
    if (group === undefined || errorCode === ErrorCode.GROUP_ID_NOT_FOUND) return null
    if (errorCode === ErrorCode.UNSUPPORTED_VERSION) return null
    return {
      groupId,
      type: 'consumer',
      protocolType: 'consumer',
      state: group.groupState,
      assignor: group.assignorName,
      epoch: group.groupEpoch,
      assignmentEpoch: group.assignmentEpoch,
      coordinator: nodeId,
      error: errorOf(errorCode, { subject: `group ${groupId}`, message: group.errorMessage }),
      members: group.members.map(
        ({ memberId, instanceId, clientId, clientHost, assignment, memberEpoch, memberType }) => ({
          memberId,
          epoch: memberEpoch,
          // Version 0 does not tell.
          protocol: memberType === CLASSIC_MEMBER ? 'classic' : 'consumer',
          groupInstanceId: instanceId,
          clientId,
          host: clientHost,
          assignment: assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
            partitions.map((partition) => ({ topic: topicName, partition })),
          ),
        }),
      ),
    }
  } catch (error) {
    if (error instanceof UnsupportedVersionError) return null
    throw error
  }
}

async function describeClassic(
  core: ClientCore,
  groupId: string,
  nodeId: number,
  timeoutMs: number,
): Promise<Outcome<GroupDescription>> {
  const message = createDescribeGroupsRequest({ groups: [groupId] })
  const { response } = await core.requestNode(nodeId, 'coordinator', describeGroupsApi, message, { timeoutMs })
  const group = response.groups.find((candidate) => candidate.groupId === groupId)
  let errorCode = group?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  throwIfCoordinatorMoved(core, groupId, errorCode)
  // Brokers before version 6 answer for a group that does not exist as for one that died.
  if (errorCode === ErrorCode.NONE && group?.groupState === 'Dead') errorCode = ErrorCode.GROUP_ID_NOT_FOUND
  return {
    groupId,
    type: 'classic',
    protocolType: group?.protocolType ?? '',
    state: group?.groupState ?? '',
    assignor: group?.protocolData ?? '',
    epoch: null,
    assignmentEpoch: null,
    coordinator: nodeId,
    error: errorOf(errorCode, { subject: `group ${groupId}`, message: group?.errorMessage ?? null }),
    members: (group?.members ?? []).map(({ memberId, groupInstanceId, clientId, clientHost, memberAssignment }) => ({
      memberId,
      epoch: null,
      protocol: 'classic',
      groupInstanceId,
      clientId,
      host: clientHost,
      assignment: group?.protocolType === 'consumer' ? decodeAssignment(memberAssignment) : [],
    })),
  }
}
