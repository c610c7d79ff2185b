import {
  createOffsetDeleteRequest,
  createOffsetDeleteRequestPartition,
  createOffsetDeleteRequestTopic,
  ErrorCode,
  offsetDeleteApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { comparePartitions, groupByTopic, partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { ArgumentError } from '../errors/client-errors.ts'
import { fetchCommitted, outsideCommitter, tryCommit } from '../offsets/committed-offsets.ts'
import type { OffsetSpec } from '../offsets/offset-lookup.ts'
import { offsetNumber } from '../offsets/offset-number.ts'
import { findOffsets } from '../offsets/topic-offsets.ts'
import { describeGroups, onCoordinator, throwIfCoordinatorMoved } from './groups.ts'
import { type AdminCallOptions, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A committed offset. */
export interface GroupOffsetEntry extends TopicPartition {
  offset: bigint
  leaderEpoch: number
  metadata: string | null
}

/** How far a group is in one partition. */
export interface GroupLag extends TopicPartition {
  /** Null if nothing was committed. */
  committedOffset: bigint | null
  logEndOffset: bigint
  /** Null if nothing was committed. */
  lag: bigint | null
  /** The member that reads it now, or null. */
  member: { memberId: string; clientId: string; host: string } | null
}

/** Where offsets are to be set. Results are kept inside the log. */
export type ResetTarget =
  | { to: 'earliest' | 'latest' | 'current' }
  | { toOffset: bigint }
  | { shiftBy: bigint }
  | { toTimestamp: number }

/** One line of a reset that was worked out and not done. */
export interface PlannedOffset extends TopicPartition {
  /** Null if nothing is committed. */
  currentOffset: bigint | null
  newOffset: bigint
}

/** Committed offsets of a group: of some partitions, or all. */
export async function listGroupOffsets(
  core: ClientCore,
  groupId: string,
  options: AdminCallOptions & { partitions?: readonly TopicPartition[]; requireStable?: boolean },
): Promise<GroupOffsetEntry[]> {
  const { partitions = null, requireStable = false } = options
  const committed = await core.retrying(`reading offsets of group ${groupId}`, limitOf(core, options), (leftMs) =>
    fetchCommitted(core, groupId, partitions, requireStable, Math.min(leftMs, core.options.requestTimeoutMs)),
  )
  return committed.map((entry) => ({ ...entry, offset: BigInt(entry.offset) })).sort(comparePartitions)
}

/** Sets committed offsets of a group without members (any other group refuses with UNKNOWN_MEMBER_ID). */
export async function alterGroupOffsets(
  core: ClientCore,
  groupId: string,
  offsets: readonly (TopicPartition & { offset: bigint; leaderEpoch?: number; metadata?: string })[],
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition>[]> {
  if (offsets.length === 0) return []
  const list = offsets.map(({ topic, partition, offset, leaderEpoch = -1, metadata = '' }) => {
    return { topic, partition, offset: offsetNumber(offset), leaderEpoch, metadata }
  })
  return core.retrying(`setting offsets of group ${groupId}`, limitOf(core, options), async (leftMs) => {
    const timeoutMs = Math.min(leftMs, core.options.requestTimeoutMs)
    const { errors } = await tryCommit(core, outsideCommitter(groupId), list, timeoutMs)
    const moved = errors.find(({ errorCode }) => COORDINATOR_ERRORS.has(errorCode))
    if (moved !== undefined) throwIfCoordinatorMoved(core, groupId, moved.errorCode)
    return errors.map(({ topic, partition, errorCode }) => {
      return { topic, partition, error: errorOf(errorCode, { topic, partition }) }
    })
  })
}

/** Deletes committed offsets of partitions that no member reads. */
export async function deleteGroupOffsets(
  core: ClientCore,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: AdminCallOptions,
): Promise<Outcome<TopicPartition>[]> {
  const message = createOffsetDeleteRequest({
    groupId,
    topics: [...groupByTopic(partitions)].map(([name, numbers]) =>
      createOffsetDeleteRequestTopic({
        name,
        partitions: numbers.map((partitionIndex) => createOffsetDeleteRequestPartition({ partitionIndex })),
      }),
    ),
  })
  const what = `deleting offsets of group ${groupId}`
  return onCoordinator(core, what, groupId, limitOf(core, options), async (nodeId, timeoutMs) => {
    const { response } = await core.requestNode(nodeId, 'coordinator', offsetDeleteApi, message, { timeoutMs })
    throwIfCoordinatorMoved(core, groupId, response.errorCode)
    const error = errorOf(response.errorCode, { subject: `group ${groupId}` })
    if (error !== null) throw error
    return response.topics.flatMap(({ name: topic, partitions: answers }) =>
      answers.map(({ partitionIndex: partition, errorCode }) => {
        return { topic, partition, error: errorOf(errorCode, { topic, partition }) }
      }),
    )
  })
}

/** Committed offset, end of the log and lag of every partition that the group committed or reads. */
export async function groupLag(core: ClientCore, groupId: string, options: AdminCallOptions): Promise<GroupLag[]> {
  const [[group], committed] = await Promise.all([
    describeGroups(core, [groupId], options),
    listGroupOffsets(core, groupId, options),
  ])
  const readers = new Map<string, GroupLag['member']>()
  const places = new Map<string, TopicPartition>()
  for (const { memberId, clientId, host, assignment } of group!.members) {
    for (const place of assignment) {
      const key = partitionKey(place.topic, place.partition)
      readers.set(key, { memberId, clientId, host })
      places.set(key, place)
    }
  }
  const offsets = new Map<string, bigint>()
  for (const { topic, partition, offset } of committed) {
    offsets.set(partitionKey(topic, partition), offset)
    places.set(partitionKey(topic, partition), { topic, partition })
  }
  const ends = await endsOf(core, [...places.values()], 'latest', limitOf(core, options))
  return [...places]
    .map(([key, { topic, partition }]) => {
      const committedOffset = offsets.get(key) ?? null
      const logEndOffset = ends.get(key) ?? -1n
      const lag = committedOffset === null || logEndOffset < 0n ? null : positive(logEndOffset - committedOffset)
      return { topic, partition, committedOffset, logEndOffset, lag, member: readers.get(key) ?? null }
    })
    .sort(comparePartitions)
}

/**
 * Works out what a reset would do. Nothing is changed: give the result to {@link alterGroupOffsets}. `current`: where the group is, for
 * one that commits nothing, as share groups; left out: what it has committed.
 */
export async function planOffsetReset(
  core: ClientCore,
  groupId: string,
  partitions: readonly TopicPartition[],
  target: ResetTarget,
  options: AdminCallOptions & { current?: readonly (TopicPartition & { offset: bigint })[] },
): Promise<PlannedOffset[]> {
  const timeoutMs = limitOf(core, options)
  const [committed, earliest, latest] = await Promise.all([
    options.current ?? listGroupOffsets(core, groupId, { ...options, partitions }),
    endsOf(core, partitions, 'earliest', timeoutMs),
    endsOf(core, partitions, 'latest', timeoutMs),
  ])
  const byTime =
    'toTimestamp' in target ? await endsOf(core, partitions, { timestamp: target.toTimestamp }, timeoutMs) : null
  const current = new Map(committed.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]))
  return [...partitions].sort(comparePartitions).map(({ topic, partition }) => {
    const key = partitionKey(topic, partition)
    const range = { earliest: earliest.get(key)!, latest: latest.get(key)! }
    const currentOffset = current.get(key) ?? null
    const wanted = wantedOffset(target, currentOffset, range, byTime?.get(key) ?? -1n)
    if (wanted === null)
      throw new ArgumentError('target', `${topic}-${partition}: the group has committed nothing to start from`)
    const newOffset = wanted < range.earliest ? range.earliest : wanted > range.latest ? range.latest : wanted
    return { topic, partition, currentOffset, newOffset }
  })
}

function wantedOffset(
  target: ResetTarget,
  current: bigint | null,
  range: { earliest: bigint; latest: bigint },
  byTime: bigint,
): bigint | null {
  if ('toOffset' in target) return target.toOffset
  if ('shiftBy' in target) return current === null ? null : current + target.shiftBy
  // No record that late: the end, where the next one will be.
  if ('toTimestamp' in target) return byTime < 0n ? range.latest : byTime
  if (target.to === 'current') return current ?? range.latest
  return range[target.to]
}

async function endsOf(
  core: ClientCore,
  places: readonly TopicPartition[],
  spec: OffsetSpec,
  timeoutMs: number,
): Promise<Map<string, bigint>> {
  if (places.length === 0) return new Map()
  const questions = places.map(({ topic, partition }) => ({ topic, partition, spec }))
  const found = await findOffsets(core, questions, 'read_uncommitted', timeoutMs)
  return new Map(found.map(({ topic, partition, offset }) => [partitionKey(topic, partition), BigInt(offset)]))
}

function positive(value: bigint): bigint {
  return value < 0n ? 0n : value
}

const COORDINATOR_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
])
