import { ZERO_UUID } from '@millrace/base'
import {
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  type ProduceRequest,
  type ProduceResponse,
} from '@millrace/protocol'
import type { BrokerNode, ClusterView } from '../cluster/cluster-view.ts'
import type { LeaderHint } from '../cluster/metadata-merge.ts'
import { partitionKey } from '../cluster/topic-partition.ts'
import type { PartitionBuffer } from './partition-buffer.ts'
import type { ProducerBatch } from './producer-batch.ts'

/** Topics by id instead of name (KIP-516). */
const TOPIC_IDS_FROM_VERSION = 13

/** A batch on its way, with the buffer it came from. */
export interface SentBatch {
  buffer: PartitionBuffer
  batch: ProducerBatch
  bytes: Buffer
}

/** What became of one batch. */
export interface BatchAnswer {
  errorCode: number
  baseOffset: number | bigint
  logAppendTimeMs: number
  logStartOffset: number | bigint
  errorMessage: string | null
  /** Errors of single records by their position in the batch, or null. */
  recordErrors: { batchIndex: number; batchIndexErrorMessage: string | null }[] | null
}

/** The newest version that can name all topics of the request: without an id a topic needs its name. */
export function maxProduceVersion(sent: readonly SentBatch[], view: ClusterView): number {
  const allHaveIds = sent.every(({ buffer }) => (view.topics.get(buffer.topic)?.topicId ?? ZERO_UUID) !== ZERO_UUID)
  return allHaveIds ? Number.MAX_SAFE_INTEGER : TOPIC_IDS_FROM_VERSION - 1
}

/** The request for these batches. */
export function produceRequest(
  sent: readonly SentBatch[],
  view: ClusterView,
  options: { acks: number; timeoutMs: number; transactionalId: string | null },
): ProduceRequest {
  const byTopic = Map.groupBy(sent, ({ buffer }) => buffer.topic)
  const topicData = [...byTopic].map(([name, list]) =>
    createTopicProduceData({
      name,
      topicId: view.topics.get(name)?.topicId ?? ZERO_UUID,
      partitionData: list.map(({ buffer, bytes }) =>
        createPartitionProduceData({ index: buffer.partition, records: bytes }),
      ),
    }),
  )
  return createProduceRequest({ ...options, topicData })
}

/** Answers by batch; a batch that the response forgot is absent. `view` is the one that the request was made with. */
export function matchAnswers(
  response: ProduceResponse,
  version: number,
  sent: readonly SentBatch[],
  view: ClusterView,
): Map<SentBatch, BatchAnswer> {
  const byKey = new Map<string, SentBatch>()
  for (const one of sent) {
    const { topic, partition } = one.buffer
    const name = version >= TOPIC_IDS_FROM_VERSION ? (view.topics.get(topic)?.topicId ?? topic) : topic
    byKey.set(partitionKey(name, partition), one)
  }
  const answers = new Map<SentBatch, BatchAnswer>()
  for (const topic of response.responses) {
    const name = version >= TOPIC_IDS_FROM_VERSION ? topic.topicId : topic.name
    for (const answer of topic.partitionResponses) {
      const one = byKey.get(partitionKey(name, answer.index))
      if (one === undefined) continue
      answers.set(one, {
        errorCode: answer.errorCode,
        baseOffset: answer.baseOffset,
        logAppendTimeMs: Number(answer.logAppendTimeMs),
        logStartOffset: answer.logStartOffset,
        errorMessage: answer.errorMessage,
        recordErrors: answer.recordErrors.length > 0 ? answer.recordErrors : null,
      })
    }
  }
  return answers
}

/** Leaders and their addresses that the response tells (KIP-951). */
export function leaderHints(
  response: ProduceResponse,
  version: number,
  view: ClusterView,
): { hints: LeaderHint[]; endpoints: BrokerNode[] } {
  const hints: LeaderHint[] = []
  for (const topic of response.responses) {
    for (const { index, currentLeader } of topic.partitionResponses) {
      if (currentLeader.leaderId < 0) continue
      const name = version >= TOPIC_IDS_FROM_VERSION ? topicNameOf(view, topic.topicId) : topic.name
      if (name === null) continue
      const { leaderId, leaderEpoch } = currentLeader
      hints.push({ topic: name, partition: index, leaderId, leaderEpoch })
    }
  }
  const endpoints = response.nodeEndpoints.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack }))
  return { hints, endpoints }
}

function topicNameOf(view: ClusterView, topicId: string): string | null {
  for (const topic of view.topics.values()) if (topic.topicId === topicId) return topic.name
  return null
}
