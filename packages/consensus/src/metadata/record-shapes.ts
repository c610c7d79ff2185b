import type { MetadataRecord } from './records.ts'
import {
  isBoolean,
  isInt32,
  isInteger,
  isNumber,
  isString,
  isUuid,
  listOf,
  mapOf,
  nullOr,
  objectOf,
  oneOf,
  type Shape,
} from './shape.ts'

export const isFeatureRange: Shape = objectOf({ min: isInt32, max: isInt32 })

export const isEndpoint: Shape = objectOf({
  listener: isString,
  host: isString,
  port: isInt32,
  securityProtocol: oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
})

const ids = listOf(isInt32)
const directories = listOf(isUuid)
const recoveryState = oneOf(0, 1)

type RecordType = MetadataRecord['type']

const PARTITION = {
  topicId: isUuid,
  partitionId: isInt32,
  replicas: ids,
  directories,
  isr: ids,
  removingReplicas: ids,
  addingReplicas: ids,
  leader: isInt32,
  leaderRecoveryState: recoveryState,
  leaderEpoch: isInt32,
  partitionEpoch: isInt32,
  eligibleLeaderReplicas: ids,
  lastKnownElr: ids,
}
const { topicId, partitionId, leaderEpoch: _, partitionEpoch: __, ...PARTITION_CHANGES } = PARTITION

/** Fields of each record, besides its type: those that must be there, and those that may. */
const FIELDS: Record<RecordType, readonly [required: Record<string, Shape>, optional?: Record<string, Shape>]> = {
  TopicRecord: [{ name: isString, topicId: isUuid }],
  PartitionRecord: [PARTITION],
  PartitionChangeRecord: [{ topicId, partitionId }, PARTITION_CHANGES],
  RemoveTopicRecord: [{ topicId: isUuid }],
  ClearElrRecord: [{ topicName: isString }],
  ConfigRecord: [{ resourceType: isInt32, resourceName: isString, name: isString, value: nullOr(isString) }],
  RegisterBrokerRecord: [
    {
      brokerId: isInt32,
      incarnationId: isUuid,
      brokerEpoch: isInteger,
      endPoints: listOf(isEndpoint),
      features: mapOf(isFeatureRange),
      rack: nullOr(isString),
      fenced: isBoolean,
      inControlledShutdown: isBoolean,
      logDirs: directories,
    },
  ],
  UnregisterBrokerRecord: [{ brokerId: isInt32, brokerEpoch: isInteger }],
  BrokerRegistrationChangeRecord: [
    { brokerId: isInt32, brokerEpoch: isInteger },
    { fenced: isBoolean, inControlledShutdown: isBoolean, logDirs: directories },
  ],
  FenceBrokerRecord: [{ id: isInt32, epoch: isInteger }],
  UnfenceBrokerRecord: [{ id: isInt32, epoch: isInteger }],
  FeatureLevelRecord: [{ name: isString, featureLevel: isInt32 }],
  ProducerIdsRecord: [{ brokerId: isInt32, brokerEpoch: isInteger, nextProducerId: isInteger }],
  NoOpRecord: [{}],
  RegisterControllerRecord: [
    { controllerId: isInt32, incarnationId: isUuid, endPoints: listOf(isEndpoint), features: mapOf(isFeatureRange) },
  ],
  ClientQuotaRecord: [
    {
      entity: listOf(objectOf({ entityType: isString, entityName: nullOr(isString) })),
      key: isString,
      value: nullOr(isNumber),
    },
  ],
  AccessControlEntryRecord: [
    {
      id: isUuid,
      resourceType: isInt32,
      resourceName: isString,
      patternType: isInt32,
      principal: isString,
      host: isString,
      operation: isInt32,
      permissionType: isInt32,
    },
  ],
  RemoveAccessControlEntryRecord: [{ id: isUuid }],
  UserScramCredentialRecord: [
    {
      name: isString,
      mechanism: isInt32,
      salt: isString,
      storedKey: isString,
      serverKey: isString,
      iterations: isInt32,
    },
  ],
  RemoveUserScramCredentialRecord: [{ name: isString, mechanism: isInt32 }],
}

const SHAPES: ReadonlyMap<unknown, Shape> = new Map(
  Object.entries(FIELDS).map(([type, [required, optional]]) => [
    type,
    objectOf({ type: oneOf(type), ...required }, optional),
  ]),
)

/** Whether a value is a whole record of a type that this software knows. */
export function isMetadataRecord(value: unknown): value is MetadataRecord {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false
  return SHAPES.get(value.type)?.(value) === true
}
