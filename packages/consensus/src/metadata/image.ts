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
  /** Finalized feature levels by name. */
  readonly features: ReadonlyMap<string, number>
  /** The next producer id that no block covers yet. */
  readonly nextProducerId: number
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
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly lastKnownElr: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  /** Directory id of each replica, in the order of `replicas`. */
  readonly directories: readonly Uuid[]
}

export interface BrokerImage {
  readonly id: number
  readonly epoch: number
  readonly incarnationId: Uuid
  readonly rack: string | null
  readonly fenced: boolean
  readonly endpoints: readonly EndpointImage[]
}

export interface EndpointImage {
  /** Upper case listener name, for example `PLAINTEXT`. */
  readonly listener: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
}

/** Kafka's numbers of config resources. */
export const ConfigResourceType = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const

/** Key of `MetadataImage.configs`. A broker's cluster-wide default has the empty name. */
export function configKey(resourceType: number, resourceName: string): string {
  return `${resourceType}:${resourceName}`
}
