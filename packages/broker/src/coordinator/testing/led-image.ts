import { ZERO_UUID } from '@millrace/base'
import { applyRecords, emptyImage, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import { topicId } from './group-driver.ts'

/** An image of brokers, and of topics by the leaders of their partitions; -1: there is none. */
export function ledImage(
  brokerIds: readonly number[],
  topics: Readonly<Record<string, readonly number[]>>,
  fenced: readonly number[] = [],
): MetadataImage {
  const records: MetadataRecord[] = brokerIds.map((brokerId) => ({
    type: 'RegisterBrokerRecord',
    brokerId,
    incarnationId: topicId(`broker ${brokerId}`),
    brokerEpoch: 1,
    endPoints: [{ listener: 'PLAINTEXT', host: 'broker.test', port: 9092, securityProtocol: 'PLAINTEXT' }],
    features: {},
    rack: null,
    fenced: fenced.includes(brokerId),
    inControlledShutdown: false,
    logDirs: [],
  }))
  for (const [name, leaders] of Object.entries(topics)) {
    records.push({ type: 'TopicRecord', name, topicId: topicId(name) })
    for (const [partitionId, leader] of leaders.entries()) {
      const replicas = leader < 0 ? [brokerIds[0]!] : [leader]
      records.push({
        type: 'PartitionRecord',
        ...{ topicId: topicId(name), partitionId, replicas, isr: replicas, leader },
        directories: [ZERO_UUID],
        removingReplicas: [],
        addingReplicas: [],
        leaderRecoveryState: 0,
        leaderEpoch: 0,
        partitionEpoch: 0,
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
      })
    }
  }
  return applyRecords(emptyImage('cluster'), records).image
}
