import { randomUuid, type Uuid, ZERO_UUID } from '@millrace/base'
import { ConfigResourceType } from '../image.ts'
import type { ConfigRecord, MetadataRecord, PartitionRecord } from '../records.ts'
import { clearElrRecords, valueSizeError } from './alter-configs.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { assignmentError, newPartitionRecord } from './assignments.ts'
import {
  type ControllerContext,
  type EffectiveTopicConfig,
  MAX_RECORDS_PER_OPERATION,
  type Outcome,
  PartitionRoom,
  tooManyRecords,
} from './context.ts'
import { placeReplicas } from './placement.ts'
import {
  CLUSTER_METADATA_TOPIC,
  collisionIndex,
  hasCollisionCharacters,
  topicNameComplaint,
  unifyCollisionCharacters,
} from './topic-names.ts'

/** The wish for new topics. Counts of -1 mean the defaults. */
export interface CreateTopicsRequest {
  readonly topics: readonly NewTopic[]
  /** Check everything, create nothing. */
  readonly validateOnly: boolean
}

export interface NewTopic {
  readonly name: string
  readonly numPartitions: number
  readonly replicationFactor: number
  /** Replicas chosen by the user; empty: the controller chooses. */
  readonly assignments: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

/** Result for one topic. After a refusal the id is zero, the counts are -1 and there are no settings. */
export interface CreateTopicResult {
  readonly name: string
  readonly topicId: Uuid
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configs: readonly EffectiveTopicConfig[]
}

/**
 * Works out new topics by the rules of `controller.md`, 4: each topic succeeds or fails by itself, all successes are one batch.
 * Results stand in the order of the request, those for repeated and forbidden names behind them.
 */
export function createTopics(
  context: ControllerContext,
  request: CreateTopicsRequest,
): Outcome<readonly CreateTopicResult[]> {
  const { accepted, refused } = sortOut(request.topics)
  const tooLarge = tooManyPartitions(context, accepted)
  if (tooLarge !== null) return refuseAll(request, tooLarge)
  const collisions = accepted.some((topic) => hasCollisionCharacters(topic.name)) ? collisionIndex(context.image) : null
  const records: MetadataRecord[] = []
  const results: CreateTopicResult[] = []
  const room = new PartitionRoom(context)
  for (const topic of accepted) {
    const error =
      nameError(context, topic.name, collisions) ??
      nullConfigError(topic) ??
      longConfigError(topic) ??
      room.refusal(partitionsOf(context, topic))
    const result = error === null ? createTopic(context, topic, records) : failed(topic.name, error)
    if (result.errorCode === MetadataErrorCode.NONE) room.take(result.numPartitions)
    results.push(result)
  }
  const tooMany = tooManyRecords(records)
  if (tooMany !== null) return refuseAll(request, tooMany)
  return { records: request.validateOnly ? [] : records, response: [...results, ...refused] }
}

/** Most topics, and most partitions unless one topic has more, of one part of a request: what is worked out and applied at once. */
const TOPICS_PER_PART = 100
const PARTITIONS_PER_PART = 500

/**
 * Takes a large request apart, so that who carries it out need not do all of it at once: what concerns the whole request is settled
 * here, and the parts can be given to {@link createTopics} one after the other. Their results, and then the settled ones, are what
 * {@link createTopics} would have given.
 */
export function splitCreateTopics(
  context: ControllerContext,
  request: CreateTopicsRequest,
): { parts: readonly CreateTopicsRequest[]; settled: readonly CreateTopicResult[] } {
  if (request.topics.length <= TOPICS_PER_PART) return { parts: [request], settled: [] }
  const { accepted, refused } = sortOut(request.topics)
  const tooLarge = tooManyPartitions(context, accepted)
  if (tooLarge !== null) return { parts: [], settled: refuseAll(request, tooLarge).response }
  const parts: CreateTopicsRequest[] = []
  let topics: NewTopic[] = []
  let partitionCount = 0
  for (const topic of accepted) {
    const count = partitionsOf(context, topic)
    if (topics.length === TOPICS_PER_PART || (topics.length > 0 && partitionCount + count > PARTITIONS_PER_PART)) {
      parts.push({ ...request, topics })
      topics = []
      partitionCount = 0
    }
    topics.push(topic)
    partitionCount += count
  }
  if (topics.length > 0) parts.push({ ...request, topics })
  return { parts, settled: refused }
}

/** Repeated names fail once for all; the metadata log's own name is nobody's. */
function sortOut(topics: readonly NewTopic[]): { accepted: NewTopic[]; refused: CreateTopicResult[] } {
  const counts = new Map<string, number>()
  for (const { name } of topics) counts.set(name, (counts.get(name) ?? 0) + 1)
  const accepted = topics.filter(({ name }) => counts.get(name) === 1 && name !== CLUSTER_METADATA_TOPIC)
  const refused: CreateTopicResult[] = []
  for (const [name, count] of counts) {
    if (count > 1) refused.push(failed(name, apiError(MetadataErrorCode.INVALID_REQUEST, 'Duplicate topic name.')))
  }
  if (counts.get(CLUSTER_METADATA_TOPIC) === 1) {
    const message = `Creation of internal topic ${CLUSTER_METADATA_TOPIC} is prohibited.`
    refused.push(failed(CLUSTER_METADATA_TOPIC, apiError(MetadataErrorCode.INVALID_REQUEST, message)))
  }
  return { accepted, refused }
}

/** Checked before anything is laid out: a hostile count must not cost memory. */
function tooManyPartitions(context: ControllerContext, topics: readonly NewTopic[]): ApiError | null {
  let total = 0
  for (const topic of topics) total += partitionsOf(context, topic)
  if (total <= MAX_RECORDS_PER_OPERATION) return null
  return apiError(
    MetadataErrorCode.POLICY_VIOLATION,
    `The request asks for ${total} partitions, but one may create at most ${MAX_RECORDS_PER_OPERATION}`,
  )
}

function partitionsOf(context: ControllerContext, { assignments, numPartitions }: NewTopic): number {
  if (assignments.length > 0) return assignments.length
  return numPartitions === -1 ? context.settings.numPartitions : Math.max(0, numPartitions)
}

function refuseAll(request: CreateTopicsRequest, error: ApiError): Outcome<readonly CreateTopicResult[]> {
  const names = new Set(request.topics.map((topic) => topic.name))
  return { records: [], response: Array.from(names, (name) => failed(name, error)) }
}

function nameError(
  context: ControllerContext,
  name: string,
  collisions: ReadonlyMap<string, string> | null,
): ApiError | null {
  if (context.image.topics.has(name)) {
    return apiError(MetadataErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const complaint = topicNameComplaint(name)
  if (complaint !== null) return apiError(MetadataErrorCode.INVALID_TOPIC_EXCEPTION, complaint)
  const other = hasCollisionCharacters(name) ? collisions?.get(unifyCollisionCharacters(name)) : undefined
  if (other === undefined) return null
  return apiError(MetadataErrorCode.INVALID_TOPIC_EXCEPTION, `Topic '${name}' collides with existing topic: ${other}`)
}

function nullConfigError(topic: NewTopic): ApiError | null {
  const nulls = topic.configs.filter((config) => config.value === null).map((config) => config.name)
  if (nulls.length === 0) return null
  return apiError(MetadataErrorCode.INVALID_CONFIG, `Null value not supported for topic configs: ${nulls.join(',')}`)
}

function longConfigError(topic: NewTopic): ApiError | null {
  for (const { name, value } of topic.configs) {
    const error = valueSizeError(name, value!)
    if (error !== null) return error
  }
  return null
}

function createTopic(context: ControllerContext, topic: NewTopic, records: MetadataRecord[]): CreateTopicResult {
  const { name } = topic
  const own = new Map(topic.configs.map((config) => [config.name, config.value!]))
  const error = context.configRules.validate(ConfigResourceType.TOPIC, name, own, new Map())
  if (error !== null) return failed(name, error)
  const topicId = randomUuid(context.random)
  const partitions = layOut(context, topic, topicId)
  if (!Array.isArray(partitions)) return failed(name, partitions)
  const configs = [...own].map(
    ([key, value]): ConfigRecord => ({
      type: 'ConfigRecord',
      resourceType: ConfigResourceType.TOPIC,
      resourceName: name,
      name: key,
      value,
    }),
  )
  records.push({ type: 'TopicRecord', name, topicId }, ...configs, ...clearElrRecords(context.image, configs))
  for (const partition of partitions) records.push(partition)
  return {
    name,
    topicId,
    errorCode: MetadataErrorCode.NONE,
    errorMessage: null,
    numPartitions: partitions.length,
    replicationFactor: partitions[0]!.replicas.length,
    configs: context.configRules.effectiveTopicConfigs(context.image, own),
  }
}

function layOut(context: ControllerContext, topic: NewTopic, topicId: Uuid): PartitionRecord[] | ApiError {
  return topic.assignments.length > 0 ? layOutByUser(context, topic, topicId) : layOutByRule(context, topic, topicId)
}

function layOutByUser(context: ControllerContext, topic: NewTopic, topicId: Uuid): PartitionRecord[] | ApiError {
  const { INVALID_REQUEST, INVALID_REPLICA_ASSIGNMENT } = MetadataErrorCode
  const given = 'A manual partition assignment was specified, but'
  if (topic.replicationFactor !== -1) return apiError(INVALID_REQUEST, `${given} the replication factor was not -1.`)
  if (topic.numPartitions !== -1) return apiError(INVALID_REQUEST, `${given} the number of partitions was not -1.`)
  const partitions: PartitionRecord[] = []
  const seen = new Set<number>()
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (seen.has(partitionIndex)) {
      return apiError(INVALID_REPLICA_ASSIGNMENT, `Partition ${partitionIndex} was assigned more than once.`)
    }
    seen.add(partitionIndex)
    const error = assignmentError(context.image, brokerIds, partitions[0]?.replicas.length ?? null)
    if (error !== null) return error
    const partition = newPartitionRecord(context.image, topicId, partitionIndex, brokerIds)
    if (partition === null) {
      const message = `All brokers assigned to partition ${partitionIndex} are fenced or in controlled shutdown.`
      return apiError(INVALID_REPLICA_ASSIGNMENT, message)
    }
    partitions.push(partition)
  }
  partitions.sort((a, b) => a.partitionId - b.partitionId)
  if (partitions.some((partition, slot) => partition.partitionId !== slot)) {
    return apiError(INVALID_REPLICA_ASSIGNMENT, 'Partitions should be consecutive integers that begin with 0.')
  }
  return partitions
}

function layOutByRule(context: ControllerContext, topic: NewTopic, topicId: Uuid): PartitionRecord[] | ApiError {
  const { INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS } = MetadataErrorCode
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    return apiError(INVALID_REPLICATION_FACTOR, 'Replication factor must be larger than 0, or -1 for the default.')
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    return apiError(INVALID_PARTITIONS, 'Number of partitions must be larger than 0, or -1 for the default.')
  }
  const { settings, image, random } = context
  const count = topic.numPartitions === -1 ? settings.numPartitions : topic.numPartitions
  const factor = topic.replicationFactor === -1 ? settings.defaultReplicationFactor : topic.replicationFactor
  const placement = placeReplicas(image, random, count, factor)
  if ('complaint' in placement) {
    return apiError(
      INVALID_REPLICATION_FACTOR,
      `Unable to replicate the partition ${factor} time(s): ${placement.complaint}`,
    )
  }
  // The placer puts an unfenced broker first, so every partition has a leader.
  return placement.replicas.map((replicas, partition) => newPartitionRecord(image, topicId, partition, replicas)!)
}

function failed(name: string, error: ApiError): CreateTopicResult {
  return {
    name,
    topicId: ZERO_UUID,
    errorCode: error.code,
    errorMessage: error.message,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  }
}
