import type { Uuid } from '@millrace/base'
import {
  ApiKey,
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
import { STATE_ANSWERS } from '../../coordinator/share/state-answers.ts'
import type { Guard } from '../guard.ts'
import { NEEDS } from '../needs.ts'

export const initializeShareGroupStateGuard: Guard<
  InitializeShareGroupStateRequest,
  InitializeShareGroupStateResponse
> = stateGuard(STATE_ANSWERS.initialize)

export const readShareGroupStateGuard: Guard<ReadShareGroupStateRequest, ReadShareGroupStateResponse> = stateGuard(
  STATE_ANSWERS.read,
)

export const writeShareGroupStateGuard: Guard<WriteShareGroupStateRequest, WriteShareGroupStateResponse> = stateGuard(
  STATE_ANSWERS.write,
)

export const deleteShareGroupStateGuard: Guard<DeleteShareGroupStateRequest, DeleteShareGroupStateResponse> =
  stateGuard(STATE_ANSWERS.delete)

export const readShareGroupStateSummaryGuard: Guard<
  ReadShareGroupStateSummaryRequest,
  ReadShareGroupStateSummaryResponse
> = stateGuard(STATE_ANSWERS.readSummary)

interface StateRequest {
  readonly topics: readonly { readonly topicId: Uuid; readonly partitions: readonly { readonly partition: number }[] }[]
}

interface RefusedAnswer<Result, Topic, Response> {
  resultOf(init: { partition: number; errorCode: number }): Result
  topicOf(init: { topicId: Uuid; partitions: Result[] }): Topic
  responseOf(init: { results: Topic[] }): Response
}

/** Requests of brokers among themselves: refused in every partition that they name. All need the same. */
function stateGuard<Request extends StateRequest, Result, Topic, Response>({
  resultOf,
  topicOf,
  responseOf,
}: RefusedAnswer<Result, Topic, Response>): Guard<Request, Response> {
  return (request, { access }, next) => {
    const { cluster: need } = NEEDS[ApiKey.READ_SHARE_GROUP_STATE]
    if (access.allowsCluster(need)) return next(request)
    const { errorCode } = need
    const results = request.topics.map(({ topicId, partitions }) =>
      topicOf({ topicId, partitions: partitions.map(({ partition }) => resultOf({ partition, errorCode })) }),
    )
    return responseOf({ results })
  }
}
