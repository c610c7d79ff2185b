/** What the group coordinator did since it was made, for metrics. */
export class GroupCounters {
  /** Offsets written by OffsetCommit, one per partition. */
  offsetCommits = 0
  /** Offsets that expired. */
  offsetExpirations = 0
  /** Offsets deleted by OffsetDelete, by DeleteGroups or with their topic. */
  offsetDeletions = 0
  /** Joins and commits, one per partition, that were refused since the node holds as much as it may (`group-limits.ts`). */
  limitRefusals = 0
  /** Rebalances that ended with an assignment. */
  completedRebalances = 0
  /** New epochs of consumer groups. */
  consumerGroupRebalances = 0
}
