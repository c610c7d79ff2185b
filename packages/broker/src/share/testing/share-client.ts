import type { Uuid } from '@millrace/base'
import {
  createAcknowledgePartition,
  createAcknowledgeTopic,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  createInitializeShareGroupStateRequest,
  createInitializeShareGroupStateRequestPartitionData,
  createInitializeStateData,
  createReadShareGroupStateSummaryRequest,
  createReadShareGroupStateSummaryRequestPartitionData,
  createReadStateSummaryData,
  createShareAcknowledgeRequest,
  createShareAcknowledgeRequestAcknowledgementBatch,
  createShareFetchRequest,
  createShareFetchRequestAcknowledgementBatch,
  createShareFetchRequestFetchPartition,
  createShareFetchRequestFetchTopic,
  incrementalAlterConfigsApi,
  initializeShareGroupStateApi,
  readShareGroupStateSummaryApi,
  type ShareFetchRequest,
  type ShareFetchResponse,
  type ShareFetchResponsePartitionData,
  shareAcknowledgeApi,
  shareFetchApi,
} from '@millrace/protocol'
import { valuesIn } from '../../testing/data-client.ts'
import type { TestBroker } from '../../testing/test-broker.ts'
import type { TestClient } from '../../testing/test-client.ts'

const GROUP_RESOURCE = 32
const CONFIG_SET = 0

/** Records that a member was given: values of all that came, and what of it the member holds. */
export interface Given {
  readonly errorCode: number
  readonly acknowledgeErrorCode: number
  readonly values: (string | null)[]
  /** `first-last×deliveries`. */
  readonly held: string[]
}

/** A member of a share group, as the data path sees it: one session over one connection. */
export class ShareClient {
  readonly #client: TestClient
  readonly groupId: string
  readonly memberId: string
  epoch = 0

  constructor(client: TestClient, groupId: string, memberId: string) {
    this.#client = client
    this.groupId = groupId
    this.memberId = memberId
  }

  request(
    topicId: Uuid,
    init: Partial<ShareFetchRequest> = {},
    partitions: readonly number[] = [0],
  ): ShareFetchRequest {
    const shareSessionEpoch = this.epoch
    this.epoch = Math.max(0, shareSessionEpoch) + 1
    const wanted = partitions.map((partitionIndex) => createShareFetchRequestFetchPartition({ partitionIndex }))
    return createShareFetchRequest({
      groupId: this.groupId,
      memberId: this.memberId,
      shareSessionEpoch,
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1 << 20,
      maxRecords: 500,
      batchSize: 500,
      topics: [createShareFetchRequestFetchTopic({ topicId, partitions: wanted })],
      ...init,
    })
  }

  fetchAll(topicId: Uuid, init: Partial<ShareFetchRequest> = {}, partitions?: readonly number[]) {
    return this.#client.call(shareFetchApi, 2, this.request(topicId, init, partitions)) as Promise<ShareFetchResponse>
  }

  /** Fetches partition 0 of a topic. */
  async fetch(topicId: Uuid, init: Partial<ShareFetchRequest> = {}): Promise<Given> {
    const { errorCode, responses } = await this.fetchAll(topicId, init)
    const [data] = responses[0]?.partitions ?? []
    return data === undefined
      ? { errorCode, acknowledgeErrorCode: 0, values: [], held: [] }
      : { ...givenOf(data), errorCode: errorCode || data.errorCode }
  }

  /** Fetches and says something of records in one request. */
  fetchAnd(topicId: Uuid, firstOffset: number, lastOffset: number, type: number): Promise<Given> {
    const batch = { firstOffset, lastOffset, acknowledgeTypes: [type] }
    const acknowledgementBatches = [createShareFetchRequestAcknowledgementBatch(batch)]
    const partitions = [createShareFetchRequestFetchPartition({ partitionIndex: 0, acknowledgementBatches })]
    return this.fetch(topicId, { topics: [createShareFetchRequestFetchTopic({ topicId, partitions })] })
  }

  /** Says something of records of partition 0. Gives the error of the request, or of the partition. */
  async acknowledge(
    topicId: Uuid,
    firstOffset: number,
    lastOffset: number,
    acknowledgeTypes: number[],
    isRenewAck = false,
  ): Promise<number> {
    const batch = { firstOffset, lastOffset, acknowledgeTypes }
    const acknowledgementBatches = [createShareAcknowledgeRequestAcknowledgementBatch(batch)]
    const partitions = [createAcknowledgePartition({ partitionIndex: 0, acknowledgementBatches })]
    const { groupId, memberId } = this
    const request = createShareAcknowledgeRequest({
      ...{ groupId, memberId, isRenewAck },
      shareSessionEpoch: this.epoch++,
      topics: [createAcknowledgeTopic({ topicId, partitions })],
    })
    const answer = await this.#client.call(shareAcknowledgeApi, 2, request)
    return answer.errorCode || (answer.responses[0]?.partitions[0]?.errorCode ?? 0)
  }

  /** Ends the session. */
  async close(): Promise<number> {
    const { groupId, memberId } = this
    const request = createShareAcknowledgeRequest({ groupId, memberId, shareSessionEpoch: -1 })
    this.epoch = 0
    return (await this.#client.call(shareAcknowledgeApi, 2, request)).errorCode
  }
}

export function givenOf(data: ShareFetchResponsePartitionData): Given {
  return {
    errorCode: data.errorCode,
    acknowledgeErrorCode: data.acknowledgeErrorCode,
    values: valuesIn(data.records as Buffer | readonly Buffer[] | null),
    held: data.acquiredRecords.map(
      ({ firstOffset, lastOffset, deliveryCount }) => `${firstOffset}-${lastOffset}×${deliveryCount}`,
    ),
  }
}

/** Gives a share group a state in partitions of a topic, as its coordinator does. Lets the topic of states come into being. */
export async function initializeShares(
  broker: TestBroker,
  client: TestClient,
  groupId: string,
  topicId: Uuid,
  startOffset = 0,
  partitions: readonly number[] = [0],
): Promise<void> {
  const data = partitions.map((partition) =>
    createInitializeShareGroupStateRequestPartitionData({ partition, stateEpoch: 1, startOffset }),
  )
  const topics = [createInitializeStateData({ topicId, partitions: data })]
  const request = createInitializeShareGroupStateRequest({ groupId, topics })
  const answer = await client.call(initializeShareGroupStateApi, 0, request)
  const failed = answer.results.flatMap((result) => result.partitions).find(({ errorCode }) => errorCode !== 0)
  if (failed !== undefined) throw new Error(`share state: error ${failed.errorCode} ${failed.errorMessage}`)
  await broker.idle()
}

/** Start offset and count of finished records behind it, as stored. */
export async function storedSummary(client: TestClient, groupId: string, topicId: Uuid, partition = 0) {
  const partitions = [createReadShareGroupStateSummaryRequestPartitionData({ partition, leaderEpoch: -1 })]
  const topics = [createReadStateSummaryData({ topicId, partitions })]
  const request = createReadShareGroupStateSummaryRequest({ groupId, topics })
  const answer = await client.call(readShareGroupStateSummaryApi, 1, request)
  const { startOffset, deliveryCompleteCount, errorCode } = answer.results[0]!.partitions[0]!
  return { startOffset, deliveryCompleteCount, errorCode }
}

/** Sets configurations of a group; returns the error code. */
export async function alterGroup(
  client: TestClient,
  groupId: string,
  configs: Readonly<Record<string, string>>,
): Promise<number> {
  const resource = createIncrementalAlterConfigsRequestAlterConfigsResource({
    resourceType: GROUP_RESOURCE,
    resourceName: groupId,
    configs: Object.entries(configs).map(([key, value]) =>
      createIncrementalAlterConfigsRequestAlterableConfig({ name: key, value, configOperation: CONFIG_SET }),
    ),
  })
  const request = createIncrementalAlterConfigsRequest({ resources: [resource] })
  return (await client.call(incrementalAlterConfigsApi, 1, request)).responses[0]!.errorCode
}
