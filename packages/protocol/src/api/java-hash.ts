import { assert } from '@millrace/base'

/** Java's `String.hashCode`: over UTF-16 units, an int32. Kafka places groups and transactions by it, so it must match to the bit. */
export function javaStringHash(text: string): number {
  let hash = 0
  for (let slot = 0; slot < text.length; slot++) hash = (Math.imul(hash, 31) + text.charCodeAt(slot)) | 0
  return hash
}

/**
 * Partition of an internal topic that coordinates `id` (group id, transactional id, or `group:topicId:partition` of a share group),
 * in [0, partitionCount). The absolute value of the least int32 is taken as 0, as in Kafka.
 */
export function coordinatorPartition(id: string, partitionCount: number): number {
  assert(partitionCount > 0, 'a topic has at least one partition')
  const hash = javaStringHash(id)
  return (hash === -0x80000000 ? 0 : Math.abs(hash)) % partitionCount
}
