import { type Uuid, ZERO_UUID } from '@millrace/base'
import {
  createCreatableTopic,
  createCreatableTopicConfig,
  createCreateTopicsRequest,
  createDeleteRecordsPartition,
  createDeleteRecordsRequest,
  createDeleteRecordsTopic,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  deleteRecordsApi,
  deleteTopicsApi,
  type FetchRequest,
  type FetchRequestFetchPartition,
  type FetchResponse,
  type FetchResponsePartitionData,
  fetchApi,
  incrementalAlterConfigsApi,
  type ListOffsetsPartitionResponse,
  listOffsetsApi,
  type PartitionProduceResponse,
  type ProduceRequest,
  produceApi,
  RecordReader,
} from '@millrace/protocol'
import type { MemorySocket } from './memory-network.ts'
import { TestClient } from './test-client.ts'

const TOPIC_RESOURCE = 2
const CONFIG_SET = 0

export interface ProduceOptions {
  version?: number
  acks?: number
  timeoutMs?: number
  partition?: number
}

/** A partition that a fetch wants; what is left out has the schema's default. */
export type WantedPartition = { topic: string; id?: Uuid } & Partial<FetchRequestFetchPartition>

/** The verbs of the data path, for tests: one partition at a time where that is enough. */
export class DataClient extends TestClient {
  /** Ids of the topics that clients of this broker made. */
  readonly topicIds: Map<string, Uuid>

  constructor(socket: MemorySocket, topicIds: Map<string, Uuid>) {
    super(socket)
    this.topicIds = topicIds
  }

  /** Makes a topic; throws on refusal. */
  async createTopic(name: string, numPartitions = 1, configs: Readonly<Record<string, string>> = {}): Promise<Uuid> {
    const topic = createCreatableTopic({
      name,
      numPartitions,
      replicationFactor: 1,
      configs: Object.entries(configs).map(([key, value]) => createCreatableTopicConfig({ name: key, value })),
    })
    const { topics } = await this.call(
      createTopicsApi,
      7,
      createCreateTopicsRequest({ topics: [topic], timeoutMs: 1000 }),
    )
    const result = topics[0]!
    if (result.errorCode !== 0) throw new Error(`topic ${name}: error ${result.errorCode} ${result.errorMessage}`)
    this.topicIds.set(name, result.topicId)
    return result.topicId
  }

  async deleteTopic(name: string): Promise<number> {
    const topics = [createDeleteTopicState({ name })]
    const answer = await this.call(deleteTopicsApi, 6, createDeleteTopicsRequest({ topics, timeoutMs: 1000 }))
    return answer.responses[0]!.errorCode
  }

  /** Sets configurations of a topic; returns the error code. */
  async alterTopic(name: string, configs: Readonly<Record<string, string>>): Promise<number> {
    const resource = createIncrementalAlterConfigsRequestAlterConfigsResource({
      resourceType: TOPIC_RESOURCE,
      resourceName: name,
      configs: Object.entries(configs).map(([key, value]) =>
        createIncrementalAlterConfigsRequestAlterableConfig({ name: key, value, configOperation: CONFIG_SET }),
      ),
    })
    const request = createIncrementalAlterConfigsRequest({ resources: [resource] })
    return (await this.call(incrementalAlterConfigsApi, 1, request)).responses[0]!.errorCode
  }

  produceRequest(topic: string, records: Buffer | null, options: ProduceOptions = {}): ProduceRequest {
    const { version = 12, acks = -1, timeoutMs = 10_000, partition = 0 } = options
    const partitionData = [createPartitionProduceData({ index: partition, records })]
    const topicId = version >= 13 ? (this.topicIds.get(topic) ?? ZERO_UUID) : ZERO_UUID
    const topicData = [createTopicProduceData({ name: topic, topicId, partitionData })]
    return createProduceRequest({ acks, timeoutMs, topicData })
  }

  /** Produces one batch to one partition and gives that partition's answer. */
  async produce(
    topic: string,
    records: Buffer | null,
    options: ProduceOptions = {},
  ): Promise<PartitionProduceResponse> {
    const version = options.version ?? 12
    const answer = await this.call(produceApi, version, this.produceRequest(topic, records, options))
    return answer.responses[0]!.partitionResponses[0]!
  }

  fetchRequest(partitions: readonly WantedPartition[], init: Partial<FetchRequest> = {}): FetchRequest {
    const topics = partitions.map(({ topic, id, ...wanted }) =>
      createFetchRequestFetchTopic({
        topic,
        topicId: id ?? this.topicIds.get(topic) ?? ZERO_UUID,
        partitions: [createFetchRequestFetchPartition({ partitionMaxBytes: 1 << 20, ...wanted })],
      }),
    )
    return createFetchRequest({ maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 24, sessionEpoch: -1, topics, ...init })
  }

  fetch(
    partitions: readonly WantedPartition[],
    init: Partial<FetchRequest> = {},
    version = 17,
  ): Promise<FetchResponse> {
    return this.call(fetchApi, version, this.fetchRequest(partitions, init))
  }

  /** Fetches one partition from an offset, without waiting. */
  async fetchFrom(topic: string, fetchOffset: number, version = 17): Promise<FetchResponsePartitionData> {
    return (await this.fetch([{ topic, fetchOffset }], {}, version)).responses[0]!.partitions[0]!
  }

  async listOffset(
    topic: string,
    timestamp: number | bigint,
    options: { version?: number; isolationLevel?: number; partition?: number; currentLeaderEpoch?: number } = {},
  ): Promise<ListOffsetsPartitionResponse> {
    const { version = 11, isolationLevel = 0, partition = 0, currentLeaderEpoch = -1 } = options
    const partitions = [createListOffsetsPartition({ partitionIndex: partition, timestamp, currentLeaderEpoch })]
    const topics = [createListOffsetsTopic({ name: topic, partitions })]
    const request = createListOffsetsRequest({ replicaId: -1, isolationLevel, topics })
    return (await this.call(listOffsetsApi, version, request)).topics[0]!.partitions[0]!
  }

  async deleteRecords(topic: string, offset: number | bigint, version = 2) {
    const partitions = [createDeleteRecordsPartition({ partitionIndex: 0, offset })]
    const topics = [createDeleteRecordsTopic({ name: topic, partitions })]
    const request = createDeleteRecordsRequest({ topics, timeoutMs: 1000 })
    return (await this.call(deleteRecordsApi, version, request)).topics[0]!.partitions[0]!
  }
}

/** A record as tests compare it. */
export interface ReadRecord {
  offset: number
  timestamp: number | bigint
  key: string | null
  value: string | null
}

/** All records in a `records` field, whole batches only. */
export function recordsIn(records: Buffer | readonly Buffer[] | null): ReadRecord[] {
  const bytes = records === null ? Buffer.alloc(0) : Buffer.isBuffer(records) ? records : Buffer.concat(records)
  const found: ReadRecord[] = []
  const reader = new RecordReader()
  for (let position = 0; position + 12 <= bytes.length; ) {
    const sizeBytes = 12 + bytes.readInt32BE(position + 8)
    if (position + sizeBytes > bytes.length) break
    reader.open(bytes, position)
    while (reader.next()) {
      found.push({
        offset: Number(reader.offset),
        timestamp: reader.timestamp,
        key: reader.key()?.toString() ?? null,
        value: reader.value()?.toString() ?? null,
      })
    }
    position += sizeBytes
  }
  return found
}

export function valuesIn(records: Buffer | readonly Buffer[] | null): (string | null)[] {
  return recordsIn(records).map((record) => record.value)
}
