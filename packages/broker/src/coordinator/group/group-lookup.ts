import type { ClassicGroup } from './classic-group.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'
import type { GroupContext } from './group-context.ts'
import type { ShareGroup } from './share/share-group.ts'

/** Undefined: there is no such group, or it is of another kind. */
export function classicGroupOf(context: GroupContext, groupId: string): ClassicGroup | undefined {
  const group = context.groups.get(groupId)
  return group?.type === 'classic' ? group : undefined
}

/** Undefined: there is no such group, or it is of another kind. */
export function consumerGroupOf(context: GroupContext, groupId: string): ConsumerGroup | undefined {
  const group = context.groups.get(groupId)
  return group?.type === 'consumer' ? group : undefined
}

/** Undefined: there is no such group, or it is of another kind. */
export function shareGroupOf(context: GroupContext, groupId: string): ShareGroup | undefined {
  const group = context.groups.get(groupId)
  return group?.type === 'share' ? group : undefined
}
