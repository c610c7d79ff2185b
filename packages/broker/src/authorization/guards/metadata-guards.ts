import { ZERO_UUID } from '@millrace/base'
import { AclResourceType, CLUSTER_RESOURCE_NAME } from '@millrace/consensus'
import {
  ApiKey,
  createMetadataResponseTopic,
  type DescribeClusterRequest,
  type DescribeClusterResponse,
  type MetadataRequest,
  type MetadataRequestTopic,
  type MetadataResponse,
  type MetadataResponseTopic,
} from '@millrace/protocol'
import { mapInSlices } from '../../handlers/slices.ts'
import { OPERATIONS_NOT_ASKED } from '../../metadata/authorized-operations.ts'
import { isInternalTopic } from '../../metadata/internal-topics.ts'
import type { Access } from '../authorizer.ts'
import { type Answer, andThen, type Guard, type GuardScene, visible } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

const METADATA = NEEDS[ApiKey.METADATA]
const TOPIC_OPERATIONS_VERSION = 8
const TOPIC_IDS_VERSION = 12

/** A topic of a request, and what it is answered if it may not be shown. */
interface NamedTopic {
  readonly topic: MetadataRequestTopic
  readonly refusal: MetadataResponseTopic | null
}

/**
 * A topic that may not be described is told to be forbidden, whether it exists or not, and left out where all are asked for. One that
 * is not there, and would be created, needs the permission to create it.
 */
export const metadataGuard: Guard<MetadataRequest, MetadataResponse> = (request, scene, next) => {
  const version = scene.context.apiVersion
  const { topics } = request
  const isAll = topics === null || (version === 0 && topics.length === 0)
  if (isAll) {
    return andThen(next(request), (response) =>
      andThen(
        visible(scene, response.topics, ({ name }) => scene.access.passes(METADATA.topic, name!)),
        (shown) => withOperations(request, { ...response, topics: shown }, scene),
      ),
    )
  }
  const usesIds = topics.some(({ topicId }) => topicId !== ZERO_UUID)
  // The handler refuses the whole.
  if (version < TOPIC_IDS_VERSION && (usesIds || topics.some(({ name }) => name === null))) return next(request)
  // Beside ids names are not answered: without the ids that are refused they would be, and nobody would have judged them.
  const asked = usesIds ? topics.filter(({ topicId }) => topicId !== ZERO_UUID) : topics
  const judged = mapInSlices(asked, scene.nextTurn, (topic): NamedTopic => {
    return { topic, refusal: usesIds ? refusalOfId(topic, scene) : refusalOfName(topic, request, scene) }
  })
  return andThen(judged, (named) => {
    const allowed = named.filter(({ refusal }) => refusal === null).map(({ topic }) => topic)
    const refused = distinct(named.flatMap(({ refusal }) => refusal ?? []))
    if (refused.length === 0) return andThen(next(request), (response) => withOperations(request, response, scene))
    return andThen(next({ ...request, topics: allowed }), (response) => {
      // In version 0 no topics mean all of them.
      const answered = allowed.length === 0 ? { ...response, topics: [] } : response
      return andThen(withOperations(request, answered, scene), (shown) => ({
        ...shown,
        topics: [...shown.topics, ...refused],
      }))
    })
  })
}

/** Without a name: that a topic has this id is no secret, what it is called may be. */
function refusalOfId({ topicId }: MetadataRequestTopic, { access, image }: GuardScene): MetadataResponseTopic | null {
  const name = image().topicsById.get(topicId)?.name
  if (name === undefined || access.allows(METADATA.topic, name)) return null
  return createMetadataResponseTopic({ errorCode: METADATA.topic.errorCode, name: null, topicId })
}

function refusalOfName(
  { name }: MetadataRequestTopic,
  { allowAutoTopicCreation }: MetadataRequest,
  { access, image, autoCreateTopics }: GuardScene,
): MetadataResponseTopic | null {
  if (name === null) return null
  if (!access.allows(METADATA.topic, name)) {
    return createMetadataResponseTopic({ errorCode: METADATA.topic.errorCode, name })
  }
  const isCreated = allowAutoTopicCreation && autoCreateTopics() && !image().topics.has(name)
  if (!isCreated || access.seesCluster(METADATA.anyNewTopic) || access.allows(METADATA.newTopic, name)) return null
  return createMetadataResponseTopic({
    errorCode: METADATA.newTopic.errorCode,
    name,
    isInternal: isInternalTopic(name),
  })
}

/** Each topic is answered once, however often it is named. */
function distinct(topics: readonly MetadataResponseTopic[]): MetadataResponseTopic[] {
  return [...new Map(topics.map((topic) => [topic.name ?? topic.topicId, topic])).values()]
}

/** What the client may do with what it is shown, if it asked. */
function withOperations(
  request: MetadataRequest,
  response: MetadataResponse,
  scene: GuardScene,
): Answer<MetadataResponse> {
  const { access, nextTurn } = scene
  if (response.clusterAuthorizedOperations !== OPERATIONS_NOT_ASKED) {
    response.clusterAuthorizedOperations = clusterOperations(access, METADATA.clusterOperations)
  }
  if (!request.includeTopicAuthorizedOperations || scene.context.apiVersion < TOPIC_OPERATIONS_VERSION) return response
  const tell = (topic: MetadataResponseTopic): MetadataResponseTopic => ({
    ...topic,
    topicAuthorizedOperations:
      topic.name === null ? OPERATIONS_NOT_ASKED : access.authorizedOperations(AclResourceType.TOPIC, topic.name),
  })
  return andThen(mapInSlices(response.topics, nextTurn, tell), (topics) => ({ ...response, topics }))
}

/** Everybody may know the brokers; what may be done with the cluster is told to those who may describe it. */
export const describeClusterGuard: Guard<DescribeClusterRequest, DescribeClusterResponse> = (request, scene, next) =>
  andThen(next(request), (response) => {
    if (response.clusterAuthorizedOperations === OPERATIONS_NOT_ASKED) return response
    const { clusterOperations: need } = NEEDS[ApiKey.DESCRIBE_CLUSTER]
    return { ...response, clusterAuthorizedOperations: clusterOperations(scene.access, need) }
  })

function clusterOperations(access: Access, need: Need): number {
  if (!access.allowsCluster(need)) return 0
  return access.authorizedOperations(AclResourceType.CLUSTER, CLUSTER_RESOURCE_NAME)
}
