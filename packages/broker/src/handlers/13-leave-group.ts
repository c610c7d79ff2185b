import {
  decodeLeaveGroupRequest,
  encodeLeaveGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** LeaveGroup 0–5: one member below version 3, many from there. */
export function leaveGroupHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<LeaveGroupRequest, LeaveGroupResponse> {
  return {
    apiKey: 13,
    minVersion: 0,
    maxVersion: 5,
    decodeRequest: decodeLeaveGroupRequest,
    encodeResponse: encodeLeaveGroupResponse,
    handle: (request, context) => deps.groups.members.leave(request, context),
  }
}
