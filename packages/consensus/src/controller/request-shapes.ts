import { isEndpoint, isFeatureRange } from '../metadata/record-shapes.ts'
import {
  isBoolean,
  isInt32,
  isInteger,
  isNumber,
  isString,
  isUuid,
  listOf,
  nullOr,
  objectWith,
  oneOf,
  type Shape,
  tupleOf,
} from '../metadata/shape.ts'
import type { BrokerHeartbeat, ControllerRequest, ControllerRequestName } from './controller-requests.ts'

const ids = listOf(isInt32)
const nothing = objectWith({})
const voter = objectWith({ id: isInt32, directoryId: isUuid, host: isString, port: isInt32 })
const ACL_NUMBERS = { resourceType: isInt32, patternType: isInt32, operation: isInt32, permissionType: isInt32 }
const namedBy = (text: Shape) => ({ resourceName: text, principal: text, host: text })
const namedValue = objectWith({ name: isString, value: nullOr(isString) })

/**
 * What each request must look like: what comes from another node is not believed before it is checked. More fields than these do no
 * harm, since rules take only what they know; only what goes into records as it is (endpoints, ranges) must have no others.
 */
const REQUESTS: Record<ControllerRequestName, Shape> = {
  createTopics: objectWith({
    validateOnly: isBoolean,
    topics: listOf(
      objectWith({
        name: isString,
        numPartitions: isInt32,
        replicationFactor: isInt32,
        assignments: listOf(objectWith({ partitionIndex: isInt32, brokerIds: ids })),
        configs: listOf(namedValue),
      }),
    ),
  }),
  deleteTopics: objectWith({ topics: listOf(objectWith({ name: nullOr(isString), topicId: isUuid })) }),
  createPartitions: objectWith({
    validateOnly: isBoolean,
    topics: listOf(
      objectWith({ name: isString, count: isInt32, assignments: nullOr(listOf(objectWith({ brokerIds: ids }))) }),
    ),
  }),
  incrementalAlterConfigs: objectWith({
    validateOnly: isBoolean,
    resources: listOf(
      objectWith({
        resourceType: isInt32,
        resourceName: isString,
        configs: listOf(objectWith({ name: isString, configOperation: isInt32, value: nullOr(isString) })),
      }),
    ),
  }),
  legacyAlterConfigs: objectWith({
    validateOnly: isBoolean,
    resources: listOf(objectWith({ resourceType: isInt32, resourceName: isString, configs: listOf(namedValue) })),
  }),
  alterClientQuotas: objectWith({
    validateOnly: isBoolean,
    entries: listOf(
      objectWith({
        entity: listOf(objectWith({ entityType: isString, entityName: nullOr(isString) })),
        ops: listOf(objectWith({ key: isString, value: isNumber, remove: isBoolean })),
      }),
    ),
  }),
  alterScramCredentials: objectWith({
    deletions: listOf(objectWith({ name: isString, mechanism: isInt32 })),
    upsertions: listOf(
      objectWith({
        name: isString,
        mechanism: isInt32,
        iterations: isInt32,
        salt: isString,
        storedKey: isString,
        serverKey: isString,
      }),
    ),
  }),
  createAcls: objectWith({ creations: listOf(objectWith({ ...ACL_NUMBERS, ...namedBy(isString) })) }),
  deleteAcls: objectWith({ filters: listOf(objectWith({ ...ACL_NUMBERS, ...namedBy(nullOr(isString)) })) }),
  updateFeatures: objectWith({
    validateOnly: isBoolean,
    updates: listOf(objectWith({ feature: isString, maxVersionLevel: isInt32, upgradeType: isInt32 })),
  }),
  alterPartitionReassignments: objectWith({
    allowReplicationFactorChange: isBoolean,
    topics: listOf(
      objectWith({
        name: isString,
        partitions: listOf(objectWith({ partitionIndex: isInt32, replicas: nullOr(ids) })),
      }),
    ),
  }),
  electLeaders: objectWith({
    electionType: isInt32,
    topicPartitions: nullOr(listOf(objectWith({ topic: isString, partitions: ids }))),
  }),
  allocateProducerIds: objectWith({ brokerId: isInt32, brokerEpoch: isInteger }),
  registerBroker: objectWith(
    {
      clusterId: isString,
      brokerId: isInt32,
      incarnationId: isUuid,
      rack: nullOr(isString),
      endpoints: listOf(isEndpoint),
      features: listOf(tupleOf(isString, isFeatureRange)),
      directories: listOf(isUuid),
      recoveredCleanly: isBoolean,
      previousBrokerEpoch: isInteger,
    },
    // Brokers before it had none.
    { lostReplicas: listOf(objectWith({ topicId: isUuid, partition: isInt32 })) },
  ),
  registerController: objectWith({
    controllerId: isInt32,
    incarnationId: isUuid,
    endpoints: listOf(isEndpoint),
    features: listOf(tupleOf(isString, isFeatureRange)),
  }),
  unregisterBroker: objectWith({ brokerId: isInt32 }),
  alterPartition: objectWith({
    brokerId: isInt32,
    brokerEpoch: isInteger,
    partitions: listOf(
      objectWith({
        topicId: isUuid,
        partition: isInt32,
        leaderEpoch: isInt32,
        partitionEpoch: isInt32,
        leaderRecoveryState: oneOf(0, 1),
        newIsr: listOf(objectWith({ brokerId: isInt32, brokerEpoch: isInteger })),
      }),
    ),
  }),
  assignReplicasToDirs: objectWith({
    brokerId: isInt32,
    brokerEpoch: isInteger,
    partitions: listOf(objectWith({ topicId: isUuid, partition: isInt32, directory: isUuid })),
  }),
  withdrawReplicas: objectWith({
    brokerId: isInt32,
    brokerEpoch: isInteger,
    partitions: listOf(objectWith({ topicId: isUuid, partition: isInt32, leaderEpoch: isInt32 })),
  }),
  describeQuorum: nothing,
  addVoter: voter,
  removeVoter: objectWith({ id: isInt32, directoryId: isUuid }),
  updateVoter: voter,
  readBarrier: nothing,
}

const HEARTBEAT = objectWith({
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
