import {
  createDeleteRecordsPartition,
  createDeleteRecordsRequest,
  createDeleteRecordsTopic,
  deleteRecordsApi,
  ErrorCode,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { comparePartitions, groupByTopic, partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** Deletes all records before `offset`. */
export interface RecordsToDelete extends TopicPartition {
  /** -1n: everything up to the high watermark. */
  offset: bigint
}

/** Raises the starts of logs; each outcome has the new start. Asks every leader, and again where leaders move. */
export async function deleteRecords(
  core: ClientCore,
  deletions: readonly RecordsToDelete[],
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition & { logStartOffset: bigint }>[]> {
  const topics = [...new Set(deletions.map(({ topic }) => topic))]
  const timeoutMs = limitOf(core, options)
  let done: Outcome<TopicPartition & { logStartOffset: bigint }>[] = []
  let open = [...deletions]
  for (const topic of topics) core.metadata.addTopic(topic)
  try {
    await Promise.all(topics.map((topic) => core.metadata.awaitTopic(topic, timeoutMs)))
    await core.retrying('deleting records', timeoutMs, async (leftMs) => {
      const round = await askLeaders(core, open, Math.min(leftMs, core.options.requestTimeoutMs))
      done = done.concat(round.filter(({ error }) => !error?.retriable))
      const settled = new Set(done.map(({ topic, partition }) => partitionKey(topic, partition)))
      open = open.filter(({ topic, partition }) => !settled.has(partitionKey(topic, partition)))
      const again = round.find(({ error }) => error?.retriable)
      if (again === undefined) return
      core.metadata.requestUpdate()
      throw again.error
    })
  } finally {
    for (const topic of topics) core.metadata.removeTopic(topic)
  }
  return done.sort(comparePartitions)
}

async function askLeaders(core: ClientCore, deletions: readonly RecordsToDelete[], timeoutMs: number) {
  const byLeader = Map.groupBy(
    deletions,
    ({ topic, partition }) => core.metadata.partition(topic, partition)?.leaderId ?? -1,
  )
  const unasked = (byLeader.get(-1) ?? []).map(({ topic, partition }) => {
    const known = core.metadata.partition(topic, partition) !== null
    const errorCode = known ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.INVALID_PARTITIONS
    return { topic, partition, logStartOffset: -1n, error: new ProtocolError(errorCode, { topic, partition }) }
  })
  byLeader.delete(-1)
  const rounds = [...byLeader].map(([leaderId, list]) => askLeader(core, leaderId, list, timeoutMs))
  const answered: Outcome<TopicPartition & { logStartOffset: bigint }>[] = (await Promise.all(rounds)).flat()
  return answered.concat(unasked)
}

async function askLeader(core: ClientCore, leaderId: number, deletions: readonly RecordsToDelete[], timeoutMs: number) {
  const offsets = new Map(deletions.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]))
  const message = createDeleteRecordsRequest({
    timeoutMs,
    topics: [...groupByTopic(deletions)].map(([name, partitions]) =>
      createDeleteRecordsTopic({
        name,
        partitions: partitions.map((partitionIndex) =>
          createDeleteRecordsPartition({ partitionIndex, offset: offsets.get(partitionKey(name, partitionIndex))! }),
        ),
      }),
    ),
  })
  const { response } = await core.requestNode(leaderId, 'main', deleteRecordsApi, message, { timeoutMs })
  return response.topics.flatMap(({ name: topic, partitions }) =>
    partitions.map(({ partitionIndex: partition, lowWatermark, errorCode }) => ({
      topic,
      partition,
      logStartOffset: BigInt(lowWatermark),
      error: errorOf(errorCode, { topic, partition }),
    })),
  )
}
