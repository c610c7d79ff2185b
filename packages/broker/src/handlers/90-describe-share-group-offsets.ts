import {
  type DescribeShareGroupOffsetsRequest,
  type DescribeShareGroupOffsetsResponse,
  describeShareGroupOffsetsApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** DescribeShareGroupOffsets 0–1: where share groups are in their partitions, and how far behind (KIP-932, KIP-1226). */
export function describeShareGroupOffsetsHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse> {
  return defineHandler(describeShareGroupOffsetsApi, (request) => deps.groups.shareGroups.describeOffsets(request))
}
