import {
  createOffsetForLeaderEpochResponse,
  createOffsetForLeaderEpochResponseEpochEndOffset,
  createOffsetForLeaderTopicResult,
  decodeOffsetForLeaderEpochRequest,
  ErrorCode,
  encodeOffsetForLeaderEpochResponse,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
} from '@millrace/protocol'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { ApiHandler } from './handler.ts'

/** OffsetForLeaderEpoch 2–4: where an epoch ends in this log, so that a reader can tell whether its own continues it (KIP-320). */
export function offsetForLeaderEpochHandler(deps: {
  partitions: PartitionManager
}): ApiHandler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> {
  return {
    apiKey: 23,
    minVersion: 2,
    maxVersion: 4,
    decodeRequest: decodeOffsetForLeaderEpochRequest,
    encodeResponse: encodeOffsetForLeaderEpochResponse,
    handle(request) {
      const topics = request.topics.map((topic) =>
        createOffsetForLeaderTopicResult({
          topic: topic.topic,
          partitions: topic.partitions.map((wanted) => {
            const partition = deps.partitions.find(topic.topic, wanted.partition)
            const errorCode =
              partition === null
                ? deps.partitions.absenceCode(topic.topic, wanted.partition)
                : partition.checkLeader(wanted.currentLeaderEpoch)
            if (partition === null || errorCode !== ErrorCode.NONE) {
              return createOffsetForLeaderEpochResponseEpochEndOffset({
                partition: wanted.partition,
                errorCode,
                leaderEpoch: -1,
                endOffset: -1,
              })
            }
            const end = partition.log.endOffsetForEpoch(wanted.leaderEpoch)
            return createOffsetForLeaderEpochResponseEpochEndOffset({
              partition: wanted.partition,
              errorCode,
              leaderEpoch: end.epoch,
              endOffset: end.endOffset,
            })
          }),
        }),
      )
      return createOffsetForLeaderEpochResponse({ topics })
    },
  }
}
