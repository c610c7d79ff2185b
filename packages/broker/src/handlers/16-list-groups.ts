import {
  decodeListGroupsRequest,
  encodeListGroupsResponse,
  type ListGroupsRequest,
  type ListGroupsResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** ListGroups 0–5: groups of the partitions that this node leads. Filters by state from version 4, by type from 5. */
export function listGroupsHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<ListGroupsRequest, ListGroupsResponse> {
  return {
    apiKey: 16,
    minVersion: 0,
    maxVersion: 5,
    decodeRequest: decodeListGroupsRequest,
    encodeResponse: encodeListGroupsResponse,
    handle: (request, context) => deps.groups.administration.list(request, context),
  }
}
