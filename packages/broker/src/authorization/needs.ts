import { AclOperation, AclResourceType } from '@millrace/consensus'
import { ApiKey, ErrorCode } from '@millrace/protocol'

/** What a client must be allowed to do with a resource, and what it is told otherwise. */
export interface Need {
  readonly resourceType: number
  readonly operation: number
  readonly errorCode: number
}

const { TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID } = AclResourceType
const { READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, CLUSTER_ACTION } = AclOperation
const { DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE, TWO_PHASE_COMMIT } = AclOperation

const ERROR_OF: Readonly<Record<number, number>> = {
  [TOPIC]: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
  [GROUP]: ErrorCode.GROUP_AUTHORIZATION_FAILED,
  [CLUSTER]: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
  [TRANSACTIONAL_ID]: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}

function need(operation: number, resourceType: number, errorCode = ERROR_OF[resourceType]!): Need {
  return { operation, resourceType, errorCode }
}

const describeCluster = { cluster: need(DESCRIBE, CLUSTER) }
const clusterAction = { cluster: need(CLUSTER_ACTION, CLUSTER) }
const alterCluster = { cluster: need(ALTER, CLUSTER) }
const readGroup = { group: need(READ, GROUP) }
const configs = (operation: number) => ({
  topic: need(operation, TOPIC),
  group: need(operation, GROUP),
  cluster: need(operation, CLUSTER),
})

/**
 * Which permissions each API needs, all in one place (`controller.md`, 11; Kafka's documentation of "Operations and Resources"). Guards
 * and handlers take operation, resource and error from here, and a test holds every API that is served against it. A name tells what
 * of a request the need is about; where several could be met, the guard says which of them is enough. No needs: anybody may.
 */
export const NEEDS = {
  [ApiKey.PRODUCE]: { topic: need(WRITE, TOPIC), transaction: need(WRITE, TRANSACTIONAL_ID) },
  [ApiKey.FETCH]: {
    topic: need(READ, TOPIC),
    // As Kafka tells followers.
    follower: need(CLUSTER_ACTION, CLUSTER, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
  },
  [ApiKey.LIST_OFFSETS]: { topic: need(DESCRIBE, TOPIC) },
  [ApiKey.METADATA]: {
    topic: need(DESCRIBE, TOPIC),
    newTopic: need(CREATE, TOPIC),
    anyNewTopic: need(CREATE, CLUSTER, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    clusterOperations: need(DESCRIBE, CLUSTER),
  },
  [ApiKey.OFFSET_COMMIT]: { group: need(READ, GROUP), topic: need(READ, TOPIC) },
  [ApiKey.OFFSET_FETCH]: { group: need(DESCRIBE, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.FIND_COORDINATOR]: {
    group: need(DESCRIBE, GROUP),
    transaction: need(DESCRIBE, TRANSACTIONAL_ID),
    share: need(CLUSTER_ACTION, CLUSTER),
  },
  [ApiKey.JOIN_GROUP]: readGroup,
  [ApiKey.HEARTBEAT]: readGroup,
  [ApiKey.LEAVE_GROUP]: readGroup,
  [ApiKey.SYNC_GROUP]: readGroup,
  [ApiKey.DESCRIBE_GROUPS]: { group: need(DESCRIBE, GROUP) },
  [ApiKey.LIST_GROUPS]: { anyGroup: need(DESCRIBE, CLUSTER), group: need(DESCRIBE, GROUP) },
  [ApiKey.SASL_HANDSHAKE]: {},
  [ApiKey.API_VERSIONS]: {},
  [ApiKey.CREATE_TOPICS]: {
    topic: need(CREATE, TOPIC),
    anyTopic: need(CREATE, CLUSTER, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    configs: need(DESCRIBE_CONFIGS, TOPIC),
  },
  [ApiKey.DELETE_TOPICS]: {
    topic: need(DELETE, TOPIC),
    anyTopic: need(DELETE, CLUSTER, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    name: need(DESCRIBE, TOPIC),
  },
  [ApiKey.DELETE_RECORDS]: { topic: need(DELETE, TOPIC) },
  [ApiKey.INIT_PRODUCER_ID]: {
    transaction: need(WRITE, TRANSACTIONAL_ID),
    preparedTransaction: need(TWO_PHASE_COMMIT, TRANSACTIONAL_ID),
    idempotent: need(IDEMPOTENT_WRITE, CLUSTER),
    // On whichever topic.
    anyTopic: need(WRITE, TOPIC, ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
  },
  [ApiKey.OFFSET_FOR_LEADER_EPOCH]: {
    topic: need(DESCRIBE, TOPIC),
    follower: need(CLUSTER_ACTION, CLUSTER, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
  },
  [ApiKey.ADD_PARTITIONS_TO_TXN]: {
    transaction: need(WRITE, TRANSACTIONAL_ID),
    topic: need(WRITE, TOPIC),
    // Of brokers, which ask for many transactions at once.
    broker: need(CLUSTER_ACTION, CLUSTER),
  },
  [ApiKey.ADD_OFFSETS_TO_TXN]: { transaction: need(WRITE, TRANSACTIONAL_ID), group: need(READ, GROUP) },
  [ApiKey.END_TXN]: { transaction: need(WRITE, TRANSACTIONAL_ID) },
  [ApiKey.WRITE_TXN_MARKERS]: { administrator: need(ALTER, CLUSTER), broker: need(CLUSTER_ACTION, CLUSTER) },
  [ApiKey.TXN_OFFSET_COMMIT]: {
    transaction: need(WRITE, TRANSACTIONAL_ID),
    group: need(READ, GROUP),
    topic: need(READ, TOPIC),
  },
  [ApiKey.DESCRIBE_ACLS]: describeCluster,
  [ApiKey.CREATE_ACLS]: alterCluster,
  [ApiKey.DELETE_ACLS]: alterCluster,
  [ApiKey.DESCRIBE_CONFIGS]: configs(DESCRIBE_CONFIGS),
  [ApiKey.ALTER_CONFIGS]: configs(ALTER_CONFIGS),
  [ApiKey.ALTER_REPLICA_LOG_DIRS]: alterCluster,
  [ApiKey.DESCRIBE_LOG_DIRS]: describeCluster,
  [ApiKey.SASL_AUTHENTICATE]: {},
  [ApiKey.CREATE_PARTITIONS]: { topic: need(ALTER, TOPIC) },
  [ApiKey.DELETE_GROUPS]: { group: need(DELETE, GROUP) },
  [ApiKey.ELECT_LEADERS]: alterCluster,
  [ApiKey.INCREMENTAL_ALTER_CONFIGS]: configs(ALTER_CONFIGS),
  [ApiKey.ALTER_PARTITION_REASSIGNMENTS]: alterCluster,
  [ApiKey.LIST_PARTITION_REASSIGNMENTS]: describeCluster,
  [ApiKey.OFFSET_DELETE]: { group: need(DELETE, GROUP), topic: need(READ, TOPIC) },
  [ApiKey.DESCRIBE_CLIENT_QUOTAS]: { cluster: need(DESCRIBE_CONFIGS, CLUSTER) },
  [ApiKey.ALTER_CLIENT_QUOTAS]: { cluster: need(ALTER_CONFIGS, CLUSTER) },
  [ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS]: describeCluster,
  [ApiKey.ALTER_USER_SCRAM_CREDENTIALS]: alterCluster,
  [ApiKey.DESCRIBE_QUORUM]: describeCluster,
  [ApiKey.UPDATE_FEATURES]: alterCluster,
  // Anybody may; what they may do with the cluster is told to those who may describe it.
  [ApiKey.DESCRIBE_CLUSTER]: { clusterOperations: need(DESCRIBE, CLUSTER) },
  [ApiKey.DESCRIBE_PRODUCERS]: { topic: need(READ, TOPIC) },
  [ApiKey.UNREGISTER_BROKER]: alterCluster,
  [ApiKey.DESCRIBE_TRANSACTIONS]: { transaction: need(DESCRIBE, TRANSACTIONAL_ID), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.LIST_TRANSACTIONS]: { transaction: need(DESCRIBE, TRANSACTIONAL_ID) },
  [ApiKey.CONSUMER_GROUP_HEARTBEAT]: { group: need(READ, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.CONSUMER_GROUP_DESCRIBE]: { group: need(DESCRIBE, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.LIST_CONFIG_RESOURCES]: { cluster: need(DESCRIBE_CONFIGS, CLUSTER) },
  [ApiKey.DESCRIBE_TOPIC_PARTITIONS]: { topic: need(DESCRIBE, TOPIC) },
  [ApiKey.SHARE_GROUP_HEARTBEAT]: { group: need(READ, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.SHARE_GROUP_DESCRIBE]: { group: need(DESCRIBE, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.SHARE_FETCH]: { group: need(READ, GROUP), topic: need(READ, TOPIC) },
  [ApiKey.SHARE_ACKNOWLEDGE]: { group: need(READ, GROUP), topic: need(READ, TOPIC) },
  [ApiKey.ADD_RAFT_VOTER]: alterCluster,
  [ApiKey.REMOVE_RAFT_VOTER]: alterCluster,
  [ApiKey.INITIALIZE_SHARE_GROUP_STATE]: clusterAction,
  [ApiKey.READ_SHARE_GROUP_STATE]: clusterAction,
  [ApiKey.WRITE_SHARE_GROUP_STATE]: clusterAction,
  [ApiKey.DELETE_SHARE_GROUP_STATE]: clusterAction,
  [ApiKey.READ_SHARE_GROUP_STATE_SUMMARY]: clusterAction,
  [ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS]: { group: need(DESCRIBE, GROUP), topic: need(DESCRIBE, TOPIC) },
  [ApiKey.ALTER_SHARE_GROUP_OFFSETS]: { group: need(READ, GROUP), topic: need(READ, TOPIC) },
  [ApiKey.DELETE_SHARE_GROUP_OFFSETS]: { group: need(DELETE, GROUP), topic: need(READ, TOPIC) },
} as const satisfies Readonly<Record<number, Readonly<Record<string, Need>>>>
