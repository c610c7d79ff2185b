import type { LeaderEpoch, Uuid } from '@millrace/base'

/**
 * The metadata of the cluster as one broker knows it: what the applied records say, and nothing else. Images are never
 * changed; applying a record gives a new one that shares what did not change.
 */
export interface MetadataImage {
  readonly clusterId: string
  /** Count of applied records, Kafka's metadata offset. */
  readonly offset: number
  readonly topics: ReadonlyMap<string, TopicImage>
  readonly topicsById: ReadonlyMap<Uuid, TopicImage>
  readonly brokers: ReadonlyMap<number, BrokerImage>
  /** Dynamic configuration, by {@link configKey}; inner map: name to value. */
  readonly configs: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Finalized feature levels by name; a level of 0 is absent. */
  readonly features: ReadonlyMap<string, number>
  /** The next producer id that no block covers yet. */
  readonly nextProducerId: number
  /** Registered controllers by node id. */
  readonly controllers: ReadonlyMap<number, ControllerImage>
  /** Limits by {@link quotaKey} of the entity; inner map: key to value. */
  readonly clientQuotas: ReadonlyMap<string, QuotaImage>
  readonly acls: ReadonlyMap<Uuid, AclImage>
  /** SCRAM credentials by {@link scramKey}. */
  readonly scramCredentials: ReadonlyMap<string, ScramImage>
}

export interface ControllerImage {
  readonly id: number
  readonly incarnationId: Uuid
  readonly endpoints: readonly EndpointImage[]
  readonly features: ReadonlyMap<string, FeatureRange>
}

/** Whom a quota binds: parts of types `user`, `client-id`, `ip`, each type once; a null name is the default of its type. */
export type QuotaEntity = readonly { readonly entityType: string; readonly entityName: string | null }[]

export interface QuotaImage {
  readonly entity: QuotaEntity
  readonly values: ReadonlyMap<string, number>
}

/** Numbers of resource, pattern, operation and permission are Kafka's. */
export interface AclImage {
  readonly id: Uuid
  readonly resourceType: number
  readonly resourceName: string
  readonly patternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

/** Salt and keys in base64. */
export interface ScramImage {
  readonly name: string
  readonly mechanism: number
  readonly salt: string
  readonly storedKey: string
  readonly serverKey: string
  readonly iterations: number
}

/** The same key for the same entity, in whatever order its parts stand. */
export function quotaKey(entity: QuotaEntity): string {
  const parts = entity.map(({ entityType, entityName }) => [entityType, entityName] as const)
  parts.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return JSON.stringify(parts)
}

export function scramKey(mechanism: number, name: string): string {
  return `${mechanism}:${name}`
}

export interface TopicImage {
  readonly name: string
  readonly id: Uuid
  /** Index is the partition number. */
  readonly partitions: readonly PartitionImage[]
}

export interface PartitionImage {
  readonly partition: number
  /** Broker id, or -1 without a leader. */
  readonly leader: number
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  /** After an unclean election the leader is recovering until it reports otherwise. */
  readonly leaderRecoveryState: LeaderRecoveryState
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly lastKnownElr: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  /** Directory id of each replica, in the order of `replicas`. */
  readonly directories: readonly Uuid[]
}

/** 0: recovered, 1: recovering from an unclean election (KIP-704). */
export type LeaderRecoveryState = 0 | 1

export interface BrokerImage {
  readonly id: number
  readonly epoch: number
  readonly incarnationId: Uuid
  readonly rack: string | null
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  readonly endpoints: readonly EndpointImage[]
  /** Ids of the log directories that are online. */
  readonly directories: readonly Uuid[]
  /** Feature levels that the broker's software supports. */
  readonly features: ReadonlyMap<string, FeatureRange>
}

export interface EndpointImage {
  /** Upper case listener name, for example `PLAINTEXT`. */
  readonly listener: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: SecurityProtocol
}

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'

/** Levels of a feature, both ends included. */
export interface FeatureRange {
  readonly min: number
  readonly max: number
}

/** Kafka's numbers of config resources. */
export const ConfigResourceType = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const

/** Key of `MetadataImage.configs`. A broker's cluster-wide default has the empty name. */
export function configKey(resourceType: number, resourceName: string): string {
  return `${resourceType}:${resourceName}`
}

/** Inverse of {@link configKey}. */
export function parseConfigKey(key: string): { resourceType: number; resourceName: string } {
  const colon = key.indexOf(':')
  return { resourceType: Number(key.slice(0, colon)), resourceName: key.slice(colon + 1) }
}

const NO_CONFIGS: ReadonlyMap<string, string> = new Map()

/** Dynamic configuration of one resource; empty if it has none. */
export function configsOf(
  image: MetadataImage,
  resourceType: number,
  resourceName: string,
): ReadonlyMap<string, string> {
  return image.configs.get(configKey(resourceType, resourceName)) ?? NO_CONFIGS
}

/** Whether replicas of the broker may lead: registered, not fenced, not shutting down (`controller.md`, "active"). */
export function isActiveBroker(image: MetadataImage, brokerId: number): boolean {
  const broker = image.brokers.get(brokerId)
  return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
}

/**
 * Ids that stand for a state of placement instead of a directory (KIP-858): `MIGRATING` is the zero id. The first hundred ids
 * are reserved for such use. `LOST_LOG` is none of Kafka's, and the last of them: the directory is there, the replica's log was not found in
 * it, and none has been begun in its place (docs/adr/0007). `LOST` will not do for that: behind it may be an empty disk.
 */
export const DirectoryId = {
  MIGRATING: 'AAAAAAAAAAAAAAAAAAAAAA' as Uuid,
  UNASSIGNED: 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid,
  LOST: 'AAAAAAAAAAAAAAAAAAAAAg' as Uuid,
  LOST_LOG: 'AAAAAAAAAAAAAAAAAAAAYw' as Uuid,
} as const

/** Whether an id means a state of placement, or may come to. */
export function isReservedDirectory(directory: Uuid): boolean {
  const bytes = Buffer.from(directory, 'base64url')
  return bytes.subarray(0, -1).every((byte) => byte === 0) && (bytes.at(-1) ?? 0) < 100
}

/** Whether the id says where a replica lies, or that it is lost; otherwise nobody has told yet. */
export function isPlacementKnown(directory: Uuid): boolean {
  return directory !== DirectoryId.UNASSIGNED && directory !== DirectoryId.MIGRATING
}

/** Whether a replica in that directory is online. A placement that is not known yet counts; one in a directory not listed does not. */
export function isDirectoryOnline(broker: BrokerImage, directory: Uuid): boolean {
  return !isPlacementKnown(directory) || broker.directories.includes(directory)
}

/** Whether the replica's log is lost as far as the metadata knows: its broker has neither found it again nor begun another one. */
export function isLogLost({ replicas, directories }: PartitionImage, brokerId: number): boolean {
  return directories[replicas.indexOf(brokerId)] === DirectoryId.LOST_LOG
}
