import { decodeConsumerProtocolSubscription, MalformedMessageError, Reader } from '@millrace/protocol'

/** Far more topics than a member subscribes to. An empty name takes two bytes of metadata and, as an object, many times that. */
const MAX_TOPIC_COUNT = 100_000

/**
 * Topics that a member of a group of consumers subscribes to, from its metadata; null if these are not what consumers send. Read as
 * version 0, of which every later version is an extension, so the coordinator need not know them.
 */
export function parseSubscribedTopics(metadata: Buffer): readonly string[] | null {
  const reader = new Reader(metadata, 0, metadata.length, MAX_TOPIC_COUNT)
  try {
    const version = reader.int16()
    return version < 0 ? null : decodeConsumerProtocolSubscription(reader, 0).topics
  } catch (error) {
    if (error instanceof MalformedMessageError) return null
    throw error
  }
}
