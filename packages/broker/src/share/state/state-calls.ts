import type { LeaderEpoch, Offset, Uuid } from '@millrace/base'
import {
  type ApiDefinition,
  createDeleteShareGroupStateRequest,
  createDeleteShareGroupStateRequestPartitionData,
  createDeleteStateData,
  createInitializeShareGroupStateRequest,
  createInitializeShareGroupStateRequestPartitionData,
  createInitializeStateData,
  createReadShareGroupStateRequest,
  createReadShareGroupStateRequestPartitionData,
  createReadShareGroupStateSummaryRequest,
  createReadShareGroupStateSummaryRequestPartitionData,
  createReadStateData,
  createReadStateSummaryData,
  createWriteShareGroupStateRequest,
  createWriteShareGroupStateRequestPartitionData,
  createWriteShareGroupStateRequestStateBatch,
  createWriteStateData,
  deleteShareGroupStateApi,
  ErrorCode,
  initializeShareGroupStateApi,
  readShareGroupStateApi,
  readShareGroupStateSummaryApi,
  writeShareGroupStateApi,
} from '@millrace/protocol'
import {
  emptySummary,
  failedRead,
  type ShareKey,
  type StateOutcome,
  type StateRead,
  type StateSummary,
  type StateWrite,
  shareKeyText,
} from '../../coordinator/share/share-state.ts'

/** Sends one request. */
type Send = <Request, Response>(api: ApiDefinition<Request, Response>, request: Request) => Promise<Response>

/** What is asked for one share partition. */
interface Item<Argument> {
  readonly key: ShareKey
  readonly argument: Argument
}

/** A kind of operation on the state of share partitions, as a request to their coordinator. */
export interface StateCall<Argument, Outcome> {
  /** For share partitions of one group, each named once. Outcomes by key (`shareKeyText`). */
  send(groupId: string, items: readonly Item<Argument>[], send: Send): Promise<Map<string, Outcome>>
  failed(errorCode: number): Outcome
  /** How many array elements an operation with this argument adds to its request, about. */
  elementsOf(argument: Argument): number
  /** What it comes to where no state was ever kept; null: then the topic for it is to be made. */
  readonly absent: Outcome | null
}

export const initializeCall: StateCall<{ stateEpoch: number; startOffset: Offset }, StateOutcome> = {
  async send(groupId, items, send) {
    const topics = byTopic(items, createInitializeStateData, ({ partition }, data) =>
      createInitializeShareGroupStateRequestPartitionData({ partition, ...data }),
    )
    const request = createInitializeShareGroupStateRequest({ groupId, topics })
    return byKey(groupId, await send(initializeShareGroupStateApi, request), outcomeOf)
  },
  failed: failedOutcome,
  elementsOf: () => 1,
  absent: null,
}

export const readCall: StateCall<LeaderEpoch, StateRead> = {
  async send(groupId, items, send) {
    const topics = byTopic(items, createReadStateData, ({ partition }, leaderEpoch) =>
      createReadShareGroupStateRequestPartitionData({ partition, leaderEpoch }),
    )
    const answer = await send(readShareGroupStateApi, createReadShareGroupStateRequest({ groupId, topics }))
    return byKey(groupId, answer, (result) => ({
      ...outcomeOf(result),
      stateEpoch: result.stateEpoch,
      startOffset: Number(result.startOffset),
      stateBatches: result.stateBatches.map(({ firstOffset, lastOffset, deliveryState, deliveryCount }) => ({
        firstOffset: Number(firstOffset),
        lastOffset: Number(lastOffset),
        deliveryState,
        deliveryCount,
      })),
    }))
  },
  failed: failedRead,
  elementsOf: () => 1,
  absent: failedRead(ErrorCode.INVALID_REQUEST),
}

export const writeCall: StateCall<StateWrite, StateOutcome> = {
  async send(groupId, items, send) {
    const topics = byTopic(items, createWriteStateData, ({ partition }, write) =>
      createWriteShareGroupStateRequestPartitionData({
        ...write,
        partition,
        stateBatches: write.stateBatches.map((batch) => createWriteShareGroupStateRequestStateBatch(batch)),
      }),
    )
    const answer = await send(writeShareGroupStateApi, createWriteShareGroupStateRequest({ groupId, topics }))
    return byKey(groupId, answer, outcomeOf)
  },
  failed: failedOutcome,
  elementsOf: ({ stateBatches }) => 1 + stateBatches.length,
  absent: failedOutcome(ErrorCode.INVALID_REQUEST),
}

export const deleteCall: StateCall<null, StateOutcome> = {
  async send(groupId, items, send) {
    const topics = byTopic(items, createDeleteStateData, ({ partition }) =>
      createDeleteShareGroupStateRequestPartitionData({ partition }),
    )
    const answer = await send(deleteShareGroupStateApi, createDeleteShareGroupStateRequest({ groupId, topics }))
    return byKey(groupId, answer, outcomeOf)
  },
  failed: failedOutcome,
  elementsOf: () => 1,
  absent: failedOutcome(ErrorCode.NONE),
}

export const summaryCall: StateCall<LeaderEpoch, StateSummary> = {
  async send(groupId, items, send) {
    const topics = byTopic(items, createReadStateSummaryData, ({ partition }, leaderEpoch) =>
      createReadShareGroupStateSummaryRequestPartitionData({ partition, leaderEpoch }),
    )
    const request = createReadShareGroupStateSummaryRequest({ groupId, topics })
    return byKey(groupId, await send(readShareGroupStateSummaryApi, request), (result) => ({
      ...outcomeOf(result),
      stateEpoch: result.stateEpoch,
      leaderEpoch: result.leaderEpoch,
      startOffset: Number(result.startOffset),
      deliveryCompleteCount: result.deliveryCompleteCount,
    }))
  },
  failed: emptySummary,
  elementsOf: () => 1,
  absent: emptySummary(ErrorCode.NONE),
}

function outcomeOf({ errorCode, errorMessage }: StateOutcome): StateOutcome {
  return { errorCode, errorMessage }
}

function failedOutcome(errorCode: number): StateOutcome {
  return { errorCode, errorMessage: null }
}

function byTopic<Argument, Data, Topic>(
  items: readonly Item<Argument>[],
  topicOf: (topic: { topicId: Uuid; partitions: Data[] }) => Topic,
  dataOf: (key: ShareKey, argument: Argument) => Data,
): Topic[] {
  const partitions = new Map<Uuid, Data[]>()
  for (const { key, argument } of items) {
    const data = dataOf(key, argument)
    const known = partitions.get(key.topicId)
    if (known === undefined) partitions.set(key.topicId, [data])
    else known.push(data)
  }
  return Array.from(partitions, ([topicId, list]) => topicOf({ topicId, partitions: list }))
}

function byKey<Result extends { readonly partition: number }, Outcome>(
  groupId: string,
  { results }: { readonly results: readonly { readonly topicId: Uuid; readonly partitions: readonly Result[] }[] },
  outcomeFor: (result: Result) => Outcome,
): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome>()
  for (const { topicId, partitions } of results) {
    for (const result of partitions) {
      outcomes.set(shareKeyText({ groupId, topicId, partition: result.partition }), outcomeFor(result))
    }
  }
  return outcomes
}
