import { isEndpoint, isFeatureRange } from '../metadata/record-shapes.ts'
import {
  isBoolean,
  isInt32,
  isInteger,
  isString,
  isUuid,
  listOf,
  nullOr,
  objectOf,
  oneOf,
  type Shape,
  tupleOf,
} from '../metadata/shape.ts'
import type { BrokerHeartbeat, ControllerRequest, ControllerRequestName } from './controller-requests.ts'

const ids = listOf(isInt32)
const nothing = objectOf({})
const voter = objectOf({ id: isInt32, directoryId: isUuid, host: isString, port: isInt32 })
const namedValue = objectOf({ name: isString, value: nullOr(isString) })

/** What each request must look like: what comes from another node is not believed before it is checked. */
const REQUESTS: Record<ControllerRequestName, Shape> = {
  createTopics: objectOf({
    validateOnly: isBoolean,
    topics: listOf(
      objectOf({
        name: isString,
        numPartitions: isInt32,
        replicationFactor: isInt32,
        assignments: listOf(objectOf({ partitionIndex: isInt32, brokerIds: ids })),
        configs: listOf(namedValue),
      }),
    ),
  }),
  deleteTopics: objectOf({ topics: listOf(objectOf({ name: nullOr(isString), topicId: isUuid })) }),
  createPartitions: objectOf({
    validateOnly: isBoolean,
    topics: listOf(
      objectOf({ name: isString, count: isInt32, assignments: nullOr(listOf(objectOf({ brokerIds: ids }))) }),
    ),
  }),
  incrementalAlterConfigs: objectOf({
    validateOnly: isBoolean,
    resources: listOf(
      objectOf({
        resourceType: isInt32,
        resourceName: isString,
        configs: listOf(objectOf({ name: isString, configOperation: isInt32, value: nullOr(isString) })),
      }),
    ),
  }),
  legacyAlterConfigs: objectOf({
    validateOnly: isBoolean,
    resources: listOf(objectOf({ resourceType: isInt32, resourceName: isString, configs: listOf(namedValue) })),
  }),
  updateFeatures: objectOf({
    validateOnly: isBoolean,
    updates: listOf(objectOf({ feature: isString, maxVersionLevel: isInt32, upgradeType: isInt32 })),
  }),
  alterPartitionReassignments: objectOf({
    allowReplicationFactorChange: isBoolean,
    topics: listOf(
      objectOf({
        name: isString,
        partitions: listOf(objectOf({ partitionIndex: isInt32, replicas: nullOr(ids) })),
      }),
    ),
  }),
  electLeaders: objectOf({
    electionType: isInt32,
    topicPartitions: nullOr(listOf(objectOf({ topic: isString, partitions: ids }))),
  }),
  allocateProducerIds: objectOf({ brokerId: isInt32, brokerEpoch: isInteger }),
  registerBroker: objectOf({
    clusterId: isString,
    brokerId: isInt32,
    incarnationId: isUuid,
    rack: nullOr(isString),
    endpoints: listOf(isEndpoint),
    features: listOf(tupleOf(isString, isFeatureRange)),
    directories: listOf(isUuid),
    recoveredCleanly: isBoolean,
    previousBrokerEpoch: isInteger,
  }),
  unregisterBroker: objectOf({ brokerId: isInt32 }),
  alterPartition: objectOf({
    brokerId: isInt32,
    brokerEpoch: isInteger,
    partitions: listOf(
      objectOf({
        topicId: isUuid,
        partition: isInt32,
        leaderEpoch: isInt32,
        partitionEpoch: isInt32,
        leaderRecoveryState: oneOf(0, 1),
        newIsr: listOf(objectOf({ brokerId: isInt32, brokerEpoch: isInteger })),
      }),
    ),
  }),
  assignReplicasToDirs: objectOf({
    brokerId: isInt32,
    brokerEpoch: isInteger,
    partitions: listOf(objectOf({ topicId: isUuid, partition: isInt32, directory: isUuid })),
  }),
  describeQuorum: nothing,
  addVoter: voter,
  removeVoter: objectOf({ id: isInt32, directoryId: isUuid }),
  updateVoter: voter,
  readBarrier: nothing,
}

const HEARTBEAT = objectOf({
  brokerId: isInt32,
  brokerEpoch: isInteger,
  incarnationId: isUuid,
  appliedOffset: isInteger,
  wantFence: isBoolean,
  wantShutDown: isBoolean,
  offlineDirectories: listOf(isUuid),
})

export function isRequestName(value: unknown): value is ControllerRequestName {
  return typeof value === 'string' && Object.hasOwn(REQUESTS, value)
}

export function isRequestOf<N extends ControllerRequestName>(name: N, value: unknown): value is ControllerRequest<N> {
  return REQUESTS[name](value)
}

export function isHeartbeat(value: unknown): value is BrokerHeartbeat {
  return HEARTBEAT(value)
}
