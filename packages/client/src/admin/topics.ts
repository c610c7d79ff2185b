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
  createMetadataRequest,
  createMetadataRequestTopic,
  createPartitionsApi,
  createTopicsApi,
  deleteTopicsApi,
  ErrorCode,
  metadataApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
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

/** Partitions, leaders and replicas of topics. */
export function describeTopics(
  core: ClientCore,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<Outcome<TopicDescription>[]> {
  return metadataOf(core, names, options)
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
          offlineReplicas,
        }))
        .sort((a, b) => a.partition - b.partition),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
