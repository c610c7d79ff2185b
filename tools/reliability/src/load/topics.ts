import type { Uuid } from '@millrace/base'
import {
  BatchBuilder,
  type CodecId,
  createCreatableTopic,
  createCreatableTopicConfig,
  createCreateTopicsRequest,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  deleteTopicsApi,
  ErrorCode,
  type ProduceRequest,
  produceApi,
} from '@millrace/protocol'
import type { WireClient } from './wire-client.ts'

const TIMEOUT_MS = 30_000

/** Makes a topic; throws on refusal. */
export async function createTopic(
  client: WireClient,
  name: string,
  partitionCount: number,
  configs: Readonly<Record<string, string>> = {},
): Promise<Uuid> {
  const topic = createCreatableTopic({
    name,
    numPartitions: partitionCount,
    replicationFactor: 1,
    configs: Object.entries(configs).map(([key, value]) => createCreatableTopicConfig({ name: key, value })),
  })
  const request = createCreateTopicsRequest({ topics: [topic], timeoutMs: TIMEOUT_MS })
  const [result] = (await client.call(createTopicsApi, 7, request)).topics
  if (result!.errorCode !== ErrorCode.NONE) {
    throw new Error(`topic ${name} was not made: error ${result!.errorCode} ${result!.errorMessage}`)
  }
  return result!.topicId
}

export async function deleteTopic(client: WireClient, name: string): Promise<void> {
  const request = createDeleteTopicsRequest({ topics: [createDeleteTopicState({ name })], timeoutMs: TIMEOUT_MS })
  const [result] = (await client.call(deleteTopicsApi, 6, request)).responses
  if (result!.errorCode !== ErrorCode.NONE) throw new Error(`topic ${name} was not deleted: error ${result!.errorCode}`)
}

/** A batch of equal records. */
export function batchOf(codec: CodecId, recordCount: number, value: Buffer): Buffer {
  const builder = new BatchBuilder({ codec })
  for (let n = 0; n < recordCount; n++) builder.append(Date.now(), null, value)
  return Buffer.from(builder.build())
}

export function produceRequest(topic: string, partition: number, records: Buffer, acks = -1): ProduceRequest {
  const partitionData = [createPartitionProduceData({ index: partition, records })]
  return createProduceRequest({
    acks,
    timeoutMs: TIMEOUT_MS,
    topicData: [createTopicProduceData({ name: topic, partitionData })],
  })
}

/** Produces one batch; gives the error code. */
export async function produce(
  client: WireClient,
  topic: string,
  partition: number,
  records: Buffer,
  acks = -1,
): Promise<number> {
  const answer = await client.call(produceApi, 9, produceRequest(topic, partition, records, acks))
  return answer.responses[0]!.partitionResponses[0]!.errorCode
}
