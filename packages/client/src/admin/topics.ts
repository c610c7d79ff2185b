import { type Uuid, ZERO_UUID } from '@millrace/base'
import {
  createCreatableReplicaAssignment,
  createCreatableTopic,
  createCreatableTopicConfig,
  createCreatePartitionsAssignment,
  createCreatePartitionsRequest,
  createCreatePartitionsTopic,
  createCreateTopicsRequest,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createDescribeTopicPartitionsRequest,
  createDescribeTopicPartitionsRequestCursor,
  createDescribeTopicPartitionsRequestTopicRequest,
  createMetadataRequest,
  createMetadataRequestTopic,
  createPartitionsApi,
  createTopicsApi,
  type DescribeTopicPartitionsResponseTopic,
  deleteTopicsApi,
  describeTopicPartitionsApi,
  ErrorCode,
  metadataApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { UnsupportedVersionError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, askAnyBroker, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A topic to create. */
export interface NewTopic {
  name: string
  /** Left out: the broker's default. */
  partitions?: number
  /** Left out: the broker's default. */
  replicationFactor?: number
  /** Brokers by partition, in place of the two above. */
  assignments?: readonly (readonly number[])[]
  configs?: Readonly<Record<string, string>>
}

/** A topic that was created. Numbers are -1 when the broker does not tell. */
export interface CreatedTopic {
  name: string
  topicId: Uuid
  partitions: number
  replicationFactor: number
}

/** A topic in a list. */
export interface TopicListing {
  name: string
  topicId: Uuid
  isInternal: boolean
  partitions: number
  /** Of the first partition; -1 for none. */
  replicationFactor: number
}

/** One partition of a described topic. */
export interface PartitionDescription {
  partition: number
  /** -1 while there is none. */
  leader: number
  leaderEpoch: number
  replicas: number[]
  isr: number[]
  /** Not in sync, but with all that was acknowledged: may lead without loss (KIP-966). Null where brokers do not tell. */
  elr: number[] | null
  /** Who was last eligible before nobody was: candidates of an unclean election. Null where brokers do not tell. */
  lastKnownElr: number[] | null
  offlineReplicas: number[]
}

export interface TopicDescription {
  name: string
  topicId: Uuid
  isInternal: boolean
  partitions: PartitionDescription[]
}

/** Deleting by id came with version 6, where names and ids share one list. */
const TOPIC_STATES_FROM_VERSION = 6

/** Creates topics; with `validateOnly` only says whether it would work. */
export async function createTopics(
  core: ClientCore,
  topics: readonly NewTopic[],
  options: AdminCallOptions & { validateOnly?: boolean },
): Promise<Outcome<CreatedTopic>[]> {
  const timeoutMs = limitOf(core, options)
  const brokerTimeoutMs = Math.min(timeoutMs, core.options.requestTimeoutMs)
  const message = createCreateTopicsRequest({
    timeoutMs: brokerTimeoutMs,
    validateOnly: options.validateOnly ?? false,
    topics: topics.map(({ name, partitions = -1, replicationFactor = -1, assignments, configs = {} }) =>
      createCreatableTopic({
        name,
        numPartitions: assignments === undefined ? partitions : -1,
        replicationFactor: assignments === undefined ? replicationFactor : -1,
        assignments: (assignments ?? []).map((brokerIds, partitionIndex) =>
          createCreatableReplicaAssignment({ partitionIndex, brokerIds: [...brokerIds] }),
        ),
        configs: Object.entries(configs).map(([key, value]) => createCreatableTopicConfig({ name: key, value })),
      }),
    ),
  })
  const response = await askController(core, 'creating topics', createTopicsApi, message, timeoutMs, (answer) =>
    answer.topics.map(({ errorCode }) => errorCode),
  )
  return response.topics.map(({ name, topicId, errorCode, errorMessage, numPartitions, replicationFactor }) => ({
    name,
    topicId,
    partitions: numPartitions,
    replicationFactor,
    error: errorOf(errorCode, { topic: name, message: errorMessage }),
  }))
}

/** Deletes topics by name or id. */
export async function deleteTopics(
  core: ClientCore,
  topics: readonly (string | { topicId: Uuid })[],
  options: AdminCallOptions,
): Promise<Outcome<{ name: string | null; topicId: Uuid }>[]> {
  const timeoutMs = limitOf(core, options)
  const brokerTimeoutMs = Math.min(timeoutMs, core.options.requestTimeoutMs)
  const names = topics.filter((topic) => typeof topic === 'string')
  const message = (version: number) =>
    version >= TOPIC_STATES_FROM_VERSION
      ? createDeleteTopicsRequest({
          timeoutMs: brokerTimeoutMs,
          topics: topics.map((topic) =>
            typeof topic === 'string'
              ? createDeleteTopicState({ name: topic })
              : createDeleteTopicState({ name: null, topicId: topic.topicId }),
          ),
        })
      : createDeleteTopicsRequest({ timeoutMs: brokerTimeoutMs, topicNames: names })
  const needsIds = names.length < topics.length
  const response = await askController(
    core,
    'deleting topics',
    deleteTopicsApi,
    message,
    timeoutMs,
    (answer) => answer.responses.map(({ errorCode }) => errorCode),
    needsIds ? { minVersion: TOPIC_STATES_FROM_VERSION } : {},
  )
  return response.responses.map(({ name, topicId, errorCode, errorMessage }) => ({
    name,
    topicId,
    error: errorOf(errorCode, { topic: name ?? topicId, message: errorMessage }),
  }))
}

/** Raises the partition counts of topics to `count`. */
export async function createPartitions(
  core: ClientCore,
  topics: readonly { name: string; count: number; assignments?: readonly (readonly number[])[] }[],
  options: AdminCallOptions & { validateOnly?: boolean },
): Promise<Outcome<{ name: string }>[]> {
  const timeoutMs = limitOf(core, options)
  const brokerTimeoutMs = Math.min(timeoutMs, core.options.requestTimeoutMs)
  const message = createCreatePartitionsRequest({
    timeoutMs: brokerTimeoutMs,
    validateOnly: options.validateOnly ?? false,
    topics: topics.map(({ name, count, assignments }) =>
      createCreatePartitionsTopic({
        name,
        count,
        assignments:
          assignments?.map((brokerIds) => createCreatePartitionsAssignment({ brokerIds: [...brokerIds] })) ?? null,
      }),
    ),
  })
  const response = await askController(core, 'adding partitions', createPartitionsApi, message, timeoutMs, (answer) =>
    answer.results.map(({ errorCode }) => errorCode),
  )
  return response.results.map(({ name, errorCode, errorMessage }) => ({
    name,
    error: errorOf(errorCode, { topic: name, message: errorMessage }),
  }))
}

/** Topics that there are, by name. */
export async function listTopics(
  core: ClientCore,
  options: AdminCallOptions & { includeInternal?: boolean },
): Promise<TopicListing[]> {
  const described = await metadataOf(core, null, options)
  return described
    .filter(({ error, isInternal }) => error === null && (options.includeInternal === true || !isInternal))
    .map(({ name, topicId, isInternal, partitions }) => ({
      name,
      topicId,
      isInternal,
      partitions: partitions.length,
      replicationFactor: partitions[0]?.replicas.length ?? -1,
    }))
}

/** Partitions, leaders and replicas of topics, each name once. */
export async function describeTopics(
  core: ClientCore,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<TopicDescription>[]> {
  // Without names the request would ask for all topics.
  if (names.length === 0) return []
  try {
    return await partitionsOf(core, [...new Set(names)].sort(), options)
  } catch (error) {
    if (!(error instanceof UnsupportedVersionError)) throw error
    return metadataOf(core, names, options)
  }
}

/** In pages: an answer holds so many partitions at most, and names the one to go on with. */
async function partitionsOf(
  core: ClientCore,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<TopicDescription>[]> {
  const timeoutMs = limitOf(core, options)
  const deadlineMs = core.ports.clock.monotonicMs() + timeoutMs
  const described = new Map<string, Outcome<TopicDescription>>()
  let cursor: { topicName: string; partitionIndex: number } | null = null
  do {
    const message = createDescribeTopicPartitionsRequest({
      topics: names.map((name) => createDescribeTopicPartitionsRequestTopicRequest({ name })),
      cursor: cursor === null ? null : createDescribeTopicPartitionsRequestCursor(cursor),
    })
    const leftMs = Math.max(1, deadlineMs - core.ports.clock.monotonicMs())
    const { response } = await askAnyBroker(
      core,
      'describing topics',
      describeTopicPartitionsApi,
      message,
      leftMs,
      () => ErrorCode.NONE,
    )
    for (const topic of response.topics) addPage(described, topic)
    const next: { topicName: string; partitionIndex: number } | null = response.nextCursor
    if (next !== null && !isBehind(next, cursor)) {
      const message = `the next page begins at ${next.topicName}-${next.partitionIndex}, which was told already`
      throw new ProtocolError(ErrorCode.UNKNOWN_SERVER_ERROR, { subject: 'describing topics', message })
    }
    cursor = next
  } while (cursor !== null)
  return [...described.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function isBehind(
  next: { topicName: string; partitionIndex: number },
  cursor: { topicName: string; partitionIndex: number } | null,
): boolean {
  if (cursor === null) return true
  return next.topicName === cursor.topicName
    ? next.partitionIndex > cursor.partitionIndex
    : next.topicName > cursor.topicName
}

function addPage(described: Map<string, Outcome<TopicDescription>>, topic: DescribeTopicPartitionsResponseTopic): void {
  const name = topic.name ?? ''
  const partitions = topic.partitions.map((partition) => ({
    partition: partition.partitionIndex,
    leader: partition.leaderId,
    leaderEpoch: partition.leaderEpoch,
    replicas: partition.replicaNodes,
    isr: partition.isrNodes,
    elr: partition.eligibleLeaderReplicas,
    lastKnownElr: partition.lastKnownElr,
    offlineReplicas: partition.offlineReplicas,
  }))
  const { topicId, isInternal, errorCode } = topic
  const known = described.get(name)
  const all = [...(known?.partitions ?? []), ...partitions].sort((a, b) => a.partition - b.partition)
  described.set(name, { name, topicId, isInternal, error: errorOf(errorCode, { topic: name }), partitions: all })
}

async function metadataOf(
  core: ClientCore,
  names: readonly string[] | null,
  options: AdminCallOptions,
): Promise<Outcome<TopicDescription>[]> {
  if (names?.length === 0) return []
  const message = createMetadataRequest({
    topics: names?.map((name) => createMetadataRequestTopic({ name })) ?? null,
    allowAutoTopicCreation: false,
  })
  const { response } = await askAnyBroker(
    core,
    'describing topics',
    metadataApi,
    message,
    limitOf(core, options),
    ({ errorCode }) => errorCode,
    { minVersion: 4 },
  )
  return response.topics
    .map((topic) => ({
      name: topic.name ?? '',
      topicId: topic.topicId ?? ZERO_UUID,
      isInternal: topic.isInternal,
      // A topic whose leader is being elected exists all the same.
      error:
        topic.errorCode === ErrorCode.LEADER_NOT_AVAILABLE
          ? null
          : errorOf(topic.errorCode, { topic: topic.name ?? '' }),
      partitions: topic.partitions
        .map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes, offlineReplicas }) => ({
          partition: partitionIndex,
          leader: leaderId,
          leaderEpoch,
          replicas: replicaNodes,
          isr: isrNodes,
          elr: null,
          lastKnownElr: null,
          offlineReplicas,
        }))
        .sort((a, b) => a.partition - b.partition),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
