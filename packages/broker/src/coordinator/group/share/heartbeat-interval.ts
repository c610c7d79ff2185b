import type { TimestampMs } from '@millrace/base'
import type { GroupContext } from '../group-context.ts'
import type { ShareGroup } from './share-group.ts'
import type { ShareMember } from './share-member.ts'

/** A member that waits is told to ask again after this, at first: states begin within milliseconds as a rule. */
const FIRST_INTERVAL_MS = 500

/**
 * When the member is to ask again: at the configured interval, or sooner if there will be more for it by then, since nobody else tells it.
 * What has been waited for without success is waited for as long again, so that a share coordinator that cannot be reached is not asked
 * by every member twice a second.
 */
export function heartbeatIntervalOf(
  { settings, directory }: GroupContext,
  group: ShareGroup,
  { subscribedTopics }: ShareMember,
  nowMs: TimestampMs,
): number {
  const { heartbeatIntervalMs, assignmentIntervalMs } = settings.share(group.groupId)
  const { epoch, target, beginningSinceMs } = group
  // The next assignment is put off, and made by the first heartbeat from then on.
  if (epoch.epoch > target.epoch) return soonest(target.timestampMs + assignmentIntervalMs - nowMs, heartbeatIntervalMs)
  let intervalMs = heartbeatIntervalMs
  if (beginningSinceMs.size === 0) return intervalMs
  for (const topicId of directory.idsOf(subscribedTopics)) {
    const sinceMs = beginningSinceMs.get(topicId)
    if (sinceMs !== undefined) intervalMs = soonest(nowMs - sinceMs, intervalMs)
  }
  return intervalMs
}

function soonest(delayMs: number, atMostMs: number): number {
  return Math.min(Math.max(delayMs, FIRST_INTERVAL_MS), atMostMs)
}
