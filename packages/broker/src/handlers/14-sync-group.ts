import {
  decodeSyncGroupRequest,
  encodeSyncGroupResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** SyncGroup 0–5: answered when the assignment of the leader is committed. Names its protocol from version 5. */
export function syncGroupHandler(deps: { groups: GroupCoordinator }): ApiHandler<SyncGroupRequest, SyncGroupResponse> {
  return {
    apiKey: 14,
    minVersion: 0,
    maxVersion: 5,
    decodeRequest: decodeSyncGroupRequest,
    encodeResponse: encodeSyncGroupResponse,
    handle: (request, context) => deps.groups.members.sync(request, context),
  }
}
