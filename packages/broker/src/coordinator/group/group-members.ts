import {
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  createHeartbeatResponse,
  ErrorCode,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { LeaveAnswer } from './classic-membership.ts'
import { heartbeatComplaint, heartbeatInput, heartbeatResponse } from './consumer/consumer-requests.ts'
import { isTopicRegexLoaded, loadTopicRegex } from './consumer/topic-regex.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import { type GroupReply, joinError, syncError } from './group-protocol.ts'
import {
  joinInput,
  joinResponse,
  lacksProtocol,
  leaveResponse,
  leavingMembers,
  syncInput,
  syncResponse,
} from './group-requests.ts'
import type { GroupShards } from './group-shards.ts'
import type { LimitRefusals } from './limit-refusals.ts'
import { heartbeatError } from './modern/heartbeat-answer.ts'

/** What requests of members need of their coordinator. */
export interface GroupMembersDeps {
  readonly config: GroupCoordinatorConfig
  readonly shards: GroupShards
  readonly refusals: LimitRefusals
  /** Consumer groups (KIP-848) are to be had now. */
  servesConsumerGroups(): boolean
}

/** Requests by which members of classic and consumer groups come, stay and go. Those of share groups: `share/share-groups.ts`. */
export class GroupMembers {
  readonly #deps: GroupMembersDeps
  readonly #shards: GroupShards
  readonly #refusals: LimitRefusals

  constructor(deps: GroupMembersDeps) {
    this.#deps = deps
    this.#shards = deps.shards
    this.#refusals = deps.refusals
  }

  join(request: JoinGroupRequest, context: RequestContext): Promise<JoinGroupResponse> {
    const { apiVersion } = context
    const { groupId, memberId, sessionTimeoutMs } = request
    const { groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs } = this.#deps.config
    const failed = (errorCode: number): Promise<JoinGroupResponse> =>
      Promise.resolve(joinResponse(joinError(errorCode, memberId), apiVersion))
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failed(absence)
    if (sessionTimeoutMs < groupMinSessionTimeoutMs || sessionTimeoutMs > groupMaxSessionTimeoutMs) {
      return failed(ErrorCode.INVALID_SESSION_TIMEOUT)
    }
    const input = joinInput(request, context)
    return this.#shards.park(
      partition,
      (machine, token, step) => {
        machine.join(input, token, step)
        this.#refusals.maybeTell()
      },
      (errorCode) => joinError(errorCode, memberId),
      (reply) => joinResponse(reply as Extract<GroupReply, { kind: 'join' }>, apiVersion),
    )
  }

  sync(request: SyncGroupRequest, context: RequestContext): Promise<SyncGroupResponse> {
    const failed = (errorCode: number): Promise<SyncGroupResponse> =>
      Promise.resolve(syncResponse(syncError(errorCode)))
    if (lacksProtocol(request, context.apiVersion)) return failed(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    const { partition, errorCode: absence } = this.#shards.placeOf(request.groupId)
    if (partition === null) return failed(absence)
    const input = syncInput(request)
    return this.#shards.park(
      partition,
      (machine, token, step) => {
        machine.sync(input, token, step)
        this.#refusals.maybeTell()
      },
      syncError,
      (reply) => syncResponse(reply as Extract<GroupReply, { kind: 'sync' }>),
    )
  }

  async heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const respond = (errorCode: number): HeartbeatResponse => createHeartbeatResponse({ errorCode })
    const { partition, errorCode: absence } = this.#shards.placeOf(request.groupId)
    if (partition === null) return respond(absence)
    const outcome = await this.#shards.write(partition, (machine, step) => machine.heartbeat(request, step))
    // While the group loads the member is not thrown out: it may well be in it.
    if (outcome.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) return respond(ErrorCode.NONE)
    return respond(outcome.response ?? responseErrorOf(outcome.errorCode))
  }

  async leave(request: LeaveGroupRequest, context: RequestContext): Promise<LeaveGroupResponse> {
    const { groupId } = request
    const members = leavingMembers(request, context.apiVersion)
    const respond = (answer: LeaveAnswer): LeaveGroupResponse => leaveResponse(answer, members, context.apiVersion)
    const failed = (errorCode: number): LeaveGroupResponse => respond({ errorCode, memberErrors: [] })
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failed(absence)
    const outcome = await this.#shards.write(partition, (machine, step) => machine.leave(groupId, members, step))
    return outcome.response === null ? failed(responseErrorOf(outcome.errorCode)) : respond(outcome.response)
  }

  /** `mayDescribe` says of topics which the client may know of: it is told of those that its regular expression matches. */
  async consumerHeartbeat(
    request: ConsumerGroupHeartbeatRequest,
    context: RequestContext,
    mayDescribe: (topic: string) => boolean,
  ): Promise<ConsumerGroupHeartbeatResponse> {
    const failed = (errorCode: number, message: string | null): ConsumerGroupHeartbeatResponse =>
      heartbeatResponse(heartbeatError(errorCode, message))
    if (!this.#deps.servesConsumerGroups()) {
      return failed(ErrorCode.UNSUPPORTED_VERSION, 'The consumer group protocol is not enabled.')
    }
    const complaint = heartbeatComplaint(request, context.apiVersion)
    if (complaint !== null) return failed(ErrorCode.INVALID_REQUEST, complaint)
    const partition = this.#shards.partitionFor(request.groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE, null)
    if (!isTopicRegexLoaded()) await loadTopicRegex()
    const input = heartbeatInput(request, context, mayDescribe)
    const outcome = await this.#shards.write(partition, (machine, step) => machine.consumerHeartbeat(input, step))
    this.#refusals.maybeTell()
    if (outcome.response === null) return failed(responseErrorOf(outcome.errorCode), null)
    return heartbeatResponse(outcome.response)
  }
}
