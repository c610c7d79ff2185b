import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsResponse,
  alterShareGroupOffsetsApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** AlterShareGroupOffsets 0: an empty share group begins elsewhere (KIP-932). */
export function alterShareGroupOffsetsHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse> {
  return defineHandler(alterShareGroupOffsetsApi, (request) => deps.groups.shareGroups.alterOffsets(request))
}
