import {
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  deleteShareGroupOffsetsApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** DeleteShareGroupOffsets 0: an empty share group forgets topics (KIP-932). */
export function deleteShareGroupOffsetsHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse> {
  return defineHandler(deleteShareGroupOffsetsApi, (request) => deps.groups.shareGroups.deleteOffsets(request))
}
