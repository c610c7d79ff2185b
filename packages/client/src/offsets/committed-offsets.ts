import {
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopic,
  createOffsetFetchRequestTopics,
  ErrorCode,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  offsetCommitApi,
  offsetFetchApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { CoordinatorKind } from '../client/coordinator-finder.ts'
import { groupByTopic, partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'

/** A place in a partition that a group keeps. */
export interface CommittedOffset extends TopicPartition {
  /** Offset of the next record to read. */
  offset: number
  /** Epoch of the leader that the record before came from; -1 if unknown. */
  leaderEpoch: number
  metadata: string | null
}

/** Who commits: a member of the group, or nobody in particular (generation -1 and no id). */
export interface Committer {
  groupId: string
  memberId: string
  generationId: number
  groupInstanceId: string | null
}

/** Topics by id instead of name came with version 10 of both APIs; names are what we have at hand. */
const NAMES_UP_TO_VERSION = 9
/** Several groups in one OffsetFetch (KIP-709). */
const GROUPS_FROM_VERSION = 8

/** A committer that is no member: allowed while the group has no members. */
export function outsideCommitter(groupId: string): Committer {
  return { groupId, memberId: '', generationId: -1, groupInstanceId: null }
}

/**
 * Commits once. Rejects with {@link ProtocolError} of the first partition that failed; the coordinator is forgotten when the error
 * says that it moved.
 */
export async function commitOffsets(
  core: ClientCore,
  committer: Committer,
  offsets: readonly CommittedOffset[],
  timeoutMs: number,
): Promise<void> {
  const { errors } = await tryCommit(core, committer, offsets, timeoutMs)
  const failure = errors.find(({ errorCode }) => errorCode !== ErrorCode.NONE)
  if (failure !== undefined) throw new ProtocolError(failure.errorCode, failure)
}

/** Commits once and gives the error code of each partition. Rejects only when there was no answer. */
export async function tryCommit(
  core: ClientCore,
  committer: Committer,
  offsets: readonly CommittedOffset[],
  timeoutMs: number,
): Promise<{ errors: (TopicPartition & { errorCode: number })[] }> {
  const { groupId, memberId, generationId, groupInstanceId } = committer
  const byTopic = Map.groupBy(offsets, ({ topic }) => topic)
  const message = createOffsetCommitRequest({
    groupId,
    memberId,
    generationIdOrMemberEpoch: generationId,
    groupInstanceId,
    topics: [...byTopic].map(([name, list]) =>
      createOffsetCommitRequestTopic({
        name,
        partitions: list.map(({ partition, offset, leaderEpoch, metadata }) =>
          createOffsetCommitRequestPartition({
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: leaderEpoch,
            committedMetadata: metadata,
          }),
        ),
      }),
    ),
  })
  const { response } = await withCoordinator(core, groupId, (nodeId) =>
    core.requestNode(nodeId, 'coordinator', offsetCommitApi, message, { timeoutMs, maxVersion: NAMES_UP_TO_VERSION }),
  )
  const errors = response.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })),
  )
  for (const { errorCode } of errors) forgetIfMoved(core, groupId, errorCode)
  return { errors }
}

/**
 * Committed offsets of a group, once: of the partitions given, or of all (null). Partitions without one are left out. Rejects with
 * {@link ProtocolError}, retriable ones included. `requireStable`: offsets of open transactions count as not there yet. `member`: who asks, where the group
 * should refuse those it has gone on without (KIP-848).
 */
export async function fetchCommitted(
  core: ClientCore,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  requireStable: boolean,
  timeoutMs: number,
  member: Committer | null = null,
): Promise<CommittedOffset[]> {
  const { response, version } = await withCoordinator(core, groupId, (nodeId) =>
    core.requestNode(
      nodeId,
      'coordinator',
      offsetFetchApi,
      (requestVersion) => fetchRequest(groupId, partitions, requireStable, requestVersion, member),
      { timeoutMs, minVersion: 2, maxVersion: NAMES_UP_TO_VERSION },
    ),
  )
  const { errorCode, topics } = fetchAnswer(response, groupId, version)
  forgetIfMoved(core, groupId, errorCode)
  throwIfError(errorCode, { subject: `committed offsets of group ${groupId}` })
  const committed: CommittedOffset[] = []
  const unanswered = new Set(partitions?.map(({ topic, partition }) => partitionKey(topic, partition)))
  for (const { name, partitions: answers } of topics) {
    for (const answer of answers) {
      unanswered.delete(partitionKey(name, answer.partitionIndex))
      throwIfError(answer.errorCode, { topic: name, partition: answer.partitionIndex })
      const offset = Number(answer.committedOffset)
      if (offset < 0) continue
      const { partitionIndex: partition, committedLeaderEpoch: leaderEpoch, metadata } = answer
      committed.push({ topic: name, partition, offset, leaderEpoch, metadata })
    }
  }
  // Silence must not pass for "nothing committed", which lets a consumer skip to the end of the log.
  if (unanswered.size > 0) {
    const message = `the answer lacks ${unanswered.size} of the partitions asked for`
    throw new ProtocolError(ErrorCode.NETWORK_EXCEPTION, { subject: `committed offsets of group ${groupId}`, message })
  }
  return committed
}

/** Runs a call on the coordinator; a connection that fails or an error that says so makes it be looked up again next time. */
export async function withCoordinator<T>(
  core: ClientCore,
  key: string,
  call: (nodeId: number) => Promise<T>,
  kind: CoordinatorKind = 'group',
): Promise<T> {
  const nodeId = await core.coordinators.find(key, kind)
  try {
    return await call(nodeId)
  } catch (error) {
    if (isRetriable(error)) core.coordinators.forget(key, kind)
    throw error
  }
}

/** Forgets the coordinator if the error code says that it is another one. */
export function forgetIfMoved(core: ClientCore, key: string, errorCode: number, kind: CoordinatorKind = 'group'): void {
  const moved = errorCode === ErrorCode.NOT_COORDINATOR || errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE
  if (moved) core.coordinators.forget(key, kind)
}

function fetchRequest(
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  requireStable: boolean,
  version: number,
  member: Committer | null,
): OffsetFetchRequest {
  const byTopic = partitions === null ? null : [...groupByTopic(partitions)]
  if (version >= GROUPS_FROM_VERSION) {
    const topics =
      byTopic?.map(([name, partitionIndexes]) => createOffsetFetchRequestTopics({ name, partitionIndexes })) ?? null
    const asMember = member === null ? {} : { memberId: member.memberId, memberEpoch: member.generationId }
    const groups = [createOffsetFetchRequestGroup({ groupId, topics, ...asMember })]
    return createOffsetFetchRequest({ requireStable, groups })
  }
  const topics =
    byTopic?.map(([name, partitionIndexes]) => createOffsetFetchRequestTopic({ name, partitionIndexes })) ?? null
  // An older version cannot ask for stable offsets only; Kafka's clients then read what is there.
  return createOffsetFetchRequest({ groupId, topics, requireStable: version >= 7 && requireStable })
}

function fetchAnswer(response: OffsetFetchResponse, groupId: string, version: number) {
  if (version < GROUPS_FROM_VERSION) return { errorCode: response.errorCode, topics: response.topics }
  const group = response.groups.find((candidate) => candidate.groupId === groupId)
  return group ?? { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, topics: [] }
}
