import {
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
  shareGroupHeartbeatApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** ShareGroupHeartbeat 1: how members of share groups join, stay, come to their partitions, and leave (KIP-932). */
export function shareGroupHeartbeatHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse> {
  return defineHandler(shareGroupHeartbeatApi, (request, context) =>
    deps.groups.shareGroups.heartbeat(request, context),
  )
}
