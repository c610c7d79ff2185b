import {
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  consumerGroupDescribeApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** ConsumerGroupDescribe 0–1: consumer groups as of their last commit (KIP-848). */
export function consumerGroupDescribeHandler(deps: {
  readonly groups: GroupCoordinator
}): ApiHandler<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse> {
  return defineHandler(consumerGroupDescribeApi, (request, context) =>
    deps.groups.administration.describeConsumerGroups(request, context),
  )
}
