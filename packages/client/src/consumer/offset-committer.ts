import { BaseError, type Timer } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { type CommittedOffset, type Committer, commitOffsets } from '../offsets/committed-offsets.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { PartitionState } from './partition-state.ts'

/** A rebalance overtook a commit of partitions that are still owned: under the next generation it may be sent again. */
class OvertakenError extends BaseError {
  readonly retriable = true

  constructor(cause: ProtocolError) {
    super('COMMIT_OVERTAKEN', 'a rebalance is under way', { cause })
  }
}

/** What a coordinator says of the generation before while members join, and of an epoch that the member has not heard the end of. */
const OVERTAKEN: ReadonlySet<number> = new Set([
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.STALE_MEMBER_EPOCH,
])

/**
 * Commits offsets, one request at a time in the order asked for, so that a slow older commit can never overwrite a newer one; by
 * request of the application and every `autoCommitIntervalMs` of what was dealt with.
 */
export class OffsetCommitter {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #assigned: AssignedPartitions
  readonly #committer: () => Committer
  readonly #isJoining: () => boolean
  readonly #onRebalancing: () => void
  #last: Promise<void> = Promise.resolve()
  #timer: Timer | null = null

  /**
   * `committer` says as whom at the time of sending, `isJoining` whether that is about to change; `onRebalancing` hears when a commit was
   * refused since a rebalance is under way that the member does not take part in yet.
   */
  constructor(
    core: ClientCore,
    options: ResolvedConsumerOptions,
    assigned: AssignedPartitions,
    committer: () => Committer,
    isJoining: () => boolean,
    onRebalancing: () => void,
  ) {
    this.#core = core
    this.#options = options
    this.#assigned = assigned
    this.#committer = committer
    this.#isJoining = isJoining
    this.#onRebalancing = onRebalancing
  }

  /** Begins automatic commits, if they are on. */
  start(): void {
    if (!this.#options.enableAutoCommit || this.#timer !== null) return
    this.#timer = this.#core.ports.timers.setTimer(this.#options.autoCommitIntervalMs, () => {
      this.#timer = null
      this.#commitQuietly(this.#core.options.requestTimeoutMs).finally(() => {
        if (!this.#core.isClosed) this.start()
      })
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Commits after those asked for before. Retries while that may help; rejects with `ProtocolError` or `TimeoutError`. */
  commit(offsets: readonly CommittedOffset[], timeoutMs: number): Promise<void> {
    if (offsets.length === 0) return this.#last
    const states = offsets.map(({ topic, partition }) => this.#assigned.find(topic, partition))
    const run = () => this.#send(offsets, states, timeoutMs)
    const done = this.#last.then(run, run)
    this.#last = done.catch(() => undefined)
    return done
  }

  /** With automatic commits on: commits what was dealt with in these partitions (all if left out). Failures become events. */
  async commitProcessed(timeoutMs: number, states?: readonly PartitionState[]): Promise<void> {
    if (this.#options.enableAutoCommit) await this.#commitQuietly(timeoutMs, states)
  }

  async #commitQuietly(timeoutMs: number, states: readonly PartitionState[] = this.#assigned.all()): Promise<void> {
    const offsets = states
      .filter((state) => state.processedOffset >= 0 && state.processedOffset !== state.committedOffset)
      .map(({ topic, partition, processedOffset, processedEpoch }) => ({
        topic,
        partition,
        offset: processedOffset,
        leaderEpoch: processedEpoch,
        metadata: '',
      }))
    try {
      await this.commit(offsets, timeoutMs)
    } catch (error) {
      if (!this.#core.isClosed) this.#options.onEvent({ type: 'commit-failed', error })
    }
  }

  /** `states` are the partitions as they were owned when the commit was asked for, null for those that were not. */
  async #send(
    offsets: readonly CommittedOffset[],
    states: readonly (PartitionState | null)[],
    timeoutMs: number,
  ): Promise<void> {
    try {
      await this.#core.retrying('committing offsets', timeoutMs, async (leftMs) => {
        const committer = this.#committer()
        if (committer.memberId !== '') this.#assertOwned(states)
        try {
          await commitOffsets(this.#core, committer, offsets, Math.min(leftMs, this.#core.options.requestTimeoutMs))
        } catch (error) {
          throw this.#isOvertaken(committer, error) ? new OvertakenError(error) : error
        }
      })
    } catch (error) {
      if (error instanceof ProtocolError && error.errorCode === ErrorCode.REBALANCE_IN_PROGRESS) this.#onRebalancing()
      throw error
    }
    for (const { topic, partition, offset } of offsets) {
      const state = this.#assigned.find(topic, partition)
      if (state !== null) state.committedOffset = offset
    }
  }

  /** Whether the answer is only about a generation that the member has left behind, or is leaving now. */
  #isOvertaken(sentAs: Committer, error: unknown): error is ProtocolError {
    if (!(error instanceof ProtocolError) || !OVERTAKEN.has(error.errorCode)) return false
    const { memberId, generationId } = this.#committer()
    if (memberId !== sentAs.memberId) return false
    // The answer to a heartbeat that tells the newer epoch is on its way, or tells that there is none for this member.
    if (error.errorCode === ErrorCode.STALE_MEMBER_EPOCH) return generationId > 0
    return this.#isJoining() || generationId > sentAs.generationId
  }

  /**
   * A commit that had to wait may come to its turn when the member lost partitions and joined again: under the new generation the
   * coordinator would take it, over what their new owner has committed.
   */
  #assertOwned(states: readonly (PartitionState | null)[]): void {
    for (const state of states) {
      if (state === null || this.#assigned.find(state.topic, state.partition) === state) continue
      const { topic, partition } = state
      const message = 'the partition was lost before its offset could be committed'
      throw new ProtocolError(ErrorCode.ILLEGAL_GENERATION, { topic, partition, message })
    }
  }
}
