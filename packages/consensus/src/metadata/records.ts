import type { LeaderEpoch, Uuid } from '@millrace/base'
import type { EndpointImage, FeatureRange, LeaderRecoveryState, QuotaEntity } from './image.ts'

/**
 * What the metadata log holds. Names and meaning are Kafka's (`controller.md`, 1.1; the schemas of module `metadata`); the form
 * is ours: plain objects that survive `JSON.stringify`. Absent optional fields mean "unchanged" in change records.
 */
export type MetadataRecord =
  | TopicRecord
  | PartitionRecord
  | PartitionChangeRecord
  | RemoveTopicRecord
  | ClearElrRecord
  | ConfigRecord
  | RegisterBrokerRecord
  | UnregisterBrokerRecord
  | BrokerRegistrationChangeRecord
  | FenceBrokerRecord
  | UnfenceBrokerRecord
  | FeatureLevelRecord
  | ProducerIdsRecord
  | RegisterControllerRecord
  | ClientQuotaRecord
  | AccessControlEntryRecord
  | RemoveAccessControlEntryRecord
  | UserScramCredentialRecord
  | RemoveUserScramCredentialRecord
  | NoOpRecord

export interface TopicRecord {
  readonly type: 'TopicRecord'
  readonly name: string
  readonly topicId: Uuid
}

/** Creates a partition, or replaces all that is known of it. */
export interface PartitionRecord {
  readonly type: 'PartitionRecord'
  readonly topicId: Uuid
  readonly partitionId: number
  readonly replicas: readonly number[]
  /** One per replica. */
  readonly directories: readonly Uuid[]
  readonly isr: readonly number[]
  readonly removingReplicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly leader: number
  readonly leaderRecoveryState: LeaderRecoveryState
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  readonly eligibleLeaderReplicas: readonly number[]
  readonly lastKnownElr: readonly number[]
}

/** Any change adds 1 to the partition epoch; a set `leader`, even the same one, adds 1 to the leader epoch. */
export interface PartitionChangeRecord {
  readonly type: 'PartitionChangeRecord'
  readonly topicId: Uuid
  readonly partitionId: number
  readonly isr?: readonly number[]
  /** -1: no leader. Absent: unchanged. */
  readonly leader?: number
  readonly replicas?: readonly number[]
  readonly directories?: readonly Uuid[]
  readonly removingReplicas?: readonly number[]
  readonly addingReplicas?: readonly number[]
  readonly leaderRecoveryState?: LeaderRecoveryState
  readonly eligibleLeaderReplicas?: readonly number[]
  readonly lastKnownElr?: readonly number[]
}

/** Drops the topic, its partitions and its configuration. */
export interface RemoveTopicRecord {
  readonly type: 'RemoveTopicRecord'
  readonly topicId: Uuid
}

/** Empties ELR and last known ELR of a topic; of all topics if the name is empty. */
export interface ClearElrRecord {
  readonly type: 'ClearElrRecord'
  readonly topicName: string
}

export interface ConfigRecord {
  readonly type: 'ConfigRecord'
  readonly resourceType: number
  readonly resourceName: string
  readonly name: string
  /** Null removes the entry. */
  readonly value: string | null
}

export interface RegisterBrokerRecord {
  readonly type: 'RegisterBrokerRecord'
  readonly brokerId: number
  readonly incarnationId: Uuid
  readonly brokerEpoch: number
  readonly endPoints: readonly EndpointImage[]
  readonly features: Readonly<Record<string, FeatureRange>>
  readonly rack: string | null
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  /** Directory ids. */
  readonly logDirs: readonly Uuid[]
}

/** Applies only to the registration with this epoch; another one means a broken log. */
export interface UnregisterBrokerRecord {
  readonly type: 'UnregisterBrokerRecord'
  readonly brokerId: number
  readonly brokerEpoch: number
}

export interface BrokerRegistrationChangeRecord {
  readonly type: 'BrokerRegistrationChangeRecord'
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly fenced?: boolean
  readonly inControlledShutdown?: boolean
  readonly logDirs?: readonly Uuid[]
}

/** Older form of a registration change. */
export interface FenceBrokerRecord {
  readonly type: 'FenceBrokerRecord'
  readonly id: number
  readonly epoch: number
}

/** Older form of a registration change. */
export interface UnfenceBrokerRecord {
  readonly type: 'UnfenceBrokerRecord'
  readonly id: number
  readonly epoch: number
}

/** Level 0 removes the feature. */
export interface FeatureLevelRecord {
  readonly type: 'FeatureLevelRecord'
  readonly name: string
  readonly featureLevel: number
}

/** A block of producer ids was handed to a broker. */
export interface ProducerIdsRecord {
  readonly type: 'ProducerIdsRecord'
  readonly brokerId: number
  readonly brokerEpoch: number
  /** First id after the block. */
  readonly nextProducerId: number
}

export interface NoOpRecord {
  readonly type: 'NoOpRecord'
}

/** A controller has started: what its software supports and where it listens. Replaces what was known of the id. */
export interface RegisterControllerRecord {
  readonly type: 'RegisterControllerRecord'
  readonly controllerId: number
  readonly incarnationId: Uuid
  readonly endPoints: readonly EndpointImage[]
  readonly features: Readonly<Record<string, FeatureRange>>
}

/** A limit of one entity. Null removes it. */
export interface ClientQuotaRecord {
  readonly type: 'ClientQuotaRecord'
  readonly entity: QuotaEntity
  /** For example `producer_byte_rate`. */
  readonly key: string
  readonly value: number | null
}

/** Numbers of resource, pattern, operation and permission are Kafka's. */
export interface AccessControlEntryRecord {
  readonly type: 'AccessControlEntryRecord'
  readonly id: Uuid
  readonly resourceType: number
  readonly resourceName: string
  readonly patternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

export interface RemoveAccessControlEntryRecord {
  readonly type: 'RemoveAccessControlEntryRecord'
  readonly id: Uuid
}

/** What a user proves to know (RFC 5802); keys and salt in base64. */
export interface UserScramCredentialRecord {
  readonly type: 'UserScramCredentialRecord'
  readonly name: string
  /** 1: SCRAM-SHA-256, 2: SCRAM-SHA-512. */
  readonly mechanism: number
  readonly salt: string
  readonly storedKey: string
  readonly serverKey: string
  readonly iterations: number
}

export interface RemoveUserScramCredentialRecord {
  readonly type: 'RemoveUserScramCredentialRecord'
  readonly name: string
  readonly mechanism: number
}
