import { ApiKey, apis } from '@millrace/protocol'

/** An API and the versions of it that this broker serves, both ends included. */
export interface DeclaredApi {
  readonly key: number
  readonly name: string
  readonly minVersion: number
  readonly maxVersion: number
}

/** What this broker serves. Of each, all versions that are stable in the protocol; `docs/api-versions.md` is made of this. */
const SERVED_KEYS: readonly number[] = [
  ApiKey.PRODUCE,
  ApiKey.FETCH,
  ApiKey.LIST_OFFSETS,
  ApiKey.METADATA,
  ApiKey.OFFSET_COMMIT,
  ApiKey.OFFSET_FETCH,
  ApiKey.FIND_COORDINATOR,
  ApiKey.JOIN_GROUP,
  ApiKey.HEARTBEAT,
  ApiKey.LEAVE_GROUP,
  ApiKey.SYNC_GROUP,
  ApiKey.DESCRIBE_GROUPS,
  ApiKey.LIST_GROUPS,
  ApiKey.SASL_HANDSHAKE,
  ApiKey.API_VERSIONS,
  ApiKey.CREATE_TOPICS,
  ApiKey.DELETE_TOPICS,
  ApiKey.DELETE_RECORDS,
  ApiKey.INIT_PRODUCER_ID,
  ApiKey.OFFSET_FOR_LEADER_EPOCH,
  ApiKey.ADD_PARTITIONS_TO_TXN,
  ApiKey.ADD_OFFSETS_TO_TXN,
  ApiKey.END_TXN,
  ApiKey.WRITE_TXN_MARKERS,
  ApiKey.TXN_OFFSET_COMMIT,
  ApiKey.DESCRIBE_ACLS,
  ApiKey.CREATE_ACLS,
  ApiKey.DELETE_ACLS,
  ApiKey.DESCRIBE_CONFIGS,
  ApiKey.ALTER_CONFIGS,
  ApiKey.ALTER_REPLICA_LOG_DIRS,
  ApiKey.DESCRIBE_LOG_DIRS,
  ApiKey.SASL_AUTHENTICATE,
  ApiKey.CREATE_PARTITIONS,
  ApiKey.DELETE_GROUPS,
  ApiKey.ELECT_LEADERS,
  ApiKey.INCREMENTAL_ALTER_CONFIGS,
  ApiKey.ALTER_PARTITION_REASSIGNMENTS,
  ApiKey.LIST_PARTITION_REASSIGNMENTS,
  ApiKey.OFFSET_DELETE,
  ApiKey.DESCRIBE_CLIENT_QUOTAS,
  ApiKey.ALTER_CLIENT_QUOTAS,
  ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS,
  ApiKey.ALTER_USER_SCRAM_CREDENTIALS,
  ApiKey.DESCRIBE_QUORUM,
  ApiKey.UPDATE_FEATURES,
  ApiKey.DESCRIBE_CLUSTER,
  ApiKey.DESCRIBE_PRODUCERS,
  ApiKey.UNREGISTER_BROKER,
  ApiKey.DESCRIBE_TRANSACTIONS,
  ApiKey.LIST_TRANSACTIONS,
  ApiKey.CONSUMER_GROUP_HEARTBEAT,
  ApiKey.CONSUMER_GROUP_DESCRIBE,
  ApiKey.LIST_CONFIG_RESOURCES,
  ApiKey.DESCRIBE_TOPIC_PARTITIONS,
  ApiKey.SHARE_GROUP_HEARTBEAT,
  ApiKey.SHARE_GROUP_DESCRIBE,
  ApiKey.SHARE_FETCH,
  ApiKey.SHARE_ACKNOWLEDGE,
  ApiKey.ADD_RAFT_VOTER,
  ApiKey.REMOVE_RAFT_VOTER,
  ApiKey.INITIALIZE_SHARE_GROUP_STATE,
  ApiKey.READ_SHARE_GROUP_STATE,
  ApiKey.WRITE_SHARE_GROUP_STATE,
  ApiKey.DELETE_SHARE_GROUP_STATE,
  ApiKey.READ_SHARE_GROUP_STATE_SUMMARY,
  ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS,
  ApiKey.ALTER_SHARE_GROUP_OFFSETS,
  ApiKey.DELETE_SHARE_GROUP_OFFSETS,
]

/** The table, by key. The broker asserts at start that its handlers are exactly these. */
export function servedApis(): readonly DeclaredApi[] {
  return SERVED_KEYS.map((key) => {
    const { name, minVersion, maxVersion } = apis[key]!
    return { key, name, minVersion, maxVersion }
  })
}
