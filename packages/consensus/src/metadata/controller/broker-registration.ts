import type { Uuid } from '@millrace/base'
import type { EndpointImage, FeatureRange, PartitionImage, TopicImage } from '../image.ts'
import type { MetadataRecord, PartitionChangeRecord } from '../records.ts'
import { applyRecord } from '../reducer.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { forEachPartition } from './broker-events.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { changeOf } from './partition-events.ts'

/** A broker that has started and can serve. */
export interface BrokerRegistration {
  readonly brokerId: number
  /** New with each start of the process. */
  readonly incarnationId: Uuid
  readonly rack: string | null
  /** Where clients reach each listener; ports are the bound ones. */
  readonly endpoints: readonly EndpointImage[]
  readonly features: ReadonlyMap<string, FeatureRange>
  /** Ids of the online log directories. */
  readonly directories: readonly Uuid[]
  /** False if records that clients have read may be gone: leaders then take a new epoch, which clients check against (KIP-320). */
  readonly recoveredCleanly: boolean
  /** Replicas whose logs held records and are not there any more. None of a broker that does not tell. */
  readonly lostReplicas?: readonly { readonly topicId: Uuid; readonly partition: number }[]
}

/** For {@link BrokerRegistration.lostReplicas}. */
export function lostReplicasOf({ lostReplicas = [] }: BrokerRegistration): (topic: Uuid, partition: number) => boolean {
  const lost = new Set(lostReplicas.map(({ topicId, partition }) => `${topicId}:${partition}`))
  return (topicId, partition) => lost.has(`${topicId}:${partition}`)
}

/**
 * Registers a broker that is its own cluster, at once unfenced, and gives it the leaderships that only it can take. The answer is the broker
 * epoch: the offset of the registration, so it grows with each start. Refused if the broker does not know a finalized feature level.
 */
export function registerBroker(
  context: ControllerContext,
  registration: BrokerRegistration,
): Outcome<{ readonly brokerEpoch: number } | ApiError> {
  const { image } = context
  for (const [name, level] of image.features) {
    const range = registration.features.get(name)
    if (range !== undefined && level >= range.min && level <= range.max) continue
    const supported = range === undefined ? 'nothing of it' : `${range.min}-${range.max}`
    const message = `The cluster has ${name} at level ${level}, but broker ${registration.brokerId} supports ${supported}`
    return { records: [], response: apiError(MetadataErrorCode.UNSUPPORTED_VERSION, message) }
  }
  const brokerEpoch = image.offset
  const record: MetadataRecord = {
    type: 'RegisterBrokerRecord',
    brokerId: registration.brokerId,
    incarnationId: registration.incarnationId,
    brokerEpoch,
    endPoints: registration.endpoints,
    features: Object.fromEntries(registration.features),
    rack: registration.rack,
    fenced: false,
    inControlledShutdown: false,
    logDirs: registration.directories,
  }
  // Elections must see the broker as it will be.
  const after = { ...context, image: applyRecord(image, record) }
  return { records: [record, ...leadershipRecords(after, registration)], response: { brokerEpoch } }
}

/**
 * Leaderless partitions elect; after an unclean restart the broker's own leaderships take a new epoch. Whose log is lost has no leader, until
 * a start finds the log again, or an unclean election is asked for: an empty log would pass for all that there was.
 */
function leadershipRecords(context: ControllerContext, registration: BrokerRegistration): PartitionChangeRecord[] {
  const { brokerId, recoveredCleanly } = registration
  const isLost = lostReplicasOf(registration)
  const records: PartitionChangeRecord[] = []
  forEachPartition(context, (topic, partition) => {
    const leads = partition.leader === brokerId
    if (isLost(topic.id, partition.partition)) {
      if (leads) records.push(withoutLeader(topic, partition))
      return
    }
    if (partition.leader !== -1 && !(leads && !recoveredCleanly)) return
    const record = changeOf(context, topic, partition, {
      newLeaderEpoch: leads,
      // Nobody else has ever had a record of it.
      ...(isNotedAsLost(partition) ? { targetIsr: partition.replicas } : {}),
    })
    if (record !== null) records.push(record)
  })
  return records
}

/** Also where there are no eligible replicas (KIP-966): no member of the in-sync ones is to be elected. */
function withoutLeader(topic: TopicImage, { partition }: PartitionImage): PartitionChangeRecord {
  return { type: 'PartitionChangeRecord', topicId: topic.id, partitionId: partition, leader: -1, isr: [] }
}

/**
 * Whether an earlier registration of a node that is its own cluster told that it lost the partition's log. Nothing else makes such a partition
 * there, and so the next start can tell by this alone.
 */
export function isNotedAsLost({ leader, isr, elr }: PartitionImage): boolean {
  return leader < 0 && isr.length === 0 && elr.length === 0
}
