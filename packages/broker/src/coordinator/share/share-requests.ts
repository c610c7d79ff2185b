import {
  createReadShareGroupStateResponseStateBatch,
  type DeleteShareGroupStateRequest,
  type DeleteShareGroupStateResponse,
  ErrorCode,
  type InitializeShareGroupStateRequest,
  type InitializeShareGroupStateResponse,
  type ReadShareGroupStateRequest,
  type ReadShareGroupStateResponse,
  type ReadShareGroupStateSummaryRequest,
  type ReadShareGroupStateSummaryResponse,
  type WriteShareGroupStateRequest,
  type WriteShareGroupStateResponse,
} from '@millrace/protocol'
import {
  DeliveryState,
  type ShareKey,
  type ShareStateStore,
  type StateBatch,
  type StateOutcome,
} from './share-state.ts'
import { STATE_ANSWERS, type StateAnswer } from './state-answers.ts'

const INVALID: StateOutcome = {
  errorCode: ErrorCode.INVALID_REQUEST,
  errorMessage: 'offsets or states that no record has',
}

interface Topic<Partition> {
  readonly topicId: ShareKey['topicId']
  readonly partitions: readonly Partition[]
}

/** Requests of the share coordinator's APIs as operations of a {@link ShareStateStore}: one for each share partition, all at a time. */
export class ShareStateRequests {
  readonly #store: ShareStateStore

  constructor(store: ShareStateStore) {
    this.#store = store
  }

  initialize(request: InitializeShareGroupStateRequest): Promise<InitializeShareGroupStateResponse> {
    return answerEach(request, STATE_ANSWERS.initialize, async (key, { stateEpoch, startOffset }) =>
      typeof startOffset !== 'number' || startOffset < -1
        ? INVALID
        : await this.#store.initialize(key, stateEpoch, startOffset),
    )
  }

  read(request: ReadShareGroupStateRequest): Promise<ReadShareGroupStateResponse> {
    return answerEach(request, STATE_ANSWERS.read, async (key, { leaderEpoch }) => {
      const { stateBatches, ...read } = await this.#store.read(key, leaderEpoch)
      return {
        ...read,
        stateBatches: stateBatches.map((batch) => createReadShareGroupStateResponseStateBatch(batch)),
      }
    })
  }

  write(request: WriteShareGroupStateRequest): Promise<WriteShareGroupStateResponse> {
    return answerEach(request, STATE_ANSWERS.write, async (key, data) => {
      const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = data
      const stateBatches = batchesOf(data.stateBatches)
      return stateBatches === null || typeof startOffset !== 'number' || startOffset < -1
        ? INVALID
        : await this.#store.write(key, { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches })
    })
  }

  delete(request: DeleteShareGroupStateRequest): Promise<DeleteShareGroupStateResponse> {
    return answerEach(request, STATE_ANSWERS.delete, (key) => this.#store.delete(key))
  }

  readSummary(request: ReadShareGroupStateSummaryRequest): Promise<ReadShareGroupStateSummaryResponse> {
    return answerEach(request, STATE_ANSWERS.readSummary, (key, { leaderEpoch }) =>
      this.#store.readSummary(key, leaderEpoch),
    )
  }
}

/** The request's partitions all at a time; the answer has them in its order. */
async function answerEach<
  Partition extends { readonly partition: number },
  Result extends { partition: number; errorCode: number },
  TopicResult,
  Response,
>(
  { groupId, topics }: { readonly groupId: string; readonly topics: readonly Topic<Partition>[] },
  { resultOf, topicOf, responseOf }: StateAnswer<Result, TopicResult, Response>,
  operate: (key: ShareKey, partition: Partition) => Promise<Partial<Result>>,
): Promise<Response> {
  const operateOne = async (topicId: ShareKey['topicId'], data: Partition): Promise<Result> => {
    const { partition } = data
    const outcome = await operate({ groupId, topicId, partition }, data)
    return resultOf({ ...outcome, partition })
  }
  const results = topics.map(async ({ topicId, partitions }) =>
    topicOf({ topicId, partitions: await Promise.all(partitions.map((data) => operateOne(topicId, data))) }),
  )
  return responseOf({ results: await Promise.all(results) })
}

/** Null: one of them cannot be. */
function batchesOf(
  batches: readonly (Omit<StateBatch, 'firstOffset' | 'lastOffset'> & {
    firstOffset: number | bigint
    lastOffset: number | bigint
  })[],
): StateBatch[] | null {
  const valid: StateBatch[] = []
  for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of batches) {
    if (typeof firstOffset !== 'number' || typeof lastOffset !== 'number') return null
    if (firstOffset < 0 || lastOffset < firstOffset || deliveryCount < 0) return null
    if (deliveryState < DeliveryState.AVAILABLE || deliveryState > DeliveryState.ARCHIVED) return null
    valid.push({ firstOffset, lastOffset, deliveryState, deliveryCount })
  }
  return valid
}
