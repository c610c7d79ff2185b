import {
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  decodeDeleteGroupsRequest,
  encodeDeleteGroupsResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** DeleteGroups 0–3: empty groups only. */
export function deleteGroupsHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<DeleteGroupsRequest, DeleteGroupsResponse> {
  return {
    apiKey: 42,
    minVersion: 0,
    maxVersion: 3,
    decodeRequest: decodeDeleteGroupsRequest,
    encodeResponse: encodeDeleteGroupsResponse,
    handle: (request) => deps.groups.administration.delete(request),
  }
}
