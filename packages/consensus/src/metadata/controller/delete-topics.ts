import { type Uuid, ZERO_UUID } from '@millrace/base'
import type { MetadataRecord } from '../records.ts'
import { MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { tooManyRecords } from './context.ts'

/** A topic to delete, by name or by id: one of them, the other null and zero. */
export interface TopicToDelete {
  readonly name: string | null
  readonly topicId: Uuid
}

export interface DeleteTopicResult {
  readonly name: string | null
  readonly topicId: Uuid
  readonly errorCode: number
  /** Null after success, and where the code says enough. */
  readonly errorMessage: string | null
}

/** Works out deletions (`controller.md`, 4). Each topic succeeds or fails by itself. */
export function deleteTopics(
  context: ControllerContext,
  topics: readonly TopicToDelete[],
): Outcome<readonly DeleteTopicResult[]> {
  const results: DeleteTopicResult[] = []
  const answer = (name: string | null, topicId: Uuid, errorCode: number, errorMessage: string | null = null) => {
    results.push({ name, topicId, errorCode, errorMessage })
  }
  if (!context.settings.deleteTopicEnable) {
    for (const { name, topicId } of topics) answer(name, topicId, MetadataErrorCode.TOPIC_DELETION_DISABLED)
    return { records: [], response: results }
  }
  const { names, ids } = sortOut(topics, answer)
  const toDelete = new Map<Uuid, string>()
  const repeated = new Set<Uuid>()
  for (const [id, count] of ids) {
    const topic = context.image.topicsById.get(id)
    if (count > 1) {
      repeated.add(id)
      answer(null, id, MetadataErrorCode.INVALID_REQUEST, 'Duplicate topic id.')
    } else if (topic === undefined) answer(null, id, MetadataErrorCode.UNKNOWN_TOPIC_ID)
    else toDelete.set(id, topic.name)
  }
  for (const [name, count] of names) {
    const topic = context.image.topics.get(name)
    if (count > 1) answer(name, ZERO_UUID, MetadataErrorCode.INVALID_REQUEST, 'Duplicate topic name.')
    else if (topic === undefined) answer(name, ZERO_UUID, MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    else if (toDelete.delete(topic.id) || repeated.has(topic.id)) {
      const message = 'The provided topic name maps to an ID that was already supplied.'
      answer(name, topic.id, MetadataErrorCode.INVALID_REQUEST, message)
    } else toDelete.set(topic.id, name)
  }
  const records = [...toDelete.keys()].map((topicId): MetadataRecord => ({ type: 'RemoveTopicRecord', topicId }))
  const tooMany = tooManyRecords(records)
  for (const [id, name] of toDelete) {
    answer(name, id, tooMany?.code ?? MetadataErrorCode.NONE, tooMany?.message ?? null)
  }
  return { records: tooMany === null ? records : [], response: results }
}

/** Counts names and ids; answers entries that give both or neither. */
function sortOut(
  topics: readonly TopicToDelete[],
  answer: (name: string | null, topicId: Uuid, errorCode: number, message: string) => void,
): { names: Map<string, number>; ids: Map<Uuid, number> } {
  const names = new Map<string, number>()
  const ids = new Map<Uuid, number>()
  for (const { name, topicId } of topics) {
    if (name === null && topicId === ZERO_UUID) {
      answer(null, ZERO_UUID, MetadataErrorCode.INVALID_REQUEST, 'Neither topic name nor id were specified.')
    } else if (name === null) ids.set(topicId, (ids.get(topicId) ?? 0) + 1)
    else if (topicId === ZERO_UUID) names.set(name, (names.get(name) ?? 0) + 1)
    else {
      const message = 'You may not specify both topic name and topic id.'
      answer(name, topicId, MetadataErrorCode.INVALID_REQUEST, message)
    }
  }
  return { names, ids }
}
