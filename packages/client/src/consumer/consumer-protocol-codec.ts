import {
  createConsumerProtocolAssignment,
  createConsumerProtocolAssignmentTopicPartition,
  createConsumerProtocolSubscription,
  createConsumerProtocolSubscriptionTopicPartition,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  MalformedMessageError,
  Reader,
  Writer,
} from '@millrace/protocol'
import { groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import type { MemberSubscription } from './assignors/assignor.ts'

/** Newest version of both messages that we know; readers take any newer one as this, since fields are only added. */
const VERSION = 3

/** What a member says of itself in JoinGroup. */
export interface Subscription {
  topics: readonly string[]
  /** Empty for eager protocols. */
  ownedPartitions: readonly TopicPartition[]
  generationId: number
  clientRack: string
}

/**
 * The bytes that go with each protocol name in JoinGroup: int16 version, then the message. `userData` holds the generation as the
 * Java cooperative-sticky assignor writes it, since members of versions before 2 have no field for it.
 */
export function encodeSubscription(subscription: Subscription): Buffer {
  const { topics, ownedPartitions, generationId, clientRack } = subscription
  const userData = Buffer.alloc(4)
  userData.writeInt32BE(generationId)
  const message = createConsumerProtocolSubscription({
    topics: [...topics].sort(),
    userData,
    ownedPartitions: [...groupByTopic(ownedPartitions)].map(([topic, partitions]) =>
      createConsumerProtocolSubscriptionTopicPartition({ topic, partitions }),
    ),
    generationId,
    rackId: clientRack === '' ? null : clientRack,
  })
  const writer = new Writer()
  writer.int16(VERSION)
  encodeConsumerProtocolSubscription(writer, message, VERSION)
  return Buffer.from(writer.toBuffer())
}

/** One member as the leader sees it. Throws `MalformedMessageError` for bytes that are no subscription. */
export function decodeSubscription(
  memberId: string,
  groupInstanceId: string | null,
  bytes: Buffer,
): MemberSubscription {
  const reader = new Reader(bytes)
  const message = decodeConsumerProtocolSubscription(reader, knownVersion(reader))
  const ownedPartitions = message.ownedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
  const fromUserData = message.userData?.length === 4 ? message.userData.readInt32BE(0) : -1
  const generationId = message.generationId >= 0 ? message.generationId : fromUserData
  return { memberId, groupInstanceId, topics: message.topics, ownedPartitions, generationId }
}

/** The bytes that the leader sends for one member in SyncGroup. */
export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const message = createConsumerProtocolAssignment({
    assignedPartitions: [...groupByTopic(partitions)].map(([topic, numbers]) =>
      createConsumerProtocolAssignmentTopicPartition({ topic, partitions: numbers }),
    ),
  })
  const writer = new Writer()
  writer.int16(VERSION)
  encodeConsumerProtocolAssignment(writer, message, VERSION)
  return Buffer.from(writer.toBuffer())
}

/** What a member was given; nothing for no bytes, which a coordinator sends to members that the leader forgot. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  const reader = new Reader(bytes)
  const message = decodeConsumerProtocolAssignment(reader, knownVersion(reader))
  return message.assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
}

function knownVersion(reader: Reader): number {
  const version = reader.int16()
  if (version < 0) throw new MalformedMessageError(`consumer protocol version ${version}`)
  return Math.min(version, VERSION)
}
