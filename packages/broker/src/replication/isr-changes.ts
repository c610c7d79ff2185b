import { BaseError, type Timer, type Timers, type Uuid } from '@millrace/base'
import type { AlterPartitionAnswer, ControllerPort } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { IsrOwner, IsrProposal } from './isr-proposal.ts'

/** Pause after a request that failed as a whole (Kafka's fixed 50 ms). */
const RETRY_MS = 50
/** How long the active controller is looked for before the request is made anew, with what was proposed meanwhile. */
const REQUEST_TIMEOUT_MS = 5_000
/** Proposals in one request: some 100 kB. The rest follows. */
const MAX_BATCH = 1_000

interface Pending {
  readonly owner: IsrOwner
  readonly proposal: IsrProposal
}

export interface IsrChangesOptions {
  readonly brokerId: number
  readonly timers: Timers
  readonly logger: Logger
  /** -1: not registered yet. */
  brokerEpoch(): number
}

/**
 * Asks the controller for changes of in-sync replicas (`AlterPartition`, `replication-and-transactions.md`, 6.2): one request under way,
 * all partitions' proposals in it, and for each partition at most one. A proposal is asked for until it is known to be done, refused or
 * overtaken by the metadata; meanwhile its leader counts both sets.
 */
export class IsrChanges {
  readonly #options: IsrChangesOptions
  #port: Pick<ControllerPort, 'request'> | null = null
  readonly #waiting = new Map<IsrOwner, IsrProposal>()
  #isSending = false
  #retry: Timer | null = null
  #isClosed = false
  /** Requests or single proposals that failed. */
  failedCount = 0

  constructor(options: IsrChangesOptions) {
    this.#options = options
  }

  onControllerPort(port: Pick<ControllerPort, 'request'>): void {
    this.#port = port
    this.#send()
  }

  /** The epoch by which the controller knows this broker has changed: what waited for it goes. */
  wake(): void {
    this.#send()
  }

  propose(owner: IsrOwner, proposal: IsrProposal): void {
    this.#waiting.set(owner, proposal)
    this.#send()
  }

  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    this.#waiting.clear()
  }

  #send(): void {
    const port = this.#port
    if (this.#isClosed || this.#isSending || this.#retry !== null || port === null) return
    if (this.#options.brokerEpoch() < 0) return
    const batch = this.#takeBatch()
    if (batch.length === 0) return
    this.#isSending = true
    const { brokerId } = this.#options
    const partitions = batch.map(({ owner, proposal }) => ({
      topicId: owner.topicId,
      partition: owner.partition,
      leaderEpoch: proposal.leaderEpoch,
      partitionEpoch: proposal.partitionEpoch,
      leaderRecoveryState: proposal.leaderRecoveryState,
      newIsr: proposal.members,
    }))
    port
      .request('alterPartition', { brokerId, brokerEpoch: this.#options.brokerEpoch(), partitions }, REQUEST_TIMEOUT_MS)
      .then(
        (answer) => {
          if ('code' in answer) this.#onFailed(batch, answer.message ?? `error ${answer.code}`)
          else this.#onAnswer(batch, answer)
        },
        (error: unknown) => {
          // Whether it was done is not known; asked again, the controller says so. Anything but an operating error is a bug.
          if (!(error instanceof BaseError)) throw error
          this.#onFailed(batch, error.message)
        },
      )
  }

  /** Those that are still wanted. */
  #takeBatch(): Pending[] {
    const batch: Pending[] = []
    for (const [owner, proposal] of this.#waiting) {
      if (batch.length === MAX_BATCH) break
      this.#waiting.delete(owner)
      if (owner.isPending(proposal)) batch.push({ owner, proposal })
    }
    return batch
  }

  #onAnswer(batch: readonly Pending[], answer: AlterPartitionAnswer): void {
    this.#isSending = false
    if (this.#isClosed) return
    const results = new Map<Uuid, Map<number, AlterPartitionAnswer['partitions'][number]>>()
    for (const result of answer.partitions) {
      const ofTopic = results.get(result.topicId) ?? new Map()
      results.set(result.topicId, ofTopic.set(result.partition, result))
    }
    let failed = false
    for (const pending of batch) {
      const result = results.get(pending.owner.topicId)?.get(pending.owner.partition)
      if (result === undefined) failed = this.#again(pending) || failed
      else failed = this.#settle(pending, result) || failed
    }
    if (failed) this.#pause()
    else this.#send()
  }

  /** True if it has to be asked for again. */
  #settle(pending: Pending, result: AlterPartitionAnswer['partitions'][number]): boolean {
    const { owner, proposal } = pending
    if (result.errorCode !== ErrorCode.NONE) this.failedCount++
    switch (result.errorCode) {
      case ErrorCode.NONE:
        owner.onIsrCommitted(proposal, result)
        return false
      case ErrorCode.INELIGIBLE_REPLICA:
      case ErrorCode.OPERATION_NOT_ATTEMPTED:
        owner.onIsrRefused(proposal)
        return false
      case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      case ErrorCode.UNKNOWN_TOPIC_ID:
      case ErrorCode.FENCED_LEADER_EPOCH:
      case ErrorCode.INVALID_UPDATE_VERSION:
      case ErrorCode.INVALID_REQUEST:
      case ErrorCode.NEW_LEADER_ELECTED:
        // The metadata has gone on, perhaps by this very proposal, and will say how: until then both sets count.
        return false
      default:
        return this.#again(pending)
    }
  }

  #onFailed(batch: readonly Pending[], reason: string): void {
    this.#isSending = false
    if (this.#isClosed) return
    this.failedCount++
    this.#options.logger.debug('a change of in-sync replicas was not answered', { count: batch.length, reason })
    for (const pending of batch) this.#again(pending)
    this.#pause()
  }

  /** Unless the leader has proposed something else since. */
  #again({ owner, proposal }: Pending): boolean {
    if (!this.#waiting.has(owner) && owner.isPending(proposal)) this.#waiting.set(owner, proposal)
    return true
  }

  #pause(): void {
    this.#retry ??= this.#options.timers.setTimer(RETRY_MS, () => {
      this.#retry = null
      this.#send()
    })
  }
}
