import {
  createConsumerProtocolAssignment,
  createConsumerProtocolAssignmentTopicPartition,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  MAX_NAME_BYTES,
  MalformedMessageError,
  Reader,
  Writer,
} from '@millrace/protocol'
import { type Assignment, toAssignment } from './modern/assignment.ts'
import type { TopicDirectory } from './modern/topic-directory.ts'

/** Protocol type of groups of consumers, whose metadata the coordinator can read. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer'

/** Far more topics than a member subscribes to. An empty name takes two bytes of metadata and, as an object, many times that. */
const MAX_TOPIC_COUNT = 100_000

/**
 * Topics that a member of a group of consumers subscribes to, from its metadata; null if these are not what consumers send. Read as
 * version 0, of which every later version is an extension, so the coordinator need not know them.
 */
export function parseSubscribedTopics(metadata: Buffer): readonly string[] | null {
  const reader = new Reader(metadata, 0, metadata.length, MAX_TOPIC_COUNT, MAX_NAME_BYTES)
  try {
    const version = reader.int16()
    return version < 0 ? null : decodeConsumerProtocolSubscription(reader, 0).topics
  } catch (error) {
    if (error instanceof MalformedMessageError) return null
    throw error
  }
}

/** Of both kinds of data. Later versions only add to the end. */
const MAX_VERSION = 3

/** Partitions of one topic, by its name. */
interface NamedPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

/** What a consumer of the classic protocol says of itself as it joins. */
export interface ParsedSubscription {
  /** Ascending, each once. */
  readonly topics: readonly string[]
  readonly rackId: string | null
  /** What it still has. */
  readonly owned: readonly NamedPartitions[]
}

/** All of a member's metadata, for a coordinator that assigns partitions to it; null if these are not what consumers send. */
export function parseSubscription(metadata: Buffer): ParsedSubscription | null {
  return parse(metadata, (reader, version) => {
    const { topics, rackId, ownedPartitions } = decodeConsumerProtocolSubscription(reader, version)
    return { topics: [...new Set(topics)].sort(), rackId: rackId === '' ? null : rackId, owned: ownedPartitions }
  })
}

/** What the leader of a group assigned to a member; null if that is not what consumers send. */
export function parseAssignment(
  bytes: Buffer,
): { readonly topics: readonly NamedPartitions[]; readonly hasUserData: boolean } | null {
  return parse(bytes, (reader, version) => {
    const { assignedPartitions, userData } = decodeConsumerProtocolAssignment(reader, version)
    return { topics: assignedPartitions, hasUserData: userData !== null && userData.length > 0 }
  })
}

/**
 * By the ids that the topics have now. Topics that are gone are left out, and partitions that no topic can have. Those beyond a topic's
 * last one stay: a member may know of partitions that this node's metadata does not have yet, and must be asked to give them up.
 */
export function partitionsOf(topics: readonly NamedPartitions[], directory: TopicDirectory): Assignment {
  return toAssignment(
    topics.flatMap(({ topic, partitions }) => {
      const topicId = directory.idOf(topic)
      if (topicId === null) return []
      return [{ topicId, partitions: partitions.filter((partition) => partition >= 0) }]
    }),
  )
}

/** An assignment in the version of a member's metadata, which it can therefore read. Topics that are gone are left out. */
export function encodeAssignment(assignment: Assignment, directory: TopicDirectory, metadata: Buffer): Buffer {
  const version = metadata.length < 2 ? 0 : Math.min(Math.max(metadata.readInt16BE(0), 0), MAX_VERSION)
  const assignedPartitions = []
  for (const [topicId, partitions] of assignment) {
    const topic = directory.nameOf(topicId)
    if (topic === null) continue
    assignedPartitions.push(createConsumerProtocolAssignmentTopicPartition({ topic, partitions: [...partitions] }))
  }
  const writer = new Writer()
  writer.int16(version)
  encodeConsumerProtocolAssignment(writer, createConsumerProtocolAssignment({ assignedPartitions }), version)
  return Buffer.from(writer.toBuffer())
}

function parse<Result>(bytes: Buffer, decode: (reader: Reader, version: number) => Result): Result | null {
  const reader = new Reader(bytes, 0, bytes.length, MAX_TOPIC_COUNT, MAX_NAME_BYTES)
  try {
    const version = reader.int16()
    return version < 0 ? null : decode(reader, Math.min(version, MAX_VERSION))
  } catch (error) {
    if (error instanceof MalformedMessageError) return null
    throw error
  }
}
