import {
  ApiKey,
  createOffsetCommitResponse,
  createOffsetCommitResponsePartition,
  createOffsetCommitResponseTopic,
  createOffsetDeleteResponse,
  createOffsetDeleteResponsePartition,
  createOffsetDeleteResponseTopic,
  createOffsetFetchRequestTopic,
  createOffsetFetchResponseGroup,
  createOffsetFetchResponsePartitions,
  createOffsetFetchResponseTopics,
  ErrorCode,
  type OffsetCommitRequest,
  type OffsetCommitRequestTopic,
  type OffsetCommitResponse,
  type OffsetCommitResponseTopic,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchRequestGroup,
  type OffsetFetchRequestTopics,
  type OffsetFetchResponse,
  type OffsetFetchResponseGroup,
  type OffsetFetchResponseTopics,
} from '@millrace/protocol'
import { fetchRequestGroups, fetchResponse } from '../../coordinator/group/offset-fetch-versions.ts'
import { type Answer, addRows, andThen, type Guard, type GuardScene, narrow, visible } from '../guard.ts'
import { NEEDS } from '../needs.ts'

const COMMIT_TOPIC_ID_VERSION = 10
const FETCH_TOPIC_ID_VERSION = 10
const FETCH_GROUPS_VERSION = 8

export const offsetCommitGuard: Guard<OffsetCommitRequest, OffsetCommitResponse> = (request, scene, next) => {
  const { group, topic: need } = NEEDS[ApiKey.OFFSET_COMMIT]
  const { access, context } = scene
  const failed = (topic: OffsetCommitRequestTopic, name: string, errorCode: number): OffsetCommitResponseTopic =>
    createOffsetCommitResponseTopic({
      name,
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }) =>
        createOffsetCommitResponsePartition({ partitionIndex, errorCode }),
      ),
    })
  if (!access.allows(group, request.groupId)) {
    const topics = request.topics.map((topic) => failed(topic, topic.name, group.errorCode))
    return createOffsetCommitResponse({ topics })
  }
  const image = scene.image()
  const nameOf = ({ name, topicId }: OffsetCommitRequestTopic): string | undefined =>
    context.apiVersion >= COMMIT_TOPIC_ID_VERSION ? image.topicsById.get(topicId)?.name : name
  return narrow(scene, {
    items: request.topics,
    isAllowed(topic) {
      const name = nameOf(topic)
      return name === undefined || access.allows(need, name)
    },
    ask: (topics) => next({ ...request, topics }),
    none: () => createOffsetCommitResponse({}),
    refuse(response, refused) {
      addRows(response.topics, refused, (topic) => failed(topic, nameOf(topic) ?? '', need.errorCode))
      return response
    },
  })
}

/** Offsets of topics that may not be described are not told: refused where they are named, left out where all are asked for. */
export const offsetFetchGuard: Guard<OffsetFetchRequest, OffsetFetchResponse> = (request, scene, next) => {
  const { apiVersion } = scene.context
  const { group: need } = NEEDS[ApiKey.OFFSET_FETCH]
  const groups = fetchRequestGroups(request, apiVersion)
  if (apiVersion < FETCH_GROUPS_VERSION) {
    const [group] = groups
    if (!scene.access.allows(need, group!.groupId)) return fetchResponse(groups, [failedGroup(group!)], apiVersion)
    return fetchOfOne(group!, request, scene, next)
  }
  return narrow(scene, {
    items: groups,
    isAllowed: ({ groupId }) => scene.access.allows(need, groupId),
    ask: (allowed) => fetchOfMany(allowed, request, scene, next),
    none: () => fetchResponse([], [], apiVersion),
    refuse(response, refused) {
      addRows(response.groups, refused, failedGroup)
      return response
    },
  })
}

function failedGroup({ groupId }: OffsetFetchRequestGroup): OffsetFetchResponseGroup {
  return createOffsetFetchResponseGroup({ groupId, errorCode: NEEDS[ApiKey.OFFSET_FETCH].group.errorCode })
}

function fetchOfOne(
  group: OffsetFetchRequestGroup,
  request: OffsetFetchRequest,
  scene: GuardScene,
  next: (request: OffsetFetchRequest) => Answer<OffsetFetchResponse>,
): Answer<OffsetFetchResponse> {
  const { topic: need } = NEEDS[ApiKey.OFFSET_FETCH]
  const { access } = scene
  const { topics: named } = group
  if (named === null) {
    return andThen(next(request), (response) =>
      andThen(
        visible(scene, response.topics, ({ name }) => access.passes(need, name)),
        (topics) => ({ ...response, topics }),
      ),
    )
  }
  return narrow(scene, {
    items: named,
    isAllowed: ({ name }) => access.allows(need, name),
    ask: (allowed) => next({ ...request, topics: allowed.map(createOffsetFetchRequestTopic) }),
    none: () => next({ ...request, topics: [] }),
    refuse(response, refused) {
      if (response.errorCode !== ErrorCode.NONE) return response
      const failed = createOffsetFetchResponseGroup({ topics: refused.map(failedTopic) })
      const { topics } = fetchResponse([group], [failed], scene.context.apiVersion)
      return { ...response, topics: [...response.topics, ...topics] }
    },
  })
}

/** The groups with what of them may be told; refused topics are added to the answer of their group. */
function fetchOfMany(
  groups: readonly OffsetFetchRequestGroup[],
  request: OffsetFetchRequest,
  scene: GuardScene,
  next: (request: OffsetFetchRequest) => Answer<OffsetFetchResponse>,
): Answer<OffsetFetchResponse> {
  const { topic: need } = NEEDS[ApiKey.OFFSET_FETCH]
  const { access } = scene
  const image = scene.image()
  const usesIds = scene.context.apiVersion >= FETCH_TOPIC_ID_VERSION
  const refusedByGroup = new Map<string, OffsetFetchRequestTopics[]>()
  const narrowed = groups.map((group) => {
    if (group.topics === null) return group
    const refused = group.topics.filter(({ name: given, topicId }) => {
      const name = usesIds ? image.topicsById.get(topicId)?.name : given
      return name !== undefined && !access.allows(need, name)
    })
    if (refused.length === 0) return group
    const others = refusedByGroup.get(group.groupId)
    // Copied for each, the refusals of one group that is named ten thousand times would hold the loop for seconds.
    if (others === undefined) refusedByGroup.set(group.groupId, refused)
    else addRows(others, refused, (topic) => topic)
    const gone = new Set(refused)
    return { ...group, topics: group.topics.filter((topic) => !gone.has(topic)) }
  })
  const all = new Set(groups.filter(({ topics }) => topics === null).map(({ groupId }) => groupId))
  return andThen(next({ ...request, groups: narrowed }), (response) => {
    for (const group of response.groups) {
      if (group.errorCode !== ErrorCode.NONE) continue
      if (all.has(group.groupId)) {
        group.topics = group.topics.filter(({ name, topicId }) => {
          const known = usesIds ? (image.topicsById.get(topicId)?.name ?? name) : name
          return access.sees(need, known)
        })
      }
      addRows(group.topics, refusedByGroup.get(group.groupId) ?? [], failedTopic)
      refusedByGroup.delete(group.groupId)
    }
    return response
  })
}

function failedTopic({ name, topicId, partitionIndexes }: OffsetFetchRequestTopics): OffsetFetchResponseTopics {
  const { errorCode } = NEEDS[ApiKey.OFFSET_FETCH].topic
  return createOffsetFetchResponseTopics({
    name,
    topicId,
    partitions: partitionIndexes.map((partitionIndex) =>
      createOffsetFetchResponsePartitions({ partitionIndex, committedOffset: -1, metadata: '', errorCode }),
    ),
  })
}

export const offsetDeleteGuard: Guard<OffsetDeleteRequest, OffsetDeleteResponse> = (request, scene, next) => {
  const { group, topic: need } = NEEDS[ApiKey.OFFSET_DELETE]
  const { access } = scene
  if (!access.allows(group, request.groupId)) return createOffsetDeleteResponse({ errorCode: group.errorCode })
  return narrow(scene, {
    items: request.topics,
    isAllowed: ({ name }) => access.allows(need, name),
    ask: (topics) => next({ ...request, topics }),
    // Whether there is such a group is told all the same.
    none: () => next({ ...request, topics: [] }),
    refuse(response, refused) {
      // A refusal of the whole has no rows.
      if (response.errorCode !== ErrorCode.NONE) return response
      addRows(response.topics, refused, ({ name, partitions }) =>
        createOffsetDeleteResponseTopic({
          name,
          partitions: partitions.map(({ partitionIndex }) =>
            createOffsetDeleteResponsePartition({ partitionIndex, errorCode: need.errorCode }),
          ),
        }),
      )
      return response
    },
  })
}
