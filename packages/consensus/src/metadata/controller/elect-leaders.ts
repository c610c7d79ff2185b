import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { type ControllerContext, type Outcome, tooManyRecords } from './context.ts'
import { changeOf, findPartition } from './partition-events.ts'

/** Kafka's numbers of elections on request. */
export const ElectionType = { PREFERRED: 0, UNCLEAN: 1 } as const

export interface ElectLeadersRequest {
  readonly electionType: number
  /** Null: all partitions. */
  readonly topicPartitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null
}

export interface ElectionTopicResult {
  readonly topic: string
  readonly partitionResult: readonly {
    readonly partitionId: number
    readonly errorCode: number
    readonly errorMessage: string | null
  }[]
}

/**
 * Elects on request (`controller.md`, 3.5). An unknown type refuses the whole. Asked for all partitions, those that need nothing
 * are left out of the answer, but their topics stay.
 */
export function electLeaders(
  context: ControllerContext,
  request: ElectLeadersRequest,
): Outcome<readonly ElectionTopicResult[] | ApiError> {
  const { electionType, topicPartitions } = request
  if (electionType !== ElectionType.PREFERRED && electionType !== ElectionType.UNCLEAN) {
    const message = `Unknown election type ${electionType}`
    return { records: [], response: apiError(MetadataErrorCode.INVALID_REQUEST, message) }
  }
  const asked =
    topicPartitions ??
    [...context.image.topics.values()].map((topic) => ({
      topic: topic.name,
      partitions: topic.partitions.map((partition) => partition.partition),
    }))
  const records: MetadataRecord[] = []
  const elected = new Set<string>()
  const response = asked.map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions
      .map((partitionId) => {
        const key = `${partitionId}:${topic}`
        // Named again: the election that it asks for is the one above.
        const error = elected.has(key)
          ? apiError(MetadataErrorCode.ELECTION_NOT_NEEDED)
          : electOne(context, topic, partitionId, electionType, records)
        if (error === null) elected.add(key)
        return { partitionId, errorCode: error?.code ?? MetadataErrorCode.NONE, errorMessage: error?.message ?? null }
      })
      .filter(({ errorCode }) => topicPartitions !== null || errorCode !== MetadataErrorCode.ELECTION_NOT_NEEDED),
  }))
  const tooMany = tooManyRecords(records)
  return tooMany === null ? { records, response } : { records: [], response: tooMany }
}

function electOne(
  context: ControllerContext,
  topicName: string,
  partitionId: number,
  electionType: number,
  records: MetadataRecord[],
): ApiError | null {
  const found = findPartition(context.image, topicName, partitionId)
  if (found === null) {
    const known = context.image.topics.has(topicName)
    const message = known ? `No such partition as ${topicName}-${partitionId}` : `No such topic as ${topicName}`
    return apiError(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
  const { leader, replicas } = found.partition
  const preferred = electionType === ElectionType.PREFERRED
  if (preferred ? leader === replicas[0] : leader !== -1) {
    return apiError(MetadataErrorCode.ELECTION_NOT_NEEDED)
  }
  const record = changeOf(context, found.topic, found.partition, {
    election: preferred ? 'PREFERRED' : 'UNCLEAN',
    isAskedFor: true,
  })
  if (record !== null) {
    records.push(record)
    return null
  }
  const { PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE } = MetadataErrorCode
  return apiError(preferred ? PREFERRED_LEADER_NOT_AVAILABLE : ELIGIBLE_LEADERS_NOT_AVAILABLE)
}
