import {
  createJoinGroupResponse,
  createJoinGroupResponseMember,
  createLeaveGroupResponse,
  createMemberResponse,
  createSyncGroupResponse,
  ErrorCode,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import type { LeaveAnswer, LeavingMember } from './classic-membership.ts'
import { clientHostOf } from './client-host.ts'
import type { JoinAnswer, JoinInput, SyncAnswer, SyncInput } from './group-protocol.ts'

/** First versions that know of something; below them the request is answered as its clients expect. */
const JOIN_REBALANCE_TIMEOUT_VERSION = 1
const JOIN_KNOWN_MEMBER_ID_VERSION = 4
const JOIN_NULL_PROTOCOL_VERSION = 7
const JOIN_SKIP_ASSIGNMENT_VERSION = 9
const LEAVE_MEMBERS_VERSION = 3
const SYNC_PROTOCOL_VERSION = 5

/** Metadata is copied: members outlive the request's buffer. */
export function joinInput(request: JoinGroupRequest, context: RequestContext): JoinInput {
  const { apiVersion, clientId, connection } = context
  const { sessionTimeoutMs } = request
  return {
    groupId: request.groupId,
    memberId: request.memberId,
    groupInstanceId: request.groupInstanceId,
    clientId,
    clientHost: clientHostOf(connection),
    sessionTimeoutMs,
    rebalanceTimeoutMs: apiVersion < JOIN_REBALANCE_TIMEOUT_VERSION ? sessionTimeoutMs : request.rebalanceTimeoutMs,
    protocolType: request.protocolType,
    protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })),
    requiresKnownMemberId: apiVersion >= JOIN_KNOWN_MEMBER_ID_VERSION,
    supportsSkippingAssignment: apiVersion >= JOIN_SKIP_ASSIGNMENT_VERSION,
    reason: request.reason,
  }
}

export function joinResponse(answer: JoinAnswer, apiVersion: number): JoinGroupResponse {
  const noProtocol = apiVersion < JOIN_NULL_PROTOCOL_VERSION ? '' : null
  return createJoinGroupResponse({
    errorCode: answer.errorCode,
    generationId: answer.generationId,
    protocolType: answer.protocolType,
    protocolName: answer.protocolName ?? noProtocol,
    leader: answer.leader,
    skipAssignment: answer.skipAssignment,
    memberId: answer.memberId,
    members: answer.members.map(({ memberId, groupInstanceId, metadata }) =>
      createJoinGroupResponseMember({ memberId, groupInstanceId, metadata }),
    ),
  })
}

/** Assignments are copied: members outlive the request's buffer. */
export function syncInput(request: SyncGroupRequest): SyncInput {
  const { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName } = request
  const assignments = new Map<string, Buffer>()
  for (const each of request.assignments) assignments.set(each.memberId, Buffer.from(each.assignment))
  return { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName, assignments }
}

/** From version 5 a member says which protocol it takes the group to use. */
export function lacksProtocol(request: SyncGroupRequest, apiVersion: number): boolean {
  return apiVersion >= SYNC_PROTOCOL_VERSION && (request.protocolType === null || request.protocolName === null)
}

export function syncResponse(answer: SyncAnswer): SyncGroupResponse {
  const { errorCode, protocolType, protocolName, assignment } = answer
  return createSyncGroupResponse({ errorCode, protocolType, protocolName, assignment })
}

/** Below version 3 a request names one member, by its id. */
export function leavingMembers(request: LeaveGroupRequest, apiVersion: number): readonly LeavingMember[] {
  if (apiVersion >= LEAVE_MEMBERS_VERSION) return request.members
  return [{ memberId: request.memberId, groupInstanceId: null }]
}

export function leaveResponse(
  answer: LeaveAnswer,
  members: readonly LeavingMember[],
  apiVersion: number,
): LeaveGroupResponse {
  const { errorCode, memberErrors } = answer
  if (apiVersion < LEAVE_MEMBERS_VERSION) {
    return createLeaveGroupResponse({ errorCode: errorCode === 0 ? (memberErrors[0] ?? ErrorCode.NONE) : errorCode })
  }
  const answered = memberErrors.length === 0 ? [] : members
  return createLeaveGroupResponse({
    errorCode,
    members: answered.map(({ memberId, groupInstanceId }, slot) =>
      createMemberResponse({ memberId, groupInstanceId, errorCode: memberErrors[slot]! }),
    ),
  })
}
