import { type Random, type Uuid, ZERO_UUID } from '@millrace/base'
import { type MetadataImage, type PartitionImage, type TopicImage, topicNameComplaint } from '@millrace/consensus'
import {
  createMetadataResponse,
  createMetadataResponseBroker,
  createMetadataResponsePartition,
  createMetadataResponseTopic,
  ErrorCode,
  type MetadataRequest,
  type MetadataResponse,
  type MetadataResponsePartition,
  type MetadataResponseTopic,
  metadataApi,
} from '@millrace/protocol'
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS } from '../metadata/authorized-operations.ts'
import { anyLiveBrokerId, brokerNodes, endpointOf, offlineReplicas, reachableLeader } from '../metadata/broker-nodes.ts'
import { isInternalTopic } from '../metadata/internal-topics.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler, RequestContext } from './handler.ts'
import { mapInSlices, type NextTurn, whenMapped } from './slices.ts'

export interface MetadataDeps {
  image(): MetadataImage
  /** `auto.create.topics.enable` now. */
  autoCreateTopics(): boolean
  /** Starts to create a topic; returns the error that a client is told meanwhile. */
  createTopic(name: string): number
  readonly random: Random
  readonly nextTurn: NextTurn
}

/**
 * Metadata 0–13: brokers, topics, leaders (`controller.md`, 10.1). Topics can be named, given by id (v12+), or be all: a null list,
 * in v0 an empty one. An absent topic may be created on the way; the client asks again.
 */
export function metadataHandler(deps: MetadataDeps): ApiHandler<MetadataRequest, MetadataResponse> {
  const views = new TopicViews()
  return defineHandler(metadataApi, (request, context) => {
    const version = context.apiVersion
    if (version < 12 && request.topics?.some((topic) => topic.name === null || topic.topicId !== ZERO_UUID)) {
      return refused(request)
    }
    const image = deps.image()
    const { listener } = context.connection
    const live = brokerNodes(image, listener).filter((node) => !node.fenced)
    const operations = request.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : OPERATIONS_NOT_ASKED
    const finish = (topic: MetadataResponseTopic): MetadataResponseTopic =>
      version < 8 ? topic : { ...topic, topicAuthorizedOperations: operations }
    const respond = (topics: MetadataResponseTopic[]) =>
      createMetadataResponse({
        brokers: live.map(({ id, host, port, rack }) => createMetadataResponseBroker({ nodeId: id, host, port, rack })),
        clusterId: image.clusterId,
        controllerId: anyLiveBrokerId(image, deps.random),
        topics,
        clusterAuthorizedOperations:
          version <= 10 && request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_ASKED,
      })
    return whenMapped(answerTopics(deps, views, image, request, context, finish), respond)
  })
}

function answerTopics(
  deps: MetadataDeps,
  views: TopicViews,
  image: MetadataImage,
  request: MetadataRequest,
  context: RequestContext,
  /** Adds what a view that others see too must not have. */
  finish: (topic: MetadataResponseTopic) => MetadataResponseTopic,
): MetadataResponseTopic[] | Promise<MetadataResponseTopic[]> {
  const wish: ViewWish = {
    listener: context.connection.listener,
    hideUnavailable: context.apiVersion === 0,
    tellMissingListener: context.apiVersion >= 6,
  }
  const { topics } = request
  if (topics === null || (context.apiVersion === 0 && topics.length === 0)) {
    const all = [...image.topics.values()]
    return mapInSlices(all, deps.nextTurn, (topic) => finish(views.view(image, topic, wish)), context)
  }
  const ids = new Set(topics.map((topic) => topic.topicId).filter((id) => id !== ZERO_UUID))
  if (ids.size > 0) {
    return mapInSlices([...ids], deps.nextTurn, (id) => finish(viewById(views, image, id, wish)), context)
  }
  const mayCreate = request.allowAutoTopicCreation && deps.autoCreateTopics()
  const names = new Set(topics.map((topic) => topic.name))
  return mapInSlices(
    [...names],
    deps.nextTurn,
    (name) => {
      // Neither a name nor an id.
      if (name === null) return finish(createMetadataResponseTopic({ errorCode: ErrorCode.INVALID_REQUEST, name }))
      const topic = image.topics.get(name)
      if (topic !== undefined) return finish(views.view(image, topic, wish))
      const errorCode = mayCreate ? deps.createTopic(name) : absentTopicError(name)
      return finish(createMetadataResponseTopic({ errorCode, name, isInternal: isInternalTopic(name) }))
    },
    context,
  )
}

function viewById(views: TopicViews, image: MetadataImage, topicId: Uuid, wish: ViewWish): MetadataResponseTopic {
  const topic = image.topicsById.get(topicId)
  if (topic !== undefined) return views.view(image, topic, wish)
  return createMetadataResponseTopic({ errorCode: ErrorCode.UNKNOWN_TOPIC_ID, name: null, topicId })
}

function absentTopicError(name: string): number {
  return topicNameComplaint(name) === null ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.INVALID_TOPIC_EXCEPTION
}

/** Ids and absent names need v12: the whole request is wrong. */
function refused(request: MetadataRequest): MetadataResponse {
  return createMetadataResponse({
    topics: (request.topics ?? []).map((topic) =>
      createMetadataResponseTopic({ name: topic.name ?? '', errorCode: ErrorCode.INVALID_REQUEST }),
    ),
  })
}

/** What of a topic's view depends on the request. */
interface ViewWish {
  readonly listener: string
  /** v0 leaves brokers out that cannot be reached, and says so. */
  readonly hideUnavailable: boolean
  /** v6+ tells a leader without the listener from an absent one. */
  readonly tellMissingListener: boolean
}

interface CachedView extends ViewWish {
  readonly brokers: MetadataImage['brokers']
  readonly view: MetadataResponseTopic
}

/** Views of topics, kept as long as neither the topic nor any broker changes. Clients with one listener and version share them. */
class TopicViews {
  readonly #views = new WeakMap<TopicImage, CachedView>()

  view(image: MetadataImage, topic: TopicImage, wish: ViewWish): MetadataResponseTopic {
    const cached = this.#views.get(topic)
    if (
      cached !== undefined &&
      cached.brokers === image.brokers &&
      cached.listener === wish.listener &&
      cached.hideUnavailable === wish.hideUnavailable &&
      cached.tellMissingListener === wish.tellMissingListener
    ) {
      return cached.view
    }
    const view = createMetadataResponseTopic({
      name: topic.name,
      topicId: topic.id,
      isInternal: isInternalTopic(topic.name),
      partitions: topic.partitions.map((partition) => partitionView(image, partition, wish)),
    })
    this.#views.set(topic, { ...wish, brokers: image.brokers, view })
    return view
  }
}

function partitionView(image: MetadataImage, partition: PartitionImage, wish: ViewWish): MetadataResponsePartition {
  const { listener, hideUnavailable } = wish
  const reachable = (id: number) => {
    const broker = image.brokers.get(id)
    return broker !== undefined && !broker.fenced && endpointOf(broker, listener) !== null
  }
  const shown = (ids: readonly number[]) => (hideUnavailable ? ids.filter(reachable) : [...ids])
  const replicaNodes = shown(partition.replicas)
  const isrNodes = shown(partition.isr)
  const leaderId = reachableLeader(image, partition, listener)
  let errorCode: number = ErrorCode.NONE
  if (leaderId === -1) {
    const known = image.brokers.has(partition.leader)
    errorCode = known && wish.tellMissingListener ? ErrorCode.LISTENER_NOT_FOUND : ErrorCode.LEADER_NOT_AVAILABLE
  } else if (replicaNodes.length < partition.replicas.length || isrNodes.length < partition.isr.length) {
    errorCode = ErrorCode.REPLICA_NOT_AVAILABLE
  }
  return createMetadataResponsePartition({
    errorCode,
    partitionIndex: partition.partition,
    leaderId,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes,
    isrNodes,
    offlineReplicas: offlineReplicas(image, partition, listener),
  })
}
