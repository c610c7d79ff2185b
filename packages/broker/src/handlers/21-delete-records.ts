import {
  createDeleteRecordsPartitionResult,
  createDeleteRecordsResponse,
  createDeleteRecordsTopicResult,
  type DeleteRecordsPartitionResult,
  type DeleteRecordsRequest,
  type DeleteRecordsResponse,
  type DeleteRecordsTopicResult,
  decodeDeleteRecordsRequest,
  ErrorCode,
  encodeDeleteRecordsResponse,
} from '@millrace/protocol'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler } from './handler.ts'
import { type NextTurn, SLICE_ELEMENTS } from './slices.ts'

/** "Up to the high watermark" in a request. */
const HIGH_WATERMARK = -1

/**
 * DeleteRecords 0–2: raises the log start offset. The low watermark is this log's start: followers, which raise theirs with their next fetch,
 * are not waited for.
 */
export function deleteRecordsHandler(deps: {
  partitions: PartitionManager
  nextTurn: NextTurn
}): ApiHandler<DeleteRecordsRequest, DeleteRecordsResponse> {
  return {
    apiKey: 21,
    minVersion: 0,
    maxVersion: 2,
    decodeRequest: decodeDeleteRecordsRequest,
    encodeResponse: encodeDeleteRecordsResponse,
    async handle(request, context) {
      const topics: DeleteRecordsTopicResult[] = []
      let count = 0
      for (const { name, partitions } of request.topics) {
        const results: DeleteRecordsPartitionResult[] = []
        for (const { partitionIndex, offset } of partitions) {
          if (++count % SLICE_ELEMENTS === 0) {
            await context.nextSlice(deps.nextTurn)
            context.growAnswer(SLICE_ELEMENTS)
          }
          const partition = deps.partitions.find(name, partitionIndex)
          const errorCode = isInternalTopic(name)
            ? ErrorCode.INVALID_TOPIC_EXCEPTION
            : await raise(partition, offset, () => deps.partitions.absenceCode(name, partitionIndex))
          const lowWatermark = errorCode === ErrorCode.NONE && partition !== null ? partition.log.logStartOffset : -1
          results.push(createDeleteRecordsPartitionResult({ partitionIndex, errorCode, lowWatermark }))
        }
        topics.push(createDeleteRecordsTopicResult({ name, partitions: results }))
      }
      return createDeleteRecordsResponse({ topics })
    },
  }
}

async function raise(
  partition: Partition | null,
  wantedOffset: number | bigint,
  absenceCode: () => number,
): Promise<number> {
  if (partition === null) return absenceCode()
  const error = partition.checkLeader(-1)
  if (error !== ErrorCode.NONE) return error
  // Only "compact" keeps the newest value of each key: cutting the front would break that promise.
  if (partition.config.log.cleanupCompact && !partition.config.log.cleanupDelete) return ErrorCode.POLICY_VIOLATION
  const { log } = partition
  const isStored = wantedOffset > log.highWatermark && wantedOffset <= log.logEndOffset
  if (isStored || wantedOffset === HIGH_WATERMARK) {
    // A record that was acknowledged with acks=1 may wait for its sync. Who sent it and then deletes it must not be told that it is
    // out of range, nor be left with it.
    const waitError = await partition.whenCommitted()
    if (waitError !== ErrorCode.NONE) return waitError
  }
  const offset = wantedOffset === HIGH_WATERMARK ? log.highWatermark : wantedOffset
  if (typeof offset !== 'number' || offset < 0 || offset > log.highWatermark) return ErrorCode.OFFSET_OUT_OF_RANGE
  if (offset > log.logStartOffset) {
    log.raiseLogStart(offset)
    partition.onLogStartRaised()
  }
  return ErrorCode.NONE
}
