import type { Timers } from '@millrace/base'
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
import { type Deletion, whenDeletedEverywhere } from '../partition/low-watermark-wait.ts'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler } from './handler.ts'
import { type NextTurn, SLICE_ELEMENTS } from './slices.ts'

/** "Up to the high watermark" in a request. */
const HIGH_WATERMARK = -1

/**
 * DeleteRecords 0–2: raises the log start offset, and waits until all replicas that are alive have raised theirs, so that no new leader has
 * what was deleted; for the request's time, then that partition is answered REQUEST_TIMED_OUT. The low watermark is the least log start.
 */
export function deleteRecordsHandler(deps: {
  partitions: PartitionManager
  timers: Timers
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
      const raised: Raised[] = []
      let count = 0
      for (const { name, partitions } of request.topics) {
        const results: DeleteRecordsPartitionResult[] = []
        for (const { partitionIndex, offset } of partitions) {
          if (++count % SLICE_ELEMENTS === 0) {
            await context.nextSlice(deps.nextTurn)
            context.growAnswer(SLICE_ELEMENTS)
          }
          const partition = deps.partitions.find(name, partitionIndex)
          const outcome = isInternalTopic(name)
            ? { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION }
            : await raise(partition, offset, () => deps.partitions.absenceCode(name, partitionIndex))
          const errorCode = 'errorCode' in outcome ? outcome.errorCode : ErrorCode.NONE
          const result = createDeleteRecordsPartitionResult({ partitionIndex, errorCode, lowWatermark: -1 })
          if (partition !== null && 'offset' in outcome) raised.push({ partition, offset: outcome.offset, result })
          results.push(result)
        }
        topics.push(createDeleteRecordsTopicResult({ name, partitions: results }))
      }
      await whenDeletedEverywhere(raised, request.timeoutMs, deps.timers, (callback) => context.onAbandoned(callback))
      for (const deletion of raised) tellResult(deletion)
      return createDeleteRecordsResponse({ topics })
    },
  }
}

interface Raised extends Deletion {
  readonly result: DeleteRecordsPartitionResult
}

function tellResult({ partition, offset, result }: Raised): void {
  const { lowWatermark } = partition
  result.errorCode = partition.checkLeader(-1)
  if (result.errorCode !== ErrorCode.NONE) return
  result.lowWatermark = lowWatermark
  if (lowWatermark < offset) result.errorCode = ErrorCode.REQUEST_TIMED_OUT
}

/** The offset that the log begins at now at the earliest, or why it was not raised. */
async function raise(
  partition: Partition | null,
  wantedOffset: number | bigint,
  absenceCode: () => number,
): Promise<{ readonly offset: number } | { readonly errorCode: number }> {
  if (partition === null) return { errorCode: absenceCode() }
  const error = partition.checkLeader(-1)
  if (error !== ErrorCode.NONE) return { errorCode: error }
  // Only "compact" keeps the newest value of each key: cutting the front would break that promise.
  if (partition.config.log.cleanupCompact && !partition.config.log.cleanupDelete) {
    return { errorCode: ErrorCode.POLICY_VIOLATION }
  }
  const { highWatermark, logEndOffset } = partition.log
  const isStored = wantedOffset > highWatermark && wantedOffset <= logEndOffset
  if (isStored || wantedOffset === HIGH_WATERMARK) {
    // A record that was acknowledged with acks=1 may wait for its sync. Who sent it and then deletes it must not be told that it is
    // out of range, nor be left with it.
    const waitError = await partition.whenCommitted()
    if (waitError !== ErrorCode.NONE) return { errorCode: waitError }
  }
  // Only now: while it was waited for, the replica may have been moved.
  const { log } = partition
  const offset = wantedOffset === HIGH_WATERMARK ? log.highWatermark : wantedOffset
  if (typeof offset !== 'number' || offset < 0 || offset > log.highWatermark) {
    return { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE }
  }
  if (offset > log.logStartOffset) {
    log.raiseLogStart(offset)
    partition.onLogStartRaised()
  }
  return { offset }
}
