import {
  createDeleteShareGroupStateResponse,
  createDeleteShareGroupStateResponsePartitionResult,
  createDeleteStateResult,
  createInitializeShareGroupStateResponse,
  createInitializeShareGroupStateResponsePartitionResult,
  createInitializeStateResult,
  createReadShareGroupStateResponse,
  createReadShareGroupStateResponsePartitionResult,
  createReadShareGroupStateResponseStateBatch,
  createReadShareGroupStateSummaryResponse,
  createReadShareGroupStateSummaryResponsePartitionResult,
  createReadStateResult,
  createReadStateSummaryResult,
  createWriteShareGroupStateResponse,
  createWriteShareGroupStateResponsePartitionResult,
  createWriteStateResult,
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

  async initialize(request: InitializeShareGroupStateRequest): Promise<InitializeShareGroupStateResponse> {
    const results = await eachTopic(request, createInitializeStateResult, async (key, { stateEpoch, startOffset }) => {
      const outcome =
        typeof startOffset !== 'number' || startOffset < -1
          ? INVALID
          : await this.#store.initialize(key, stateEpoch, startOffset)
      return createInitializeShareGroupStateResponsePartitionResult({ partition: key.partition, ...outcome })
    })
    return createInitializeShareGroupStateResponse({ results })
  }

  async read(request: ReadShareGroupStateRequest): Promise<ReadShareGroupStateResponse> {
    const results = await eachTopic(request, createReadStateResult, async (key, { leaderEpoch }) => {
      const { stateBatches, ...read } = await this.#store.read(key, leaderEpoch)
      return createReadShareGroupStateResponsePartitionResult({
        partition: key.partition,
        ...read,
        stateBatches: stateBatches.map((batch) => createReadShareGroupStateResponseStateBatch(batch)),
      })
    })
    return createReadShareGroupStateResponse({ results })
  }

  async write(request: WriteShareGroupStateRequest): Promise<WriteShareGroupStateResponse> {
    const results = await eachTopic(request, createWriteStateResult, async (key, data) => {
      const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = data
      const stateBatches = batchesOf(data.stateBatches)
      const outcome =
        stateBatches === null || typeof startOffset !== 'number' || startOffset < -1
          ? INVALID
          : await this.#store.write(key, { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches })
      return createWriteShareGroupStateResponsePartitionResult({ partition: key.partition, ...outcome })
    })
    return createWriteShareGroupStateResponse({ results })
  }

  async delete(request: DeleteShareGroupStateRequest): Promise<DeleteShareGroupStateResponse> {
    const results = await eachTopic(request, createDeleteStateResult, async (key) => {
      const outcome = await this.#store.delete(key)
      return createDeleteShareGroupStateResponsePartitionResult({ partition: key.partition, ...outcome })
    })
    return createDeleteShareGroupStateResponse({ results })
  }

  async readSummary(request: ReadShareGroupStateSummaryRequest): Promise<ReadShareGroupStateSummaryResponse> {
    const results = await eachTopic(request, createReadStateSummaryResult, async (key, { leaderEpoch }) => {
      const summary = await this.#store.readSummary(key, leaderEpoch)
      return createReadShareGroupStateSummaryResponsePartitionResult({ partition: key.partition, ...summary })
    })
    return createReadShareGroupStateSummaryResponse({ results })
  }
}

async function eachTopic<Partition extends { readonly partition: number }, Result, TopicResult>(
  { groupId, topics }: { readonly groupId: string; readonly topics: readonly Topic<Partition>[] },
  topicResultOf: (result: { topicId: ShareKey['topicId']; partitions: Result[] }) => TopicResult,
  operate: (key: ShareKey, partition: Partition) => Promise<Result>,
): Promise<TopicResult[]> {
  return Promise.all(
    topics.map(async ({ topicId, partitions }) => {
      const results = partitions.map((data) => operate({ groupId, topicId, partition: data.partition }, data))
      return topicResultOf({ topicId, partitions: await Promise.all(results) })
    }),
  )
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
