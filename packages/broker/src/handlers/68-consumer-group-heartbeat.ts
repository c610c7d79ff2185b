import {
  ApiKey,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  consumerGroupHeartbeatApi,
} from '@millrace/protocol'
import type { Authorizer } from '../authorization/authorizer.ts'
import { NEEDS } from '../authorization/needs.ts'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

const ANY_TOPIC = (): boolean => true

/**
 * ConsumerGroupHeartbeat 0–1: how members of consumer groups join, stay, come to their partitions, and leave (KIP-848). Regular
 * expressions tell a client only of topics that it may know of.
 */
export function consumerGroupHeartbeatHandler(deps: {
  readonly groups: GroupCoordinator
  /** Null: everybody may see all topics. */
  readonly authorizer: Authorizer | null
}): ApiHandler<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse> {
  const { groups, authorizer } = deps
  const { topic: need } = NEEDS[ApiKey.CONSUMER_GROUP_HEARTBEAT]
  return defineHandler(consumerGroupHeartbeatApi, (request, context) => {
    const access = authorizer?.accessOf(context.connection) ?? null
    const mayDescribe = access === null ? ANY_TOPIC : (topic: string) => access.passes(need, topic)
    return groups.members.consumerHeartbeat(request, context, mayDescribe)
  })
}
