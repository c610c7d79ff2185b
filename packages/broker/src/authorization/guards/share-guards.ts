import type { Uuid } from '@millrace/base'
import {
  ApiKey,
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
  type DeleteShareGroupStateRequest,
  type DeleteShareGroupStateResponse,
  type InitializeShareGroupStateRequest,
  type InitializeShareGroupStateResponse,
  type ReadShareGroupStateRequest,
  type ReadShareGroupStateResponse,
  type ReadShareGroupStateSummaryRequest,
  type ReadShareGroupStateSummaryResponse,
  type WriteShareGroupStateRequest,
  type WriteShareGroupStateResponse,
} from '@millrace/protocol'
import type { Guard } from '../guard.ts'
import { NEEDS } from '../needs.ts'

/** Requests of brokers among themselves: refused in every partition that they name. */
interface StateRequest {
  readonly topics: readonly { readonly topicId: Uuid; readonly partitions: readonly { readonly partition: number }[] }[]
}

const { cluster: need } = NEEDS[ApiKey.READ_SHARE_GROUP_STATE]

function stateGuard<Request extends StateRequest, Result, Topic, Response>(
  resultOf: (init: { partition: number; errorCode: number }) => Result,
  topicOf: (init: { topicId: Uuid; partitions: Result[] }) => Topic,
  responseOf: (init: { results: Topic[] }) => Response,
): Guard<Request, Response> {
  return (request, { access }, next) => {
    if (access.allowsCluster(need)) return next(request)
    const { errorCode } = need
    const results = request.topics.map(({ topicId, partitions }) =>
      topicOf({ topicId, partitions: partitions.map(({ partition }) => resultOf({ partition, errorCode })) }),
    )
    return responseOf({ results })
  }
}

export const initializeShareGroupStateGuard: Guard<
  InitializeShareGroupStateRequest,
  InitializeShareGroupStateResponse
> = stateGuard(
  createInitializeShareGroupStateResponsePartitionResult,
  createInitializeStateResult,
  createInitializeShareGroupStateResponse,
)

export const readShareGroupStateGuard: Guard<ReadShareGroupStateRequest, ReadShareGroupStateResponse> = stateGuard(
  createReadShareGroupStateResponsePartitionResult,
  createReadStateResult,
  createReadShareGroupStateResponse,
)

export const writeShareGroupStateGuard: Guard<WriteShareGroupStateRequest, WriteShareGroupStateResponse> = stateGuard(
  createWriteShareGroupStateResponsePartitionResult,
  createWriteStateResult,
  createWriteShareGroupStateResponse,
)

export const deleteShareGroupStateGuard: Guard<DeleteShareGroupStateRequest, DeleteShareGroupStateResponse> =
  stateGuard(
    createDeleteShareGroupStateResponsePartitionResult,
    createDeleteStateResult,
    createDeleteShareGroupStateResponse,
  )

export const readShareGroupStateSummaryGuard: Guard<
  ReadShareGroupStateSummaryRequest,
  ReadShareGroupStateSummaryResponse
> = stateGuard(
  createReadShareGroupStateSummaryResponsePartitionResult,
  createReadStateSummaryResult,
  createReadShareGroupStateSummaryResponse,
)
