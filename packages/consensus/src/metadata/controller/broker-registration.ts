import type { Uuid } from '@millrace/base'
import type { EndpointImage, FeatureRange } from '../image.ts'
import type { MetadataRecord, PartitionChangeRecord } from '../records.ts'
import { applyRecord } from '../reducer.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
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
}

/**
 * Registers a broker, at once unfenced, and gives it the leaderships that only it can take. The answer is the broker epoch: the
 * offset of the registration, so it grows with each start. Refused if the broker does not know a finalized feature level.
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

/** Leaderless partitions elect; after an unclean restart the broker's own leaderships take a new epoch. */
function leadershipRecords(context: ControllerContext, registration: BrokerRegistration): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  for (const topic of context.image.topics.values()) {
    for (const partition of topic.partitions) {
      const leads = partition.leader === registration.brokerId
      if (partition.leader !== -1 && !(leads && !registration.recoveredCleanly)) continue
      const record = changeOf(context, topic, partition, { newLeaderEpoch: leads })
      if (record !== null) records.push(record)
    }
  }
  return records
}
