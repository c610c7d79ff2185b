import { AclResourceType } from '@millrace/consensus'
import {
  ApiKey,
  createDeletableGroupResult,
  createDeleteGroupsResponse,
  createDescribeGroupsResponse,
  createDescribeGroupsResponseDescribedGroup,
  createFindCoordinatorResponse,
  createFindCoordinatorResponseCoordinator,
  createHeartbeatResponse,
  createLeaveGroupResponse,
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
  errorInfo,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type ListGroupsRequest,
  type ListGroupsResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'
import { CoordinatorKeyType } from '../../coordinator/coordinator-finder.ts'
import { joinError, syncError } from '../../coordinator/group/group-protocol.ts'
import { joinResponse, lacksProtocol, syncResponse } from '../../coordinator/group/group-requests.ts'
import { mapInSlices } from '../../handlers/slices.ts'
import { OPERATIONS_NOT_ASKED } from '../../metadata/authorized-operations.ts'
import { addRows, andThen, type Guard, narrow, visible } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

const BATCHED_COORDINATORS_VERSION = 4
const SHARE_COORDINATORS_VERSION = 6

export const joinGroupGuard: Guard<JoinGroupRequest, JoinGroupResponse> = (request, { access, context }, next) => {
  const { group: need } = NEEDS[ApiKey.JOIN_GROUP]
  if (access.allows(need, request.groupId)) return next(request)
  return joinResponse(joinError(need.errorCode, ''), context.apiVersion)
}

/** A request that does not say what it syncs is wrong, whoever sends it. */
export const syncGroupGuard: Guard<SyncGroupRequest, SyncGroupResponse> = (request, { access, context }, next) => {
  const { group: need } = NEEDS[ApiKey.SYNC_GROUP]
  if (lacksProtocol(request, context.apiVersion) || access.allows(need, request.groupId)) return next(request)
  return syncResponse(syncError(need.errorCode))
}

export const heartbeatGuard: Guard<HeartbeatRequest, HeartbeatResponse> = (request, { access }, next) => {
  const { group: need } = NEEDS[ApiKey.HEARTBEAT]
  if (access.allows(need, request.groupId)) return next(request)
  return createHeartbeatResponse({ errorCode: need.errorCode })
}

export const leaveGroupGuard: Guard<LeaveGroupRequest, LeaveGroupResponse> = (request, { access }, next) => {
  const { group: need } = NEEDS[ApiKey.LEAVE_GROUP]
  if (access.allows(need, request.groupId)) return next(request)
  return createLeaveGroupResponse({ errorCode: need.errorCode })
}

export const describeGroupsGuard: Guard<DescribeGroupsRequest, DescribeGroupsResponse> = (request, scene, next) => {
  const { access, nextTurn } = scene
  const { group: need } = NEEDS[ApiKey.DESCRIBE_GROUPS]
  return narrow(scene, {
    items: request.groups,
    isAllowed: (groupId) => access.allows(need, groupId),
    ask: (groups) =>
      andThen(next({ ...request, groups }), (response) => {
        const told = mapInSlices(response.groups, nextTurn, (group) => {
          if (group.authorizedOperations === OPERATIONS_NOT_ASKED) return
          group.authorizedOperations = access.authorizedOperations(AclResourceType.GROUP, group.groupId)
        })
        return andThen(told, () => response)
      }),
    none: () => createDescribeGroupsResponse({}),
    refuse(response, refused) {
      addRows(response.groups, refused, (groupId) =>
        createDescribeGroupsResponseDescribedGroup({ groupId, errorCode: need.errorCode }),
      )
      return response
    },
  })
}

/** Who may describe the cluster sees all groups, anybody else those that they may describe. */
export const listGroupsGuard: Guard<ListGroupsRequest, ListGroupsResponse> = (request, scene, next) => {
  const { anyGroup, group: need } = NEEDS[ApiKey.LIST_GROUPS]
  if (scene.access.seesCluster(anyGroup)) return next(request)
  return andThen(next(request), (response) =>
    andThen(
      visible(scene, response.groups, ({ groupId }) => scene.access.passes(need, groupId)),
      (groups) => ({ ...response, groups }),
    ),
  )
}

export const deleteGroupsGuard: Guard<DeleteGroupsRequest, DeleteGroupsResponse> = (request, scene, next) => {
  const { group: need } = NEEDS[ApiKey.DELETE_GROUPS]
  return narrow(scene, {
    // Each is answered once, however often it is named.
    items: [...new Set(request.groupsNames)],
    isAllowed: (groupId) => scene.access.allows(need, groupId),
    ask: (groupsNames) => next({ ...request, groupsNames }),
    none: () => createDeleteGroupsResponse({}),
    refuse(response, refused) {
      addRows(response.results, refused, (groupId) =>
        createDeletableGroupResult({ groupId, errorCode: need.errorCode }),
      )
      return response
    },
  })
}

/** Where a coordinator is tells something of the group, or the transactional id, that it is asked for. */
export const findCoordinatorGuard: Guard<FindCoordinatorRequest, FindCoordinatorResponse> = (request, scene, next) => {
  const { keyType } = request
  const { apiVersion } = scene.context
  const need = needOfKey(keyType, apiVersion)
  if (need === null) return next(request)
  const { errorCode } = need
  const isAllowed = (key: string): boolean =>
    keyType === CoordinatorKeyType.SHARE ? scene.access.allowsCluster(need) : scene.access.allows(need, key)
  const nowhere = { errorCode, errorMessage: errorInfo(errorCode).description, nodeId: -1, host: '', port: -1 }
  if (apiVersion < BATCHED_COORDINATORS_VERSION) {
    return isAllowed(request.key) ? next(request) : createFindCoordinatorResponse(nowhere)
  }
  return narrow(scene, {
    items: request.coordinatorKeys,
    isAllowed,
    ask: (coordinatorKeys) => next({ ...request, coordinatorKeys }),
    none: () => createFindCoordinatorResponse({}),
    refuse(response, refused) {
      addRows(response.coordinators, refused, (key) => createFindCoordinatorResponseCoordinator({ key, ...nowhere }))
      return response
    },
  })
}

/** Null: such keys are refused by themselves. */
function needOfKey(keyType: number, apiVersion: number): Need | null {
  const { group, transaction, share } = NEEDS[ApiKey.FIND_COORDINATOR]
  switch (keyType) {
    case CoordinatorKeyType.GROUP:
      return group
    case CoordinatorKeyType.TRANSACTION:
      return transaction
    case CoordinatorKeyType.SHARE:
      return apiVersion < SHARE_COORDINATORS_VERSION ? null : share
    default:
      return null
  }
}
