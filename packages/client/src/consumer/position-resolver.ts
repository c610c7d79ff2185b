import type { Timer } from '@millrace/base'
import {
  createOffsetForLeaderEpochRequest,
  createOffsetForLeaderPartition,
  createOffsetForLeaderTopic,
  ErrorCode,
  errorInfo,
  offsetForLeaderEpochApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { partitionKey } from '../cluster/topic-partition.ts'
import { LogTruncationError, NoOffsetError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { type Committer, fetchCommitted } from '../offsets/committed-offsets.ts'
import { askOffsets } from '../offsets/offset-lookup.ts'
import { backoffMs } from '../retry/backoff.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { PartitionState } from './partition-state.ts'

/** OffsetForLeaderEpoch tells old from new leaders since version 2 (KIP-320). */
const VALIDATION_FROM_VERSION = 2

const STALE_MEMBER: ReadonlySet<number> = new Set([ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID])

/**
 * Gives every assigned partition a position: the committed offset, else what `autoOffsetReset` says; looks up resets and seeks by
 * time; and after a change of leader asks whether what was read is still there. Runs in the background; failures that may pass are
 * tried again after a pause, others are reported and tried again later, since the application may seek meanwhile.
 */
export class PositionResolver {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #assigned: AssignedPartitions
  readonly #member: () => Committer | null
  readonly #onProgress: () => void
  readonly #onError: (error: unknown) => void
  #timer: Timer | null = null
  #failureCount = 0
  /** Null while nothing failed in the present round. */
  #roundPauseMs: number | null = null
  #closed = false

  /** `member` says as which member of a group committed offsets are asked for (KIP-848), null where that does not matter. */
  constructor(
    core: ClientCore,
    options: ResolvedConsumerOptions,
    assigned: AssignedPartitions,
    member: () => Committer | null,
    onProgress: () => void,
    onError: (error: unknown) => void,
  ) {
    this.#core = core
    this.#options = options
    this.#assigned = assigned
    this.#member = member
    this.#onProgress = onProgress
    this.#onError = onError
  }

  /** Starts whatever can be started now. */
  pump(): void {
    if (this.#closed) return
    const nowMs = this.#core.ports.clock.monotonicMs()
    const due: PartitionState[] = []
    let wakeAtMs = Number.POSITIVE_INFINITY
    for (const state of this.#assigned.all()) {
      if (state.status === 'ready' || state.isResolving) continue
      if (state.notBeforeMs > nowMs) wakeAtMs = Math.min(wakeAtMs, state.notBeforeMs)
      // Metadata that names a leader makes us look again; until then there is nobody to ask.
      else if (state.status !== 'unpositioned' && !this.#hasLeader(state)) this.#core.metadata.requestUpdate()
      else due.push(state)
    }
    if (wakeAtMs !== Number.POSITIVE_INFINITY) this.#wakeAt(wakeAtMs)
    this.#start(due, 'unpositioned', (states) => this.#askCommitted(states))
    this.#start(due, 'resetting', (states) => this.#lookUp(states))
    this.#start(due, 'validating', (states) => this.#validate(states))
  }

  /** Marks partitions whose leader changed: they are not read on before the new leader confirmed the position. */
  checkLeaders(): void {
    for (const state of this.#assigned.all()) {
      const leader = this.#core.metadata.partition(state.topic, state.partition)
      if (leader === null || state.position === null || state.status !== 'ready') continue
      if (leader.leaderEpoch <= state.validatedEpoch) continue
      if (state.position.leaderEpoch < 0) state.validatedEpoch = leader.leaderEpoch
      else state.status = 'validating'
    }
  }

  /** The position is outside the log: goes on as `autoOffsetReset` says. */
  resetByPolicy(state: PartitionState): void {
    const policy = this.#options.autoOffsetReset
    if (policy === 'none') {
      const reason =
        state.position === null ? 'no committed offset' : `position ${state.position.offset} is outside the log`
      this.#later([state])
      this.#onError(new NoOffsetError(state.topic, state.partition, `${reason} and autoOffsetReset is none`))
    } else if (typeof policy === 'string') {
      state.resetAt(policy)
    } else {
      state.resetAt({ timestamp: this.#core.ports.clock.wallMs() - policy.byDurationMs })
    }
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #start(due: readonly PartitionState[], status: string, run: (states: PartitionState[]) => Promise<void>): void {
    const states = due.filter((state) => state.status === status)
    if (states.length === 0) return
    const versions = states.map((state) => state.version)
    for (const state of states) state.isResolving = true
    const current = () => states.filter((state, slot) => state.version === versions[slot])
    this.#roundPauseMs = null
    run(states)
      .catch((error: unknown) => {
        this.#later(current())
        if (!isRetriable(error) && !isStaleMember(error) && !this.#closed) this.#onError(error)
      })
      .finally(() => {
        this.#failureCount = this.#roundPauseMs === null ? 0 : this.#failureCount + 1
        for (const state of current()) state.isResolving = false
        this.#onProgress()
      })
  }

  #hasLeader({ topic, partition }: PartitionState): boolean {
    return (this.#core.metadata.partition(topic, partition)?.leaderId ?? -1) !== -1
  }

  async #askCommitted(states: readonly PartitionState[]): Promise<void> {
    const { groupId, isolationLevel } = this.#options
    if (groupId === null) {
      for (const state of states) this.resetByPolicy(state)
      return
    }
    const versions = states.map((state) => state.version)
    const requireStable = isolationLevel === 'read_committed'
    const { requestTimeoutMs } = this.#core.options
    const member = this.#member()
    const committed = await fetchCommitted(this.#core, groupId, states, requireStable, requestTimeoutMs, member)
    const byKey = new Map(committed.map((entry) => [partitionKey(entry.topic, entry.partition), entry]))
    for (const [slot, state] of states.entries()) {
      if (state.version !== versions[slot] || state.status !== 'unpositioned') continue
      const found = byKey.get(partitionKey(state.topic, state.partition))
      if (found === undefined) {
        this.resetByPolicy(state)
        continue
      }
      state.moveTo({ offset: found.offset, leaderEpoch: found.leaderEpoch })
      state.committedOffset = found.offset
    }
    this.checkLeaders()
  }

  async #lookUp(states: readonly PartitionState[]): Promise<void> {
    const versions = states.map((state) => state.version)
    const questions = states.map(({ topic, partition, resetTo }) => ({ topic, partition, spec: resetTo ?? 'latest' }))
    const { requestTimeoutMs } = this.#core.options
    const found = await askOffsets(this.#core, questions, this.#options.isolationLevel, requestTimeoutMs)
    const byKey = new Map(found.map((answer) => [partitionKey(answer.topic, answer.partition), answer]))
    for (const [slot, state] of states.entries()) {
      if (state.version !== versions[slot] || state.status !== 'resetting') continue
      const answer = byKey.get(partitionKey(state.topic, state.partition))
      const errorCode = answer?.errorCode ?? ErrorCode.NETWORK_EXCEPTION
      if (errorCode !== ErrorCode.NONE) this.#failed(state, errorCode)
      // No record that late: go on with what comes. The ends of a log are always somewhere.
      else if (answer!.offset < 0 && (state.resetTo === 'latest' || state.resetTo === 'earliest'))
        this.#failed(state, ErrorCode.NETWORK_EXCEPTION)
      else if (answer!.offset < 0) state.resetAt('latest')
      else {
        state.moveTo({ offset: answer!.offset, leaderEpoch: -1 })
        state.validatedEpoch = Math.max(state.validatedEpoch, answer!.leaderEpoch)
      }
    }
  }

  async #validate(states: readonly PartitionState[]): Promise<void> {
    const byLeader = Map.groupBy(
      states,
      ({ topic, partition }) => this.#core.metadata.partition(topic, partition)?.leaderId ?? -1,
    )
    for (const state of byLeader.get(-1) ?? []) this.#failed(state, ErrorCode.LEADER_NOT_AVAILABLE)
    byLeader.delete(-1)
    await Promise.all([...byLeader].map(([leaderId, list]) => this.#validateAt(leaderId, list)))
  }

  async #validateAt(leaderId: number, states: readonly PartitionState[]): Promise<void> {
    const asked = states.map((state) => ({
      state,
      version: state.version,
      position: state.position!,
      leaderEpoch: this.#core.metadata.partition(state.topic, state.partition)?.leaderEpoch ?? -1,
    }))
    const message = createOffsetForLeaderEpochRequest({
      replicaId: -1,
      topics: [...Map.groupBy(asked, ({ state }) => state.topic)].map(([topic, list]) =>
        createOffsetForLeaderTopic({
          topic,
          partitions: list.map(({ state, position, leaderEpoch }) =>
            createOffsetForLeaderPartition({
              partition: state.partition,
              currentLeaderEpoch: leaderEpoch,
              leaderEpoch: position.leaderEpoch,
            }),
          ),
        }),
      ),
    })
    const { response } = await this.#core.requestNode(leaderId, 'main', offsetForLeaderEpochApi, message, {
      minVersion: VALIDATION_FROM_VERSION,
    })
    const answers = new Map(
      response.topics.flatMap(({ topic, partitions }) =>
        partitions.map((answer) => [partitionKey(topic, answer.partition), answer] as const),
      ),
    )
    for (const { state, version, position, leaderEpoch } of asked) {
      if (state.version !== version || state.status !== 'validating') continue
      const answer = answers.get(partitionKey(state.topic, state.partition))
      const errorCode = answer?.errorCode ?? ErrorCode.NETWORK_EXCEPTION
      if (errorCode !== ErrorCode.NONE) this.#failed(state, errorCode)
      else this.#confirmed(state, position.offset, leaderEpoch, Number(answer!.endOffset), answer!.leaderEpoch)
    }
  }

  /** `endOffset` is where the epoch of our last record ends on the leader: below our position, records that we read are gone. */
  #confirmed(state: PartitionState, offset: number, leaderEpoch: number, endOffset: number, epoch: number): void {
    state.validatedEpoch = leaderEpoch
    state.status = 'ready'
    if (endOffset >= offset) return
    if (this.#options.autoOffsetReset === 'none') {
      state.status = 'validating'
      state.validatedEpoch = -1
      this.#later([state])
      this.#onError(new LogTruncationError(state.topic, state.partition, BigInt(offset), BigInt(endOffset)))
    } else if (endOffset < 0) {
      this.resetByPolicy(state)
    } else {
      state.moveTo({ offset: endOffset, leaderEpoch: epoch })
    }
  }

  #failed(state: PartitionState, errorCode: number): void {
    this.#later([state])
    const { retriable, refreshMetadata } = errorInfo(errorCode)
    if (refreshMetadata) this.#core.metadata.requestUpdate()
    if (!retriable) this.#onError(new ProtocolError(errorCode, state))
  }

  /** The partitions of one round pause together, or each would be asked about alone. */
  #later(states: readonly PartitionState[]): void {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#core.options
    this.#roundPauseMs ??= backoffMs(this.#failureCount, retryBackoffMs, retryBackoffMaxMs, this.#core.ports.random)
    const atMs = this.#core.ports.clock.monotonicMs() + this.#roundPauseMs
    for (const state of states) state.notBeforeMs = atMs
  }

  #wakeAt(atMs: number): void {
    this.#timer?.cancel()
    const delayMs = Math.max(0, atMs - this.#core.ports.clock.monotonicMs())
    this.#timer = this.#core.ports.timers.setTimer(delayMs, () => {
      this.#timer = null
      this.pump()
    })
  }
}

/** The membership moves on, and what it becomes will be heard of: not an error of the application's. */
function isStaleMember(error: unknown): boolean {
  return error instanceof ProtocolError && STALE_MEMBER.has(error.errorCode)
}
