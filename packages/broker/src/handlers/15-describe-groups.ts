import {
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
  decodeDescribeGroupsRequest,
  encodeDescribeGroupsResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** DescribeGroups 0–6 of classic groups. An unknown group is an error from version 6. */
export function describeGroupsHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<DescribeGroupsRequest, DescribeGroupsResponse> {
  return {
    apiKey: 15,
    minVersion: 0,
    maxVersion: 6,
    decodeRequest: decodeDescribeGroupsRequest,
    encodeResponse: encodeDescribeGroupsResponse,
    handle: (request, context) => deps.groups.administration.describe(request, context),
  }
}
