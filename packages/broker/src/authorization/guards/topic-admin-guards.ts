import { ZERO_UUID } from '@millrace/base'
import {
  ApiKey,
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
  type CreateTopicsRequest,
  type CreateTopicsResponse,
  createCreatableTopicResult,
  createCreatePartitionsResponse,
  createCreatePartitionsTopicResult,
  createCreateTopicsResponse,
  createDeletableTopicResult,
  createDeleteTopicsResponse,
  type DeletableTopicResult,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse,
  ErrorCode,
  errorInfo,
} from '@millrace/protocol'
import { METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import { addRows, andThen, type Guard, type GuardScene, namedOnce, narrow } from '../guard.ts'
import { NEEDS } from '../needs.ts'

/** Topics that are named twice, or can never be made, are refused for that. */
export const createTopicsGuard: Guard<CreateTopicsRequest, CreateTopicsResponse> = (request, scene, next) => {
  const { topic: need, anyTopic, configs } = NEEDS[ApiKey.CREATE_TOPICS]
  const { access } = scene
  const mayCreateAny = access.seesCluster(anyTopic)
  const once = namedOnce(request.topics, ({ name }) => name)
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => mayCreateAny || !once.has(name) || name === METADATA_TOPIC || access.allows(need, name),
    ask: (topics) =>
      andThen(next({ ...request, topics }), (response) => {
        for (const topic of response.topics) {
          if (topic.errorCode !== ErrorCode.NONE || access.sees(configs, topic.name)) continue
          topic.topicConfigErrorCode = configs.errorCode
          topic.numPartitions = -1
          topic.replicationFactor = -1
          topic.configs = []
        }
        return response
      }),
    none: () => createCreateTopicsResponse({}),
    refuse(response, refused) {
      const { errorCode } = need
      addRows(response.topics, refused, ({ name }) =>
        createCreatableTopicResult({ name, errorCode, errorMessage: 'Authorization failed.' }),
      )
      return response
    },
  })
}

/** A topic of a request, named in whatever way its version has. */
interface NamedTopic {
  readonly name: string | null
  readonly topicId: DeletableTopicResult['topicId']
}

const TOPICS_VERSION = 6

/**
 * Who may not describe a topic that is named is not told whether it exists. One given by id is told to exist, but not what it is called.
 * Names and ids that stand twice, or both for one topic, are refused for that, and so is everything where topics cannot be deleted.
 */
export const deleteTopicsGuard: Guard<DeleteTopicsRequest, DeleteTopicsResponse> = (request, scene, next) => {
  const isNamed = scene.context.apiVersion < TOPICS_VERSION
  const items: readonly NamedTopic[] = isNamed
    ? request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
    : request.topics
  if (!scene.deleteTopics() || scene.access.seesCluster(NEEDS[ApiKey.DELETE_TOPICS].anyTopic)) return next(request)
  // As the controller counts: a name that stands beside an id names nothing, and is no repetition of one that does.
  const names = namedOnce(items, ({ name, topicId }) => (topicId === ZERO_UUID ? name : null))
  const ids = namedOnce(items, ({ name, topicId }) => (name === null && topicId !== ZERO_UUID ? topicId : null))
  const refusals = new Map<NamedTopic, DeletableTopicResult>()
  return narrow(scene, {
    items,
    isAllowed(topic) {
      const { name, topicId } = topic
      const isPlain = name === null ? ids.has(topicId) : topicId === ZERO_UUID && names.has(name)
      const refusal = isPlain ? refusalOf(topic, scene) : null
      if (refusal !== null) refusals.set(topic, refusal)
      return refusal === null
    },
    ask: (topics) =>
      next(
        isNamed
          ? { ...request, topicNames: topics.map(({ name }) => name!) }
          : { ...request, topics: topics as typeof request.topics },
      ),
    none: () => createDeleteTopicsResponse({}),
    refuse(response, refused) {
      addRows(response.responses, refused, (topic) => refusals.get(topic)!)
      return response
    },
  })
}

function refusalOf({ name: given, topicId }: NamedTopic, { access, image }: GuardScene): DeletableTopicResult | null {
  const { topic: need, name: nameNeed } = NEEDS[ApiKey.DELETE_TOPICS]
  const { errorCode } = need
  const errorMessage = errorInfo(errorCode).description
  const name = given ?? image().topicsById.get(topicId)?.name
  // Nothing has this id.
  if (name === undefined) return null
  const isVisible = access.sees(nameNeed, name)
  // That it is not there may be told to who may describe it.
  if (isVisible && !image().topics.has(name)) return null
  if (isVisible && access.allows(need, name)) return null
  if (!isVisible && !access.allows(nameNeed, name)) {
    return createDeletableTopicResult({ name: given, topicId, errorCode, errorMessage })
  }
  return createDeletableTopicResult({ name, topicId, errorCode, errorMessage })
}

export const createPartitionsGuard: Guard<CreatePartitionsRequest, CreatePartitionsResponse> = (
  request,
  scene,
  next,
) => {
  const { topic: need } = NEEDS[ApiKey.CREATE_PARTITIONS]
  const once = namedOnce(request.topics, ({ name }) => name)
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => !once.has(name) || scene.access.allows(need, name),
    ask: (topics) => next({ ...request, topics }),
    none: () => createCreatePartitionsResponse({}),
    refuse(response, refused) {
      addRows(response.results, refused, ({ name }) =>
        createCreatePartitionsTopicResult({ name, errorCode: need.errorCode }),
      )
      return response
    },
  })
}
