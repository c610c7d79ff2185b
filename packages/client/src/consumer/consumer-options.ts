import { ConfigurationError } from '@millrace/base'
import { type ClientOptions, wholeNumber } from '../client/client-options.ts'
import { guarded } from '../client/guarded.ts'
import type { IsolationLevel } from '../offsets/offset-lookup.ts'
import type { Assignor } from './assignors/assignor.ts'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky-assignor.ts'
import { rangeAssignor } from './assignors/range-assignor.ts'
import { roundRobinAssignor } from './assignors/round-robin-assignor.ts'

/** Where to begin without a committed offset, or when the position is outside the log. */
export type OffsetReset = 'earliest' | 'latest' | 'none' | { byDurationMs: number }

/** Names of the built-in assignors. */
export type AssignorName = 'cooperative-sticky' | 'range' | 'roundrobin'

export type GroupProtocol = 'classic' | 'consumer'

/** Consumer settings; names and meanings are Kafka's unless said otherwise. */
export interface ConsumerOptions extends ClientOptions {
  /** Left out: no group; partitions are assigned by hand and offsets are not committed. */
  groupId?: string
  /** Makes the member static: it keeps its partitions over a restart within the session timeout. */
  groupInstanceId?: string
  /**
   * `classic`: members join in rounds and one of them assigns. `consumer`: the coordinator assigns and members go over one by one (KIP-848);
   * session timeout and heartbeat interval are the brokers' then, and there are no assignors here.
   */
  groupProtocol?: GroupProtocol
  /** Which of the brokers' assignors the group should use, with `groupProtocol` consumer. Left out: the brokers choose. */
  groupRemoteAssignor?: string
  sessionTimeoutMs?: number
  heartbeatIntervalMs?: number
  /** The longest time between two polls; after it the member leaves, so that others take over. */
  maxPollIntervalMs?: number
  maxPollRecords?: number
  /**
   * In order of preference. Ours is cooperative-sticky alone by default: nobody stops when others come and go. A group that also has
   * members of clients without it needs `range` or `roundrobin`.
   */
  partitionAssignmentStrategy?: readonly (AssignorName | Assignor)[]
  autoOffsetReset?: OffsetReset
  enableAutoCommit?: boolean
  autoCommitIntervalMs?: number
  isolationLevel?: IsolationLevel
  fetchMinBytes?: number
  fetchMaxWaitMs?: number
  fetchMaxBytes?: number
  maxPartitionFetchBytes?: number
  /**
   * Ours: bytes fetched ahead, as received (compressed), beyond which nothing more is asked for. What brokers were asked for before comes
   * on top, about as much again at most.
   */
  maxBufferedBytes?: number
  /** Ours: a compressed batch that expands to more is refused as unreadable, so that a small one cannot take all memory. */
  maxExpandedBatchBytes?: number
  /** Reads from a replica in the same rack where brokers offer it (KIP-392). */
  clientRack?: string
  checkCrcs?: boolean
  allowAutoCreateTopics?: boolean
  /** Whether a subscription by pattern leaves out internal topics. */
  excludeInternalTopics?: boolean
  /** Hears what happens between polls and is no error of a call. */
  onEvent?: (event: ConsumerEvent) => void
}

/** Things worth a log line. */
export type ConsumerEvent =
  | { type: 'left-group'; reason: string }
  | { type: 'rejoining'; reason: string }
  | { type: 'joined'; generationId: number; memberId: string; isLeader: boolean }
  | { type: 'commit-failed'; error: unknown }

/** {@link ConsumerOptions} with nothing left out. */
export interface ResolvedConsumerOptions {
  groupId: string | null
  groupInstanceId: string | null
  groupProtocol: GroupProtocol
  groupRemoteAssignor: string | null
  sessionTimeoutMs: number
  heartbeatIntervalMs: number
  maxPollIntervalMs: number
  maxPollRecords: number
  assignors: readonly Assignor[]
  autoOffsetReset: OffsetReset
  enableAutoCommit: boolean
  autoCommitIntervalMs: number
  isolationLevel: IsolationLevel
  fetchMinBytes: number
  fetchMaxWaitMs: number
  fetchMaxBytes: number
  maxPartitionFetchBytes: number
  maxBufferedBytes: number
  maxExpandedBatchBytes: number
  clientRack: string
  checkCrcs: boolean
  allowAutoCreateTopics: boolean
  excludeInternalTopics: boolean
  onEvent: (event: ConsumerEvent) => void
}

/** Kafka's clients have no limit. Repetitive records compress a thousandfold, so no ratio can tell a bomb from a log. */
const DEFAULT_MAX_EXPANDED_BATCH_BYTES = 128 * 1024 * 1024

const BUILT_IN = new Map<string, Assignor>(
  [cooperativeStickyAssignor, rangeAssignor, roundRobinAssignor].map((assignor) => [assignor.name, assignor]),
)

/** Fills in defaults and refuses what cannot go together. Throws `ConfigurationError`. */
export function resolveConsumerOptions(options: ConsumerOptions): ResolvedConsumerOptions {
  const groupId = resolveGroupId(options)
  const sessionTimeoutMs = wholeNumber('sessionTimeoutMs', options.sessionTimeoutMs, 45_000, 1)
  const heartbeatIntervalMs = wholeNumber('heartbeatIntervalMs', options.heartbeatIntervalMs, 3000, 1)
  if (heartbeatIntervalMs >= sessionTimeoutMs) {
    throw new ConfigurationError('heartbeatIntervalMs', 'heartbeatIntervalMs must be below sessionTimeoutMs')
  }
  const fetchMaxBytes = wholeNumber('fetchMaxBytes', options.fetchMaxBytes, 52_428_800, 1)
  return {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    groupProtocol: resolveGroupProtocol(options),
    groupRemoteAssignor: options.groupRemoteAssignor ?? null,
    sessionTimeoutMs,
    heartbeatIntervalMs,
    maxPollIntervalMs: wholeNumber('maxPollIntervalMs', options.maxPollIntervalMs, 300_000, 1),
    maxPollRecords: wholeNumber('maxPollRecords', options.maxPollRecords, 500, 1),
    assignors: resolveAssignors(options.partitionAssignmentStrategy),
    autoOffsetReset: resolveReset(options.autoOffsetReset),
    enableAutoCommit: resolveAutoCommit(options.enableAutoCommit, groupId),
    autoCommitIntervalMs: wholeNumber('autoCommitIntervalMs', options.autoCommitIntervalMs, 5000, 1),
    isolationLevel: options.isolationLevel ?? 'read_uncommitted',
    fetchMinBytes: wholeNumber('fetchMinBytes', options.fetchMinBytes, 1, 0),
    fetchMaxWaitMs: wholeNumber('fetchMaxWaitMs', options.fetchMaxWaitMs, 500, 0),
    fetchMaxBytes,
    maxPartitionFetchBytes: wholeNumber('maxPartitionFetchBytes', options.maxPartitionFetchBytes, 1_048_576, 1),
    maxBufferedBytes: wholeNumber('maxBufferedBytes', options.maxBufferedBytes, fetchMaxBytes, 1),
    maxExpandedBatchBytes: wholeNumber(
      'maxExpandedBatchBytes',
      options.maxExpandedBatchBytes,
      DEFAULT_MAX_EXPANDED_BATCH_BYTES,
      1,
    ),
    clientRack: options.clientRack ?? '',
    checkCrcs: options.checkCrcs ?? true,
    allowAutoCreateTopics: options.allowAutoCreateTopics ?? true,
    excludeInternalTopics: options.excludeInternalTopics ?? true,
    onEvent: guarded(options.onEvent ?? (() => undefined)),
  }
}

function resolveGroupId(options: ConsumerOptions): string | null {
  if (options.groupId === undefined) {
    if (options.groupInstanceId === undefined) return null
    throw new ConfigurationError('groupInstanceId', 'groupInstanceId needs a groupId')
  }
  if (options.groupId === '') throw new ConfigurationError('groupId', 'groupId must not be empty')
  return options.groupId
}

/** Settings of one protocol that the other has no use for are refused: whoever set them expects something of them. */
function resolveGroupProtocol(options: ConsumerOptions): GroupProtocol {
  const protocol = options.groupProtocol ?? 'classic'
  if (protocol !== 'classic' && protocol !== 'consumer') {
    throw new ConfigurationError('groupProtocol', `groupProtocol must be 'classic' or 'consumer', not ${protocol}`)
  }
  const useless: readonly (keyof ConsumerOptions)[] =
    protocol === 'classic'
      ? ['groupRemoteAssignor']
      : ['sessionTimeoutMs', 'heartbeatIntervalMs', 'partitionAssignmentStrategy']
  for (const key of useless) {
    if (options[key] === undefined) continue
    throw new ConfigurationError(key, `${key} means nothing with groupProtocol ${protocol}`)
  }
  return protocol
}

function resolveAutoCommit(asked: boolean | undefined, groupId: string | null): boolean {
  if (asked === true && groupId === null)
    throw new ConfigurationError('enableAutoCommit', 'enableAutoCommit needs a groupId')
  return asked ?? groupId !== null
}

function resolveReset(reset: OffsetReset | undefined): OffsetReset {
  const chosen = reset ?? 'latest'
  const known = typeof chosen === 'string' ? ['earliest', 'latest', 'none'].includes(chosen) : chosen.byDurationMs >= 0
  if (!known) {
    throw new ConfigurationError(
      'autoOffsetReset',
      "autoOffsetReset must be 'earliest', 'latest', 'none' or { byDurationMs }",
    )
  }
  return chosen
}

function resolveAssignors(strategy: ConsumerOptions['partitionAssignmentStrategy']): Assignor[] {
  const assignors = (strategy ?? ['cooperative-sticky']).map((choice) => {
    if (typeof choice !== 'string') return choice
    const assignor = BUILT_IN.get(choice)
    if (assignor !== undefined) return assignor
    const names = [...BUILT_IN.keys()].join(', ')
    throw new ConfigurationError('partitionAssignmentStrategy', `"${choice}" is none of ${names}`)
  })
  if (assignors.length === 0) {
    throw new ConfigurationError('partitionAssignmentStrategy', 'at least one assignor is needed')
  }
  return assignors
}
