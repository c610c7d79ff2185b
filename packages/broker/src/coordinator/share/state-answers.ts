import type { Uuid } from '@millrace/base'
import {
  createDeleteShareGroupStateResponse,
  createDeleteShareGroupStateResponsePartitionResult,
  createDeleteStateResult,
  createInitializeShareGroupStateResponse,
  createInitializeShareGroupStateResponsePartitionResult,
  createInitializeStateResult,
  createReadShareGroupStateResponse,
  createReadShareGroupStateResponsePartitionResult,
  createReadShareGroupStateSummaryResponse,
  createReadShareGroupStateSummaryResponsePartitionResult,
  createReadStateResult,
  createReadStateSummaryResult,
  createWriteShareGroupStateResponse,
  createWriteShareGroupStateResponsePartitionResult,
  createWriteStateResult,
} from '@millrace/protocol'

/** What the answer to a request of brokers for share states is put together from: results of partitions, by topic. */
export interface StateAnswer<Result extends { partition: number; errorCode: number }, Topic, Response> {
  resultOf(init: Partial<Result>): Result
  topicOf(init: { topicId: Uuid; partitions: Result[] }): Topic
  responseOf(init: { results: Topic[] }): Response
}

/** The answers of the share coordinator's APIs: alike, but for what each tells of a partition besides its error. */
export const STATE_ANSWERS = {
  initialize: {
    resultOf: createInitializeShareGroupStateResponsePartitionResult,
    topicOf: createInitializeStateResult,
    responseOf: createInitializeShareGroupStateResponse,
  },
  read: {
    resultOf: createReadShareGroupStateResponsePartitionResult,
    topicOf: createReadStateResult,
    responseOf: createReadShareGroupStateResponse,
  },
  write: {
    resultOf: createWriteShareGroupStateResponsePartitionResult,
    topicOf: createWriteStateResult,
    responseOf: createWriteShareGroupStateResponse,
  },
  delete: {
    resultOf: createDeleteShareGroupStateResponsePartitionResult,
    topicOf: createDeleteStateResult,
    responseOf: createDeleteShareGroupStateResponse,
  },
  readSummary: {
    resultOf: createReadShareGroupStateSummaryResponsePartitionResult,
    topicOf: createReadStateSummaryResult,
    responseOf: createReadShareGroupStateSummaryResponse,
  },
}
