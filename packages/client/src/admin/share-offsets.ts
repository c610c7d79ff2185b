import {
  alterShareGroupOffsetsApi,
  createAlterShareGroupOffsetsRequest,
  createAlterShareGroupOffsetsRequestPartition,
  createAlterShareGroupOffsetsRequestTopic,
  createDeleteShareGroupOffsetsRequest,
  createDeleteShareGroupOffsetsRequestTopic,
  createDescribeShareGroupOffsetsRequest,
  createDescribeShareGroupOffsetsRequestGroup,
  createDescribeShareGroupOffsetsRequestTopic,
  deleteShareGroupOffsetsApi,
  describeShareGroupOffsetsApi,
  ErrorCode,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { groupByTopic, partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { throwIfError } from '../errors/protocol-error.ts'
import { offsetNumber } from '../offsets/offset-number.ts'
import { onCoordinator, throwIfCoordinatorMoved } from './groups.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** How far a share group is in one partition. */
export interface ShareGroupOffset extends TopicPartition {
  /** Everything before is done with; null while the group has not begun there. */
  startOffset: bigint | null
  leaderEpoch: number
  /** How many records are still to be delivered or acknowledged; null if the broker does not tell (KIP-1226). */
  lag: bigint | null
}

/** A place that a share group shall begin at. */
export interface ShareGroupOffsetChange extends TopicPartition {
  offset: bigint | number
}

/** How far a share group is in some partitions, or in all that it has begun with. Rejects if the group may not be asked about. */
export function listShareGroupOffsets(
  core: ClientCore,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  options: AdminCallOptions,
): Promise<Outcome<ShareGroupOffset>[]> {
  const topics =
    partitions &&
    [...groupByTopic(partitions)].map(([topicName, numbers]) =>
      createDescribeShareGroupOffsetsRequestTopic({ topicName, partitions: numbers }),
    )
  const groups = [createDescribeShareGroupOffsetsRequestGroup({ groupId, topics })]
  const message = createDescribeShareGroupOffsetsRequest({ groups })
  const what = `reading offsets of share group ${groupId}`
  return onCoordinator(core, what, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
    const { response } = await core.requestNode(nodeId, 'coordinator', describeShareGroupOffsetsApi, message, {
      timeoutMs,
    })
    const group = response.groups.find((candidate) => candidate.groupId === groupId)
    const errorCode = group?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
    throwIfCoordinatorMoved(core, groupId, errorCode)
    throwIfError(errorCode, { subject: `group ${groupId}`, message: group?.errorMessage ?? null })
    return (group?.topics ?? []).flatMap(({ topicName, partitions: answers }) =>
      answers.map((answer) => ({
        topic: topicName,
        partition: answer.partitionIndex,
        startOffset: knownOrNull(answer.startOffset),
        leaderEpoch: answer.leaderEpoch,
        lag: knownOrNull(answer.lag),
        error: errorOf(answer.errorCode, {
          topic: topicName,
          partition: answer.partitionIndex,
          message: answer.errorMessage,
        }),
      })),
    )
  })
}

/** Lets a share group without members go on at other places; what it had acknowledged there is forgotten. */
export function alterShareGroupOffsets(
  core: ClientCore,
  groupId: string,
  changes: readonly ShareGroupOffsetChange[],
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition>[]> {
  const message = createAlterShareGroupOffsetsRequest({
    groupId,
    topics: [...Map.groupBy(changes, ({ topic }) => topic)].map(([topicName, list]) =>
      createAlterShareGroupOffsetsRequestTopic({
        topicName,
        partitions: list.map(({ partition, offset }) =>
          createAlterShareGroupOffsetsRequestPartition({
            partitionIndex: partition,
            startOffset: offsetNumber(offset),
          }),
        ),
      }),
    ),
  })
  const what = `changing offsets of share group ${groupId}`
  return onCoordinator(core, what, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
    const { response } = await core.requestNode(nodeId, 'coordinator', alterShareGroupOffsetsApi, message, {
      timeoutMs,
    })
    throwIfCoordinatorMoved(core, groupId, response.errorCode)
    throwIfError(response.errorCode, { subject: `group ${groupId}`, message: response.errorMessage })
    const answers = new Map(
      response.responses.flatMap(({ topicName, partitions }) =>
        partitions.map((answer) => [partitionKey(topicName, answer.partitionIndex), answer] as const),
      ),
    )
    return changes.map(({ topic, partition }) => {
      const answer = answers.get(partitionKey(topic, partition))
      const errorCode = answer?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      return {
        topic,
        partition,
        error: errorOf(errorCode, { topic, partition, message: answer?.errorMessage ?? null }),
      }
    })
  })
}

/** Makes a share group without members forget topics. */
export function deleteShareGroupOffsets(
  core: ClientCore,
  groupId: string,
  topics: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<{ topic: string }>[]> {
  const message = createDeleteShareGroupOffsetsRequest({
    groupId,
    topics: topics.map((topicName) => createDeleteShareGroupOffsetsRequestTopic({ topicName })),
  })
  const what = `deleting offsets of share group ${groupId}`
  return onCoordinator(core, what, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
    const { response } = await core.requestNode(nodeId, 'coordinator', deleteShareGroupOffsetsApi, message, {
      timeoutMs,
    })
    throwIfCoordinatorMoved(core, groupId, response.errorCode)
    throwIfError(response.errorCode, { subject: `group ${groupId}`, message: response.errorMessage })
    const answers = new Map(response.responses.map((answer) => [answer.topicName, answer]))
    return topics.map((topic) => {
      const answer = answers.get(topic)
      const errorCode = answer?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      return { topic, error: errorOf(errorCode, { topic, message: answer?.errorMessage ?? null }) }
    })
  })
}

function knownOrNull(value: number | bigint): bigint | null {
  return Number(value) < 0 ? null : BigInt(value)
}
