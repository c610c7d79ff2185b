import {
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createSyncGroupRequest,
  createSyncGroupRequestAssignment,
  ErrorCode,
  type JoinGroupResponse,
  joinGroupApi,
  type SyncGroupRequestAssignment,
  syncGroupApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import { withCoordinator } from '../offsets/committed-offsets.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol-codec.ts'

/** Who we are in the group. */
export interface GroupIdentity {
  /** Empty before the coordinator gave one. */
  memberId: string
  /** -1 while not in a generation. */
  generationId: number
  protocolName: string | null
}

/** What a completed rebalance gave. */
export interface JoinOutcome {
  assignment: TopicPartition[]
  /** For the leader, the partition counts that it assigned from; null for others. */
  partitionCounts: ReadonlyMap<string, number> | null
}

/** One round's result: an assignment, or another round is needed, maybe without a pause. */
export interface JoinStep {
  identity: GroupIdentity
  outcome: JoinOutcome | null
  atOnce: boolean
}

/** The coordinator may hold a join for the whole rebalance time; this much more for the way. */
const JOIN_GRACE_MS = 5000

/**
 * JoinGroup and SyncGroup once. Errors that a further round mends give a step without outcome; others reject, retriable ones (no
 * coordinator, broken connections) included.
 */
export async function joinRound(
  core: ClientCore,
  options: ResolvedConsumerOptions,
  groupId: string,
  identity: GroupIdentity,
  wants: { topics: readonly string[]; owned: readonly TopicPartition[] },
): Promise<JoinStep> {
  const joined = await join(core, options, groupId, identity, wants)
  const again = afterJoinError(joined, identity)
  if (again !== null) return again
  throwIfError(joined.errorCode, { subject: `joining group ${groupId}` })
  const current: GroupIdentity = {
    memberId: joined.memberId,
    generationId: joined.generationId,
    protocolName: joined.protocolName,
  }
  const isLeader = joined.leader === joined.memberId && !joined.skipAssignment
  const made = isLeader ? await assign(core, options, joined) : null
  return sync(core, options, groupId, current, made)
}

async function join(
  core: ClientCore,
  options: ResolvedConsumerOptions,
  groupId: string,
  identity: GroupIdentity,
  wants: { topics: readonly string[]; owned: readonly TopicPartition[] },
): Promise<JoinGroupResponse> {
  const { sessionTimeoutMs, maxPollIntervalMs, groupInstanceId, clientRack } = options
  const metadata = encodeSubscription({
    topics: wants.topics,
    ownedPartitions: wants.owned,
    generationId: identity.generationId,
    clientRack,
  })
  const message = createJoinGroupRequest({
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: maxPollIntervalMs,
    memberId: identity.memberId,
    groupInstanceId,
    protocolType: 'consumer',
    protocols: options.assignors.map(({ name }) => createJoinGroupRequestProtocol({ name, metadata })),
    reason: null,
  })
  const timeoutMs = Math.max(maxPollIntervalMs + JOIN_GRACE_MS, core.options.requestTimeoutMs)
  const { response } = await withCoordinator(core, groupId, (nodeId) =>
    core.requestNode(nodeId, 'join', joinGroupApi, message, { timeoutMs }),
  )
  return response
}

/** The next step for errors that are part of the protocol; null for success and for errors to be thrown. */
function afterJoinError(response: JoinGroupResponse, identity: GroupIdentity): JoinStep | null {
  switch (response.errorCode) {
    case ErrorCode.MEMBER_ID_REQUIRED:
      return { identity: { ...identity, memberId: response.memberId }, outcome: null, atOnce: true }
    case ErrorCode.UNKNOWN_MEMBER_ID:
      return {
        identity: { memberId: '', generationId: -1, protocolName: null },
        outcome: null,
        atOnce: identity.memberId !== '',
      }
    case ErrorCode.ILLEGAL_GENERATION:
      return { identity: { ...identity, generationId: -1 }, outcome: null, atOnce: identity.generationId !== -1 }
    case ErrorCode.REBALANCE_IN_PROGRESS:
      return { identity, outcome: null, atOnce: false }
    default:
      return null
  }
}

interface MadeAssignment {
  assignments: SyncGroupRequestAssignment[]
  partitionCounts: ReadonlyMap<string, number>
}

/** The leader's part: shares the partitions of all topics that members want. */
async function assign(
  core: ClientCore,
  options: ResolvedConsumerOptions,
  joined: JoinGroupResponse,
): Promise<MadeAssignment> {
  const assignor = options.assignors.find(({ name }) => name === joined.protocolName)
  if (assignor === undefined) {
    throw new ProtocolError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, {
      message: `the coordinator chose ${joined.protocolName}`,
    })
  }
  const members = joined.members.map(({ memberId, groupInstanceId, metadata }) =>
    decodeSubscription(memberId, groupInstanceId, metadata),
  )
  const topics = [...new Set(members.flatMap((member) => [...member.topics]))]
  const partitionCounts = await partitionCountsOf(core, topics)
  const assignment = assignor.assign(members, partitionCounts)
  const assignments = members.map(({ memberId }) =>
    createSyncGroupRequestAssignment({ memberId, assignment: encodeAssignment(assignment.get(memberId) ?? []) }),
  )
  return { assignments, partitionCounts }
}

/** Members may want topics that this one does not: metadata is asked for them, once. Topics that do not exist count 0. */
async function partitionCountsOf(core: ClientCore, topics: readonly string[]): Promise<Map<string, number>> {
  for (const topic of topics) core.metadata.addTopic(topic)
  try {
    if (topics.some((topic) => !core.metadata.view.topics.has(topic))) await core.metadata.update()
    return new Map(topics.map((topic) => [topic, core.metadata.view.topics.get(topic)?.partitions.length ?? 0]))
  } finally {
    for (const topic of topics) core.metadata.removeTopic(topic)
  }
}

async function sync(
  core: ClientCore,
  options: ResolvedConsumerOptions,
  groupId: string,
  identity: GroupIdentity,
  made: MadeAssignment | null,
): Promise<JoinStep> {
  const message = createSyncGroupRequest({
    groupId,
    generationId: identity.generationId,
    memberId: identity.memberId,
    groupInstanceId: options.groupInstanceId,
    protocolType: 'consumer',
    protocolName: identity.protocolName,
    assignments: made?.assignments ?? [],
  })
  const timeoutMs = Math.max(options.maxPollIntervalMs + JOIN_GRACE_MS, core.options.requestTimeoutMs)
  const { response } = await withCoordinator(core, groupId, (nodeId) =>
    core.requestNode(nodeId, 'join', syncGroupApi, message, { timeoutMs }),
  )
  const none = { outcome: null, atOnce: true }
  if (response.errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return { identity, ...none }
  if (response.errorCode === ErrorCode.UNKNOWN_MEMBER_ID) {
    return { identity: { memberId: '', generationId: -1, protocolName: null }, ...none }
  }
  if (response.errorCode === ErrorCode.ILLEGAL_GENERATION)
    return { identity: { ...identity, generationId: -1 }, ...none }
  throwIfError(response.errorCode, { subject: `joining group ${groupId}` })
  const outcome = { assignment: decodeAssignment(response.assignment), partitionCounts: made?.partitionCounts ?? null }
  return { identity, outcome, atOnce: false }
}
