import type { Clock, Offset, Timer, Timers, Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { coordinatorPartition, ErrorCode } from '@millrace/protocol'
import type { NextTurn } from '../../handlers/next-turn.ts'
import type { Logger } from '../../logger.ts'
import { SHARE_GROUP_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import type { BudgetSample } from '../../metrics/budget.ts'
import type { CoordinatorLog } from '../coordinator-log.ts'
import { CoordinatorRuntime } from '../runtime/coordinator-runtime.ts'
import { describeError } from '../runtime/describe-error.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import { type ShareEvent, ShareMachine, type ShareStep, type StoredShare } from './share-machine.ts'
import type { ShareRecord } from './share-record.ts'
import { ShareRecordCodec } from './share-record-codec.ts'
import {
  emptySummary,
  failedRead,
  parseShareKey,
  type ShareKey,
  type ShareStateStore,
  type StateOutcome,
  type StateRead,
  type StateSummary,
  type StateWrite,
  shareKeyText,
} from './share-state.ts'

/** How often the logs are cut behind what their snapshots have made useless (Kafka's default). */
const PRUNE_INTERVAL_MS = 300_000

/** The settings of the share coordinator, by their Kafka names in camel case. */
export interface ShareCoordinatorConfig {
  /** Partitions of `__share_group_state`, if this node is the one to have it created. */
  readonly shareCoordinatorStateTopicNumPartitions: number
  readonly shareCoordinatorSnapshotUpdateRecordsPerSnapshot: number
  readonly shareCoordinatorWriteTimeoutMs: number
  readonly shareCoordinatorAppendLingerMs: number
  /** Most share partitions whose state this node keeps. */
  readonly shareCoordinatorMaxPartitions: number
  /** Largest batch that `__share_group_state` takes. */
  readonly messageMaxBytes: number
}

/** What the share coordinator needs of the rest of the broker. */
export interface ShareCoordinatorDeps {
  readonly config: ShareCoordinatorConfig
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** The newest metadata. */
  metadata(): MetadataImage
  /** Runs the callback once, when the requests at hand were all handled: `Turn.beforeFlush`. */
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  /** Removes the records of a partition of `__share_group_state` before `offset`, if this node leads it. */
  pruneLog(partition: number, offset: Offset): void
  /** A bug of ours surfaced; its operation was answered. The process should stop. */
  onFault(error: unknown): void
}

/** Counts share partitions, those of writes that may still fail included. */
class ShareTally {
  count = 0

  onAdded(): void {
    this.count++
  }

  onRemoved(): void {
    this.count--
  }
}

/**
 * The state of share partitions, for the partitions of `__share_group_state` that this node leads: which are asked for what, metadata, and
 * the states of shards. The rules are in {@link ShareMachine}.
 */
export class ShareCoordinator implements ShareStateStore {
  readonly #deps: ShareCoordinatorDeps
  readonly #runtime: CoordinatorRuntime<ShareMachine, ShareRecord, ShareEvent, never>
  /** By partition: one of each shard, for the limit. */
  readonly #tallies = new Map<number, ShareTally>()
  #pruneTimer: Timer | null = null
  /** Fixed at start, since it says where each state is; 0: not started. */
  #partitionCount = 0

  constructor(deps: ShareCoordinatorDeps) {
    this.#deps = deps
    const { config } = deps
    this.#runtime = new CoordinatorRuntime({
      clock: deps.clock,
      timers: deps.timers,
      logger: deps.logger,
      codec: new ShareRecordCodec(),
      limits: {
        writeTimeoutMs: config.shareCoordinatorWriteTimeoutMs,
        maxBatchSizeBytes: config.messageMaxBytes,
        appendLingerMs: config.shareCoordinatorAppendLingerMs,
      },
      createCoordinator: (partition, timeline) => {
        const tally = new ShareTally()
        this.#tallies.set(partition, tally)
        const context = {
          updatesPerSnapshot: config.shareCoordinatorSnapshotUpdateRecordsPerSnapshot,
          metadata: () => deps.metadata(),
          hasRoom: () => this.#usedCount < config.shareCoordinatorMaxPartitions,
        }
        return new ShareMachine(context, timeline, tally satisfies { onAdded(value: StoredShare): void })
      },
      enqueueEndOfTurn: (callback) => deps.enqueueEndOfTurn(callback),
      onReply: () => undefined,
      onFault: (error) => deps.onFault(error),
    })
  }

  /** Begins to serve. Call when the metadata is there: it says how many partitions `__share_group_state` has. */
  startup(): void {
    if (this.#partitionCount > 0) return
    const topic = this.#deps.metadata().topics.get(SHARE_GROUP_STATE_TOPIC)
    this.#partitionCount = topic?.partitions.length ?? this.#deps.config.shareCoordinatorStateTopicNumPartitions
    this.#schedulePruning()
  }

  /** Ends everything; waiting operations end with NOT_COORDINATOR. */
  shutdown(): void {
    this.#partitionCount = 0
    this.#pruneTimer?.cancel()
    this.#runtime.close()
    this.#tallies.clear()
  }

  /** Partition of `__share_group_state` that has a key's state; null before `startup` and after `shutdown`. */
  partitionFor(key: ShareKey): number | null {
    return this.#partitionCount === 0 ? null : coordinatorPartition(shareKeyText(key), this.#partitionCount)
  }

  /** This node leads the partition from now on. Resolves when it is loaded, or could not be; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog): Promise<void> {
    return this.#runtime.onElection(partition, log)
  }

  /** This node does not lead the partition any more. */
  onResignation(partition: number): void {
    this.#runtime.onResignation(partition)
    this.#tallies.delete(partition)
  }

  /** Partitions that this node leads and whose log could not be loaded. */
  get failedPartitions(): number[] {
    return this.#runtime.partitions.filter((partition) => this.#runtime.stateOf(partition) === 'failed')
  }

  /** What groups have it keep, and how much that may be. */
  budgets(): BudgetSample[] {
    const limit = this.#deps.config.shareCoordinatorMaxPartitions
    return [{ name: 'share-states', unit: 'count', used: this.#usedCount, limit }]
  }

  /** Deletes the state of deleted topics. */
  onTopicsDeleted(topics: readonly { readonly id: Uuid }[]): void {
    const topicIds = new Set(topics.map(({ id }) => id))
    for (const partition of this.#runtime.partitions) {
      this.#runtime.write(
        partition,
        (machine, step) => machine.onTopicsDeleted(topicIds, step),
        (errorCode) => {
          if (errorCode === 0) return
          // It is looked for again when the partition is loaded.
          this.#deps.logger.warn('state of share groups in deleted topics was not deleted', { partition, errorCode })
        },
      )
    }
  }

  initialize(key: ShareKey, stateEpoch: number, startOffset: Offset): Promise<StateOutcome> {
    return this.#write(key, (machine, step) => machine.initialize(key, stateEpoch, startOffset, step), outcomeOf)
  }

  read(key: ShareKey, leaderEpoch: number): Promise<StateRead> {
    return this.#write(key, (machine, step) => machine.read(key, leaderEpoch, step), failedRead)
  }

  write(key: ShareKey, write: StateWrite): Promise<StateOutcome> {
    return this.#write(key, (machine, step) => machine.write(key, write, step), outcomeOf)
  }

  delete(key: ShareKey): Promise<StateOutcome> {
    return this.#write(key, (machine, step) => machine.delete(key, step), outcomeOf)
  }

  /** The leader epoch of who asks is not looked at, as in Kafka. */
  readSummary(key: ShareKey): Promise<StateSummary> {
    return this.#write(key, (machine) => machine.readSummary(key), emptySummary)
  }

  get #usedCount(): number {
    let count = 0
    for (const tally of this.#tallies.values()) count += tally.count
    return count
  }

  #write<Outcome extends StateOutcome>(
    key: ShareKey,
    compute: (machine: ShareMachine, step: ShareStep) => Outcome,
    failed: (errorCode: number) => Outcome,
  ): Promise<Outcome> {
    const partition = this.partitionFor(key)
    if (partition === null) return Promise.resolve(failed(ErrorCode.COORDINATOR_NOT_AVAILABLE))
    return new Promise((resolve) => {
      this.#runtime.write(partition, compute, (errorCode, outcome) => {
        resolve(outcome ?? failed(responseErrorOf(errorCode)))
      })
    })
  }

  #schedulePruning(): void {
    this.#pruneTimer = this.#deps.timers.setTimer(PRUNE_INTERVAL_MS, () => {
      this.#prune()
        .catch((error: unknown) => {
          this.#deps.logger.warn('logs of the share coordinator could not be cut', { error: describeError(error) })
        })
        .finally(() => {
          if (this.#partitionCount > 0) this.#schedulePruning()
        })
    })
  }

  async #prune(): Promise<void> {
    for (const partition of this.#runtime.partitions) {
      const { response } = this.#runtime.read(partition, (machine) => machine.redundantBefore())
      if (response !== null) this.#deps.pruneLog(partition, response)
      await this.#deps.nextTurn()
    }
  }
}

function outcomeOf(errorCode: number): StateOutcome {
  return { errorCode, errorMessage: null }
}

/** Where keys of FindCoordinator are found; a key that is none has no partition. */
export function partitionOfKeyText(coordinator: Pick<ShareCoordinator, 'partitionFor'>, text: string): number | null {
  const key = parseShareKey(text)
  return key === null ? null : coordinator.partitionFor(key)
}
