import {
  type ShareGroupDescribeRequest,
  type ShareGroupDescribeResponse,
  shareGroupDescribeApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** ShareGroupDescribe 1: share groups as of their last commit (KIP-932). */
export function shareGroupDescribeHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<ShareGroupDescribeRequest, ShareGroupDescribeResponse> {
  return defineHandler(shareGroupDescribeApi, (request, context) => deps.groups.shareGroups.describe(request, context))
}
