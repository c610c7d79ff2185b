/** The settings of the group coordinator, by their Kafka names in camel case. Times in milliseconds unless the name says otherwise. */
export interface GroupCoordinatorConfig {
  /** Partitions of `__consumer_offsets`, if this node is the one to have it created. */
  readonly offsetsTopicNumPartitions: number
  readonly offsetsRetentionMinutes: number
  readonly offsetsRetentionCheckIntervalMs: number
  /** Despite its name, in UTF-16 units, as Kafka counts. */
  readonly offsetMetadataMaxBytes: number
  readonly offsetsCommitTimeoutMs: number
  readonly groupInitialRebalanceDelayMs: number
  readonly groupMinSessionTimeoutMs: number
  readonly groupMaxSessionTimeoutMs: number
  readonly groupMaxSize: number
  readonly groupConsumerSessionTimeoutMs: number
  readonly groupConsumerMinSessionTimeoutMs: number
  readonly groupConsumerMaxSessionTimeoutMs: number
  readonly groupConsumerHeartbeatIntervalMs: number
  readonly groupConsumerMinHeartbeatIntervalMs: number
  readonly groupConsumerMaxHeartbeatIntervalMs: number
  readonly groupConsumerAssignmentIntervalMs: number
  readonly groupConsumerMinAssignmentIntervalMs: number
  readonly groupConsumerMaxAssignmentIntervalMs: number
  readonly groupConsumerRegexRefreshIntervalMs: number
  readonly groupConsumerMaxSize: number
  /** Names; the first is that of groups whose members ask for none. */
  readonly groupConsumerAssignors: readonly string[]
  /** DISABLED, DOWNGRADE, UPGRADE or BIDIRECTIONAL, in any case. */
  readonly groupConsumerMigrationPolicy: string
  readonly groupCoordinatorRebalanceProtocols: readonly string[]
  readonly groupShareMaxSize: number
  readonly groupShareSessionTimeoutMs: number
  readonly groupShareMinSessionTimeoutMs: number
  readonly groupShareMaxSessionTimeoutMs: number
  readonly groupShareHeartbeatIntervalMs: number
  readonly groupShareMinHeartbeatIntervalMs: number
  readonly groupShareMaxHeartbeatIntervalMs: number
  readonly groupShareAssignmentIntervalMs: number
  readonly groupShareMinAssignmentIntervalMs: number
  readonly groupShareMaxAssignmentIntervalMs: number
  /** Bounds of the node, over all groups (`group-limits.ts`). */
  readonly groupCoordinatorMaxGroups: number
  readonly groupCoordinatorMaxMembers: number
  readonly groupCoordinatorMaxOffsets: number
  readonly groupCoordinatorMaxBytes: number
  readonly groupCoordinatorAppendLingerMs: number
  /** Largest batch that `__consumer_offsets` takes. */
  readonly messageMaxBytes: number
}

/**
 * How long a member may take to join for the first time. It does not know its id before, so it cannot send heartbeats, and a
 * client that gave up must not hold a rebalance for ever.
 */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000
