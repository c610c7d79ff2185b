import {
  createDeleteGroupsRequest,
  createFindCoordinatorRequest,
  createHeartbeatRequest,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createLeaveGroupRequest,
  createMemberIdentity,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestTopic,
  createSyncGroupRequest,
  createSyncGroupRequestAssignment,
  deleteGroupsApi,
  ErrorCode,
  findCoordinatorApi,
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  offsetCommitApi,
  offsetFetchApi,
  syncGroupApi,
} from '@millrace/protocol'
import type { WireClient } from '../../load/wire-client.ts'

const SESSION_MS = 10_000
const COMMITS = 5
const COORDINATOR_TRIES = 100

function check(what: string, errorCode: number): void {
  if (errorCode !== ErrorCode.NONE) throw new Error(`${what}: error ${errorCode}`)
}

/** The first question makes the topic of offsets, whose coordinators are there a moment later. */
export async function awaitCoordinator(client: WireClient, groupId: string, pause: () => Promise<void>): Promise<void> {
  for (let tries = 0; tries < COORDINATOR_TRIES; tries++) {
    const answer = await client.call(findCoordinatorApi, 3, createFindCoordinatorRequest({ key: groupId, keyType: 0 }))
    if (answer.errorCode === ErrorCode.NONE) return
    if (answer.errorCode !== ErrorCode.COORDINATOR_NOT_AVAILABLE) check('find coordinator', answer.errorCode)
    await pause()
  }
  throw new Error(`no coordinator of ${groupId} after ${COORDINATOR_TRIES} tries`)
}

/** The life of a group: one member joins, commits now and then, reads its offsets back, leaves; then the group is deleted. */
export async function liveAsGroup(
  client: WireClient,
  groupId: string,
  topic: string,
  pause: () => Promise<void>,
): Promise<void> {
  // Version 3: the member gets its id with its first join.
  const joined = await client.call(
    joinGroupApi,
    3,
    createJoinGroupRequest({
      groupId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: SESSION_MS,
      memberId: '',
      protocolType: 'consumer',
      protocols: [createJoinGroupRequestProtocol({ name: 'range', metadata: Buffer.alloc(64) })],
    }),
  )
  check('join', joined.errorCode)
  const { memberId, generationId } = joined
  const assignments = [createSyncGroupRequestAssignment({ memberId, assignment: Buffer.alloc(64) })]
  const sync = createSyncGroupRequest({ groupId, generationId, memberId, assignments })
  check('sync', (await client.call(syncGroupApi, 3, sync)).errorCode)
  for (let committedOffset = 1; committedOffset <= COMMITS; committedOffset++) {
    await pause()
    const beat = createHeartbeatRequest({ groupId, generationId, memberId })
    check('heartbeat', (await client.call(heartbeatApi, 3, beat)).errorCode)
    await commit(client, { groupId, generationId, memberId }, topic, committedOffset)
  }
  await checkCommitted(client, groupId, topic)
  const leave = createLeaveGroupRequest({ groupId, members: [createMemberIdentity({ memberId })] })
  check('leave', (await client.call(leaveGroupApi, 3, leave)).errorCode)
  const deleted = await client.call(deleteGroupsApi, 2, createDeleteGroupsRequest({ groupsNames: [groupId] }))
  check('delete group', deleted.results[0]!.errorCode)
}

async function commit(
  client: WireClient,
  member: { groupId: string; generationId: number; memberId: string },
  topic: string,
  committedOffset: number,
): Promise<void> {
  const { groupId, generationId, memberId } = member
  const partitions = [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset, committedMetadata: '' })]
  const topics = [createOffsetCommitRequestTopic({ name: topic, partitions })]
  const request = createOffsetCommitRequest({ groupId, generationIdOrMemberEpoch: generationId, memberId, topics })
  const answer = await client.call(offsetCommitApi, 7, request)
  check('commit', answer.topics[0]!.partitions[0]!.errorCode)
}

async function checkCommitted(client: WireClient, groupId: string, topic: string): Promise<void> {
  const topics = [createOffsetFetchRequestTopic({ name: topic, partitionIndexes: [0] })]
  const answer = await client.call(
    offsetFetchApi,
    7,
    createOffsetFetchRequest({ groupId, topics, requireStable: true }),
  )
  const { errorCode, committedOffset } = answer.topics[0]!.partitions[0]!
  check('offset fetch', errorCode || answer.errorCode)
  if (Number(committedOffset) !== COMMITS)
    throw new Error(`offset ${committedOffset} where ${COMMITS} was committed last`)
}
