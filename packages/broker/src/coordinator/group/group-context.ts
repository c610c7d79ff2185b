import type { Random } from '@millrace/base'
import type { Timeline, TimelineMap } from '../runtime/timeline.ts'
import type { Group } from './group.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import type { GroupCounters } from './group-counters.ts'
import type { GroupLimits } from './group-limits.ts'
import type { GroupSettings } from './group-settings.ts'
import type { TopicDirectory } from './modern/topic-directory.ts'

/** What the rules of groups work on. */
export interface GroupContext {
  readonly config: GroupCoordinatorConfig
  /** What single groups may have otherwise. */
  readonly settings: GroupSettings
  readonly random: Random
  readonly counters: GroupCounters
  /** Over all machines of the node. */
  readonly limits: GroupLimits
  /** Over all machines of the node: the topics there are. */
  readonly directory: TopicDirectory
  /** Of this machine. */
  readonly timeline: Timeline
  /** Which groups there are is versioned; so is the state of a modern group, that of a classic group is not. */
  readonly groups: TimelineMap<string, Group>
}

/** Session timer of a member, or of a member id that was given out. The length keeps ids with separators apart. */
export function sessionTimerKey(groupId: string, memberId: string): string {
  return `session:${groupId.length}:${groupId}:${memberId}`
}

/** Timer of a member of a consumer group that was told to give partitions up. */
export function revocationTimerKey(groupId: string, memberId: string): string {
  return `revoke:${groupId.length}:${groupId}:${memberId}`
}

/** Timer of a member of a consumer group that speaks the classic protocol and was told to join again. */
export function rejoinTimerKey(groupId: string, memberId: string): string {
  return `rejoin:${groupId.length}:${groupId}:${memberId}`
}

/** Timer of such a member that has joined and has not asked for its assignment yet. */
export function memberSyncTimerKey(groupId: string, memberId: string): string {
  return `member-sync:${groupId.length}:${groupId}:${memberId}`
}

/** Timer of the work on a group's regular expressions. */
export function regexTimerKey(groupId: string): string {
  return `regex:${groupId}`
}

/** Timer of the phase in which members join. */
export function joinTimerKey(groupId: string): string {
  return `join:${groupId}`
}

/** Timer of the phase in which members fetch their assignment. */
export function syncTimerKey(groupId: string): string {
  return `sync:${groupId}`
}
