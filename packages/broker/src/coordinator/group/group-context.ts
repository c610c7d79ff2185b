import type { Random } from '@millrace/base'
import type { TimelineMap } from '../runtime/timeline.ts'
import type { ClassicGroup } from './classic-group.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import type { GroupCounters } from './group-counters.ts'
import type { GroupLimits } from './group-limits.ts'

/** What the rules of groups work on. */
export interface GroupContext {
  readonly config: GroupCoordinatorConfig
  readonly random: Random
  readonly counters: GroupCounters
  /** Over all machines of the node. */
  readonly limits: GroupLimits
  /** Which groups there are is versioned; the state of a classic group is not. */
  readonly groups: TimelineMap<string, ClassicGroup>
}

/** Session timer of a member, or of a member id that was given out. The length keeps ids with separators apart. */
export function sessionTimerKey(groupId: string, memberId: string): string {
  return `session:${groupId.length}:${groupId}:${memberId}`
}

/** Timer of the phase in which members join. */
export function joinTimerKey(groupId: string): string {
  return `join:${groupId}`
}

/** Timer of the phase in which members fetch their assignment. */
export function syncTimerKey(groupId: string): string {
  return `sync:${groupId}`
}
