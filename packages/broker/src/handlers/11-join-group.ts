import {
  decodeJoinGroupRequest,
  encodeJoinGroupResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** JoinGroup 0–9: answered when the rebalance completes. A new dynamic member joins twice from version 4. */
export function joinGroupHandler(deps: { groups: GroupCoordinator }): ApiHandler<JoinGroupRequest, JoinGroupResponse> {
  return {
    apiKey: 11,
    minVersion: 0,
    maxVersion: 9,
    decodeRequest: decodeJoinGroupRequest,
    encodeResponse: encodeJoinGroupResponse,
    handle: (request, context) => deps.groups.members.join(request, context),
  }
}
