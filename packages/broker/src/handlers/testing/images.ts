import type { Uuid } from '@millrace/base'
import {
  applyRecords,
  ConfigResourceType,
  emptyImage,
  type MetadataImage,
  type MetadataRecord,
  type PartitionRecord,
  type RegisterBrokerRecord,
} from '@millrace/consensus'

/** Id whose text shows its number. */
export function idOf(number: number): Uuid {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(number + 100, 12)
  return bytes.toString('base64url') as Uuid
}

export function imageOf(...records: readonly MetadataRecord[]): MetadataImage {
  return applyRecords(emptyImage('cluster-1'), records).image
}

/** A broker that listens on PLAINTEXT at port 9092 + id. */
export function brokerRecord(brokerId: number, init: Partial<RegisterBrokerRecord> = {}): RegisterBrokerRecord {
  return {
    type: 'RegisterBrokerRecord',
    brokerId,
    incarnationId: idOf(brokerId),
    brokerEpoch: 1,
    endPoints: [
      { listener: 'PLAINTEXT', host: `host-${brokerId}`, port: 9092 + brokerId, securityProtocol: 'PLAINTEXT' },
    ],
    features: {},
    rack: null,
    fenced: false,
    inControlledShutdown: false,
    logDirs: [],
    ...init,
  }
}

/** A topic with one list of replicas per partition, each led by its first. */
export function topicRecords(name: string, topicId: Uuid, ...replicaLists: readonly number[][]): MetadataRecord[] {
  return [
    { type: 'TopicRecord', name, topicId },
    ...replicaLists.map((replicas, partitionId) => partitionRecord(topicId, partitionId, replicas)),
  ]
}

export function partitionRecord(
  topicId: Uuid,
  partitionId: number,
  replicas: readonly number[],
  init: Partial<PartitionRecord> = {},
): PartitionRecord {
  return {
    type: 'PartitionRecord',
    topicId,
    partitionId,
    replicas,
    directories: [],
    isr: replicas,
    removingReplicas: [],
    addingReplicas: [],
    leader: replicas[0] ?? -1,
    leaderRecoveryState: 0,
    leaderEpoch: 3,
    partitionEpoch: 5,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    ...init,
  }
}

export const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ConfigResourceType
