import {
  createDeleteRecordsPartitionResult,
  createDeleteRecordsResponse,
  createDeleteRecordsTopicResult,
  type DeleteRecordsRequest,
  type DeleteRecordsResponse,
  decodeDeleteRecordsRequest,
  ErrorCode,
  encodeDeleteRecordsResponse,
} from '@millrace/protocol'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler } from './handler.ts'

/** "Up to the high watermark" in a request. */
const HIGH_WATERMARK = -1

/** DeleteRecords 0–2: raises the log start offset. With one replica the low watermark is this log's start, so nothing is waited for. */
export function deleteRecordsHandler(deps: {
  partitions: PartitionManager
}): ApiHandler<DeleteRecordsRequest, DeleteRecordsResponse> {
  return {
    apiKey: 21,
    minVersion: 0,
    maxVersion: 2,
    decodeRequest: decodeDeleteRecordsRequest,
    encodeResponse: encodeDeleteRecordsResponse,
    handle(request) {
      const topics = request.topics.map((topic) =>
        createDeleteRecordsTopicResult({
          name: topic.name,
          partitions: topic.partitions.map((wanted) => {
            const errorCode = isInternalTopic(topic.name)
              ? ErrorCode.INVALID_TOPIC_EXCEPTION
              : raise(deps.partitions.find(topic.name, wanted.partitionIndex), wanted.offset)
            const partition = deps.partitions.find(topic.name, wanted.partitionIndex)
            return createDeleteRecordsPartitionResult({
              partitionIndex: wanted.partitionIndex,
              errorCode,
              lowWatermark: errorCode === ErrorCode.NONE && partition !== null ? partition.log.logStartOffset : -1,
            })
          }),
        }),
      )
      return createDeleteRecordsResponse({ topics })
    },
  }
}

function raise(partition: Partition | null, wantedOffset: number | bigint): number {
  if (partition === null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const error = partition.checkLeader(-1)
  if (error !== ErrorCode.NONE) return error
  // Only "compact" keeps the newest value of each key: cutting the front would break that promise.
  if (partition.config.log.cleanupCompact && !partition.config.log.cleanupDelete) return ErrorCode.POLICY_VIOLATION
  const { log } = partition
  const offset = wantedOffset === HIGH_WATERMARK ? log.highWatermark : wantedOffset
  if (typeof offset !== 'number' || offset < 0 || offset > log.highWatermark) return ErrorCode.OFFSET_OUT_OF_RANGE
  if (offset > log.logStartOffset) {
    log.raiseLogStart(offset)
    partition.onLogStartRaised()
  }
  return ErrorCode.NONE
}
