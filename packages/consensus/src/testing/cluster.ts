import { SeededRandom, type Uuid } from '@millrace/base'
import { apiError, MetadataErrorCode } from '../metadata/controller/api-error.ts'
import type { ConfigRules, ControllerContext, ControllerSettings } from '../metadata/controller/context.ts'
import { SUPPORTED_FEATURES } from '../metadata/controller/features.ts'
import { ConfigResourceType, configsOf, type MetadataImage } from '../metadata/image.ts'
import type { MetadataRecord, PartitionRecord, RegisterBrokerRecord } from '../metadata/records.ts'
import { applyRecords, emptyImage } from '../metadata/reducer.ts'

/** Id whose text shows its number, for readable failures. */
export function idOf(number: number): Uuid {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(number + 100, 12)
  return bytes.toString('base64url') as Uuid
}

/** Directory of a broker that has one. */
export function directoryOf(brokerId: number): Uuid {
  return idOf(1_000_000 + brokerId)
}

export function registration(brokerId: number, init: Partial<RegisterBrokerRecord> = {}): RegisterBrokerRecord {
  return {
    type: 'RegisterBrokerRecord',
    brokerId,
    incarnationId: idOf(2_000_000 + brokerId),
    brokerEpoch: brokerId * 10,
    endPoints: [{ listener: 'PLAINTEXT', host: '127.0.0.1', port: 9092 + brokerId, securityProtocol: 'PLAINTEXT' }],
    features: Object.fromEntries(SUPPORTED_FEATURES),
    rack: null,
    fenced: false,
    inControlledShutdown: false,
    logDirs: [directoryOf(brokerId)],
    ...init,
  }
}

/** A partition led by its first in-sync replica. */
export function partition(
  topicId: Uuid,
  partitionId: number,
  replicas: readonly number[],
  init: Partial<PartitionRecord> = {},
): PartitionRecord {
  const isr = init.isr ?? replicas
  return {
    type: 'PartitionRecord',
    topicId,
    partitionId,
    replicas,
    directories: replicas.map(directoryOf),
    isr,
    removingReplicas: [],
    addingReplicas: [],
    leader: isr[0] ?? -1,
    leaderRecoveryState: 0,
    leaderEpoch: 0,
    partitionEpoch: 0,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    ...init,
  }
}

/** Image after the records. */
export function imageOf(...records: readonly MetadataRecord[]): MetadataImage {
  return applyRecords(emptyImage('cluster'), records).image
}

/** Records of a cluster with these brokers and the newest features. */
export function cluster(...brokerIds: readonly number[]): MetadataRecord[] {
  return [
    { type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 30 },
    ...brokerIds.map((id) => registration(id)),
  ]
}

export function topic(name: string, topicId: Uuid = idOf(name.length)): MetadataRecord {
  return { type: 'TopicRecord', name, topicId }
}

/** Knows `cleanup.policy` (a list), `retention.ms` (a number) and two settings that rules read. */
export const testConfigRules: ConfigRules = {
  validate(resourceType, resourceName, configs) {
    if (resourceType === ConfigResourceType.TOPIC && resourceName === '') {
      return apiError(MetadataErrorCode.INVALID_REQUEST, 'no name')
    }
    const retention = configs.get('retention.ms')
    if (retention === undefined || /^-?\d+$/.test(retention)) return null
    return apiError(MetadataErrorCode.INVALID_CONFIG, `bad retention.ms ${retention}`)
  },
  isList: (_, key) => key === 'cleanup.policy',
  schemaDefault: (_, key) => (key === 'cleanup.policy' ? 'delete' : null),
  effectiveTopicConfigs: (_, own) =>
    [...own].map(([name, value]) => ({ name, value, readOnly: false, configSource: 1, isSensitive: false })),
  minInsyncReplicas: (image, name) => Number(configOf(image, name, 'min.insync.replicas') ?? 1),
  staticMinInsyncReplicas: () => 1,
  uncleanLeaderElectionEnable: (image, name) => configOf(image, name, 'unclean.leader.election.enable') === 'true',
}

export const testSettings: ControllerSettings = {
  nodeId: 1,
  numPartitions: 3,
  defaultReplicationFactor: 1,
  maxPartitions: 1_000_000,
  deleteTopicEnable: true,
  supportedFeatures: SUPPORTED_FEATURES,
}

export function contextOf(image: MetadataImage, settings: Partial<ControllerSettings> = {}): ControllerContext {
  return {
    image,
    random: new SeededRandom(1),
    settings: { ...testSettings, ...settings },
    configRules: testConfigRules,
    voterIds: [],
  }
}

/** Records that set a topic's configuration. */
export function topicConfig(topicName: string, name: string, value: string): MetadataRecord {
  return { type: 'ConfigRecord', resourceType: ConfigResourceType.TOPIC, resourceName: topicName, name, value }
}

function configOf(image: MetadataImage, topicName: string, key: string): string | undefined {
  return configsOf(image, ConfigResourceType.TOPIC, topicName).get(key)
}
