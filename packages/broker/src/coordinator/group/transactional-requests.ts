import {
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createTxnOffsetCommitResponse,
  createTxnOffsetCommitResponsePartition,
  createTxnOffsetCommitResponseTopic,
  ErrorCode,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
} from '@millrace/protocol'
import type { Verification } from '../../partition/transaction-verifications.ts'

/** Asks on behalf of a partition of `__consumer_offsets` whether the producer's transaction may write there. */
export type VerifyOffsets = (
  partition: number,
) => Promise<{ readonly errorCode: number; readonly verification: Verification | null }>

const TOPIC_ID_VERSION = 6
/** Clients below crash when they are told that a coordinator loads. */
const FIRST_LOADING_VERSION = 2
/** Versions of OffsetCommit that name topics alike. */
const COMMIT_BY_NAME = 8
const COMMIT_BY_ID = 10

/** The same commit as one without a transaction, and the version of OffsetCommit that has the same fields. */
export function plainCommitOf(
  request: TxnOffsetCommitRequest,
  apiVersion: number,
): { request: OffsetCommitRequest; apiVersion: number } {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch } = request
  const topics = request.topics.map(({ name, topicId, partitions }) =>
    createOffsetCommitRequestTopic({
      ...{ name, topicId },
      partitions: partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) =>
        createOffsetCommitRequestPartition({
          ...{ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata },
        }),
      ),
    }),
  )
  return {
    request: createOffsetCommitRequest({ groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, topics }),
    apiVersion: apiVersion >= TOPIC_ID_VERSION ? COMMIT_BY_ID : COMMIT_BY_NAME,
  }
}

export function transactionalResponse(response: OffsetCommitResponse, apiVersion: number): TxnOffsetCommitResponse {
  const codeOf = (errorCode: number): number =>
    errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS && apiVersion < FIRST_LOADING_VERSION
      ? ErrorCode.COORDINATOR_NOT_AVAILABLE
      : errorCode
  return createTxnOffsetCommitResponse({
    topics: response.topics.map(({ name, topicId, partitions }) =>
      createTxnOffsetCommitResponseTopic({
        ...{ name, topicId },
        partitions: partitions.map(({ partitionIndex, errorCode }) =>
          createTxnOffsetCommitResponsePartition({ partitionIndex, errorCode: codeOf(errorCode) }),
        ),
      }),
    ),
  })
}
