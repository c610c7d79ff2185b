import type { Offset } from '@millrace/base'

/** Names of the files of a partition directory, as Kafka has them. */
export const LOG_SUFFIX = '.log'
export const OFFSET_INDEX_SUFFIX = '.index'
export const TIME_INDEX_SUFFIX = '.timeindex'
export const TRANSACTION_INDEX_SUFFIX = '.txnindex'
export const INDEX_SUFFIXES = [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]
export const SNAPSHOT_SUFFIX = '.snapshot'
export const DELETED_SUFFIX = '.deleted'
export const CLEANED_SUFFIX = '.cleaned'
export const SWAP_SUFFIX = '.swap'
/** Data that is not part of its log any more and that nobody asked to delete: kept for the operator. */
export const STRAY_SUFFIX = '.stray'
export const PARTITION_METADATA_FILE = 'partition.metadata'
export const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint'
/** Ours alone: Kafka does not look at it. */
export const DAMAGED_RANGES_FILE = 'damaged-ranges'
/** Ours alone, too. */
export const GAPS_BELOW_FILE = 'gaps-below'

/** Names in a log directory. */
export const DELETED_DIRECTORY_SUFFIX = '-delete'
export const STRAY_DIRECTORY_SUFFIX = '-stray'
/** A log that is being filled from the one in another log directory, whose place it will take (KIP-113). */
export const FUTURE_DIRECTORY_SUFFIX = '-future'
export const LOCK_FILE = '.lock'
export const META_PROPERTIES_FILE = 'meta.properties'
export const CLEAN_SHUTDOWN_FILE = '.kafka_cleanshutdown'
export const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint'
export const LOG_START_FILE = 'log-start-offset-checkpoint'
export const CLEANER_OFFSET_FILE = 'cleaner-offset-checkpoint'
export const HIGH_WATERMARK_FILE = 'replication-offset-checkpoint'
export const DURABLE_MARK_FILE = 'durable-mark'
/** Ours alone: which logs of this directory were replaced by others elsewhere. */
export const MOVED_REPLICAS_FILE = 'moved-replicas'

const OFFSET_DIGITS = 20
/** A directory name must not pass this in any file system we know. */
const NAME_CHARS_MAX = 255

/** Twenty digits and the suffix: the base offset of a segment, or the offset of a snapshot. */
export function offsetFileName(offset: Offset, suffix: string): string {
  return String(offset).padStart(OFFSET_DIGITS, '0') + suffix
}

/** The offset a file is named after, or -1 if the name is not twenty digits of a safe integer and this suffix. */
export function offsetOfFileName(name: string, suffix: string): Offset {
  if (name.length !== OFFSET_DIGITS + suffix.length || !name.endsWith(suffix)) return -1
  const digits = name.slice(0, OFFSET_DIGITS)
  if (!/^\d+$/.test(digits)) return -1
  const offset = Number(digits)
  return Number.isSafeInteger(offset) ? offset : -1
}

/** `<topic>-<partition>`. */
export function partitionDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** Topic and partition of a directory name without suffix, or null if it is not one. */
export function parsePartitionDirectoryName(name: string): { topic: string; partition: number } | null {
  const match = /^(?<topic>[A-Za-z0-9._-]{1,249})-(?<partition>\d{1,10})$/.exec(name)
  if (match === null) return null
  const partition = Number(match.groups!.partition)
  return partition <= 0x7fffffff ? { topic: match.groups!.topic!, partition } : null
}

/** `<topic>-<partition>.<32 hex>-future`. Not shortened, since topic and partition are read from it: see {@link canBeMoved}. */
export function futureDirectoryName(topic: string, partition: number, hex: string): string {
  return `${partitionDirectoryName(topic, partition)}.${hex}${FUTURE_DIRECTORY_SUFFIX}`
}

/** Topic and partition of the directory of a future log, or null if the name is not that of one. */
export function parseFutureDirectoryName(name: string): { topic: string; partition: number } | null {
  const match = /^(?<log>.+)\.[0-9a-f]{32}-future$/.exec(name)
  return match === null ? null : parsePartitionDirectoryName(match.groups!.log!)
}

/** Whether the name of a future log's directory is a legal one: with the longest names of topics it is not, as with Kafka. */
export function canBeMoved(topic: string, partition: number): boolean {
  return futureDirectoryName(topic, partition, '0'.repeat(32)).length <= NAME_CHARS_MAX
}

/** `<topic>-<partition>.<32 hex>-delete` (or `-stray`), the topic shortened so that the name stays legal. */
export function setAsideDirectoryName(topic: string, partition: number, hex: string, suffix: string): string {
  const tail = `-${partition}.${hex}${suffix}`
  return topic.slice(0, NAME_CHARS_MAX - tail.length) + tail
}
