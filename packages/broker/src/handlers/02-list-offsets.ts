import { DiskError } from '@millrace/base'
import { MAX_TOPIC_NAME_LENGTH } from '@millrace/consensus'
import {
  CorruptBatchError,
  createListOffsetsPartitionResponse,
  createListOffsetsResponse,
  createListOffsetsTopicResponse,
  decodeListOffsetsRequest,
  ErrorCode,
  encodeListOffsetsResponse,
  type ListOffsetsPartition,
  type ListOffsetsPartitionResponse,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
} from '@millrace/protocol'
import type { FoundOffset } from '@millrace/storage'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler } from './handler.ts'
import { type NextTurn, SLICE_ELEMENTS, watch } from './slices.ts'

/** Special timestamps and the first version that may ask for them. */
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
const MIN_VERSION_OF = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
])
const CONSUMER_REPLICA_ID = -1
/** Of tools that look into any replica. */
const DEBUG_REPLICA_ID = -2
/** Clients below know no better word for an offset that a new leader cannot tell yet. */
const FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE = 5

/** ListOffsets 1–11. Look-ups by timestamp may read cold segments, so the answer comes later. */
export function listOffsetsHandler(deps: {
  partitions: PartitionManager
  nextTurn: NextTurn
}): ApiHandler<ListOffsetsRequest, ListOffsetsResponse> {
  return {
    apiKey: 2,
    minVersion: 1,
    maxVersion: 11,
    decodeRequest: decodeListOffsetsRequest,
    encodeResponse: encodeListOffsetsResponse,
    async handle(request, context) {
      const duplicates = duplicatesOf(request)
      const topics = []
      const isGone = watch(context)
      let count = 0
      for (const topic of request.topics) {
        const partitions: ListOffsetsPartitionResponse[] = []
        for (const wanted of topic.partitions) {
          if (++count % SLICE_ELEMENTS === 0) {
            await context.nextSlice(deps.nextTurn)
            if (isGone()) return createListOffsetsResponse({})
            context.growAnswer(SLICE_ELEMENTS)
          }
          const answer = duplicates.has(wanted)
            ? failure(wanted, ErrorCode.INVALID_REQUEST)
            : await lookUp(deps.partitions, topic.name, wanted, request, context.apiVersion)
          partitions.push(answer)
        }
        topics.push(createListOffsetsTopicResponse({ name: topic.name, partitions }))
      }
      return createListOffsetsResponse({ topics })
    },
  }
}

/** Those that are asked for more than once. */
function duplicatesOf(request: ListOffsetsRequest): Set<ListOffsetsPartition> {
  const firstOf = new Map<string, ListOffsetsPartition>()
  const duplicates = new Set<ListOffsetsPartition>()
  for (const { name, partitions } of request.topics) {
    // No topic has such a name, and fifty thousand partitions of it would be half a gigabyte of keys.
    if (name.length > MAX_TOPIC_NAME_LENGTH) continue
    for (const partition of partitions) {
      const key = `${name}/${partition.partitionIndex}`
      const first = firstOf.get(key)
      if (first === undefined) firstOf.set(key, partition)
      else duplicates.add(first).add(partition)
    }
  }
  return duplicates
}

function failure(wanted: ListOffsetsPartition, errorCode: number): ListOffsetsPartitionResponse {
  return createListOffsetsPartitionResponse({
    partitionIndex: wanted.partitionIndex,
    errorCode,
    timestamp: -1,
    offset: -1,
    leaderEpoch: -1,
  })
}

async function lookUp(
  partitions: PartitionManager,
  topic: string,
  wanted: ListOffsetsPartition,
  request: ListOffsetsRequest,
  version: number,
): Promise<ListOffsetsPartitionResponse> {
  // A timestamp beyond 2^53 ms is later than every record's; below -2^53 it is none of the special ones.
  const timestamp = Number(wanted.timestamp)
  if (timestamp < 0 && version < (MIN_VERSION_OF.get(timestamp) ?? Number.POSITIVE_INFINITY)) {
    return failure(wanted, ErrorCode.UNSUPPORTED_VERSION)
  }
  const partition = partitions.find(topic, wanted.partitionIndex)
  if (partition === null) return failure(wanted, partitions.absenceCode(topic, wanted.partitionIndex))
  const epoch = version >= 4 ? wanted.currentLeaderEpoch : -1
  const error = request.replicaId === DEBUG_REPLICA_ID ? partition.checkReplica(epoch) : partition.checkLeader(epoch)
  if (error !== ErrorCode.NONE) return failure(wanted, error)
  if (
    request.replicaId === CONSUMER_REPLICA_ID &&
    (timestamp === LATEST || timestamp === MAX_TIMESTAMP || timestamp >= 0)
  ) {
    // A record that was acknowledged with acks=1 may wait for its sync. Who sent it and then asks for the end must find it, as with
    // Kafka, where one replica's high watermark follows the append.
    const waitError = await partition.whenCommitted()
    if (waitError !== ErrorCode.NONE) return failure(wanted, waitError)
  }
  const limit = limitOf(partition, request)
  // What earlier leaders committed may lie above the watermark that this one knows (R12).
  const isUnsure = request.replicaId === CONSUMER_REPLICA_ID && !partition.isHighWatermarkCurrent
  let offset = -1
  let foundTimestamp = -1
  let leaderEpoch = -1
  if (timestamp === LATEST) {
    if (isUnsure) return failure(wanted, notAvailable(version))
    offset = limit
    leaderEpoch = partition.leaderEpoch
  } else if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) {
    offset = partition.log.logStartOffset
    leaderEpoch = epochAt(partition, offset)
  } else if (timestamp === MAX_TIMESTAMP || timestamp >= 0) {
    const found = await findByTime(partition, timestamp, limit)
    if (typeof found === 'number') return failure(wanted, found)
    if (found !== null && found.offset < limit) {
      offset = found.offset
      foundTimestamp = found.timestamp
      leaderEpoch = found.leaderEpoch
    } else if (isUnsure) {
      return failure(wanted, notAvailable(version))
    }
  }
  // The rest asks about tiered storage, which does not exist here: nothing is found.
  return createListOffsetsPartitionResponse({
    partitionIndex: wanted.partitionIndex,
    errorCode: ErrorCode.NONE,
    timestamp: foundTimestamp,
    offset,
    leaderEpoch: version >= 4 ? leaderEpoch : -1,
  })
}

function notAvailable(version: number): number {
  return version >= FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE
    ? ErrorCode.OFFSET_NOT_AVAILABLE
    : ErrorCode.LEADER_NOT_AVAILABLE
}

/**
 * The record, null if there is none, or the error that kept it from being found. A batch whose stream cannot be expanded is stored as its
 * producer sent it, and is no reason to ask again: Kafka answers the same.
 */
async function findByTime(
  partition: Partition,
  timestamp: number,
  limit: number,
): Promise<FoundOffset | number | null> {
  const { log } = partition
  try {
    return await (timestamp === MAX_TIMESTAMP ? log.offsetOfMaxTimestamp() : log.offsetForTimestamp(timestamp, limit))
  } catch (error) {
    // It was moved meanwhile: the one in its place has the same.
    if (error instanceof DiskError && partition.log !== log) return await findByTime(partition, timestamp, limit)
    if (error instanceof DiskError) return ErrorCode.KAFKA_STORAGE_ERROR
    if (error instanceof CorruptBatchError) return ErrorCode.UNKNOWN_SERVER_ERROR
    throw error
  }
}

function limitOf(partition: Partition, request: ListOffsetsRequest): number {
  if (request.replicaId !== CONSUMER_REPLICA_ID) return partition.log.logEndOffset
  return request.isolationLevel === 1 ? partition.log.lastStableOffset : partition.log.highWatermark
}

/** Epoch of the batch at the log's start, as far as the epoch cache knows it. */
function epochAt(partition: Partition, offset: number): number {
  return partition.log.epochOf(offset)
}
