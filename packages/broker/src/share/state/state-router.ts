import type { Clock, LeaderEpoch, Offset, Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type {
  ShareKey,
  ShareStateStore,
  StateOutcome,
  StateRead,
  StateSummary,
  StateWrite,
} from '../../coordinator/share/share-state.ts'
import { SHARE_GROUP_STATE_TOPIC } from '../../metadata/internal-topics.ts'
import type { OpenConnection } from './broker-lane.ts'
import { deleteCall, initializeCall, readCall, type StateCall, summaryCall, writeCall } from './state-calls.ts'
import { StateLane } from './state-lane.ts'

/** How long an operation is tried again before it fails: less than clients wait for an answer. */
const TRY_FOR_MS = 15_000
const FIRST_PAUSE_MS = 20
const MAX_PAUSE_MS = 1000

export interface StateRouterDeps {
  readonly nodeId: number
  readonly clock: Clock
  readonly timers: Timers
  /** The coordinator on this node. */
  readonly local: ShareStateStore & { partitionFor(key: ShareKey): number | null }
  metadata(): MetadataImage
  /** Has `__share_group_state` created; resolves to whether it exists then. */
  ensureTopic(): Promise<boolean>
  /** Null where there are no other brokers. */
  readonly open: OpenConnection | null
}

/**
 * The state of share partitions wherever its coordinator is: on this node, or behind a connection. Finds the coordinator by the metadata,
 * and tries again for a while what may pass. Operations of different share partitions know nothing of each other, but that those on one
 * partition of `__share_group_state` of another broker share its lane.
 */
export class StateRouter implements ShareStateStore {
  readonly #deps: StateRouterDeps
  readonly #lanes = new Map<number, StateLane>()
  #creating: Promise<boolean> | null = null
  #isClosed = false

  constructor(deps: StateRouterDeps) {
    this.#deps = deps
  }

  initialize(key: ShareKey, stateEpoch: number, startOffset: Offset): Promise<StateOutcome> {
    const local = (): Promise<StateOutcome> => this.#deps.local.initialize(key, stateEpoch, startOffset)
    return this.#perform(key, initializeCall, { stateEpoch, startOffset }, local)
  }

  read(key: ShareKey, leaderEpoch: LeaderEpoch): Promise<StateRead> {
    return this.#perform(key, readCall, leaderEpoch, () => this.#deps.local.read(key, leaderEpoch))
  }

  write(key: ShareKey, write: StateWrite): Promise<StateOutcome> {
    return this.#perform(key, writeCall, write, () => this.#deps.local.write(key, write))
  }

  delete(key: ShareKey): Promise<StateOutcome> {
    return this.#perform(key, deleteCall, null, () => this.#deps.local.delete(key))
  }

  readSummary(key: ShareKey, leaderEpoch: LeaderEpoch): Promise<StateSummary> {
    return this.#perform(key, summaryCall, leaderEpoch, () => this.#deps.local.readSummary(key, leaderEpoch))
  }

  close(): void {
    this.#isClosed = true
    for (const lane of this.#lanes.values()) lane.close()
    this.#lanes.clear()
  }

  async #perform<Argument, Outcome extends StateOutcome>(
    key: ShareKey,
    call: StateCall<Argument, Outcome>,
    argument: Argument,
    local: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const { clock, timers } = this.#deps
    const endMs = clock.monotonicMs() + TRY_FOR_MS
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      const outcome = await this.#tryOnce(key, call, argument, local)
      if (this.#isClosed || !mayPass(outcome.errorCode) || clock.monotonicMs() + pauseMs >= endMs) return outcome
      await new Promise<void>((resolve) => timers.setTimer(pauseMs, resolve))
    }
  }

  async #tryOnce<Argument, Outcome extends StateOutcome>(
    key: ShareKey,
    call: StateCall<Argument, Outcome>,
    argument: Argument,
    local: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const { nodeId, open } = this.#deps
    const partition = this.#deps.local.partitionFor(key)
    if (partition === null) return call.failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const topic = this.#deps.metadata().topics.get(SHARE_GROUP_STATE_TOPIC)
    if (topic === undefined) {
      if (call.absent !== null) return call.absent
      await this.#create()
      return call.failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    }
    const leader = topic.partitions[partition]?.leader ?? -1
    if (leader === nodeId) return local()
    if (leader < 0 || open === null || this.#isClosed) return call.failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return this.#laneOf(partition, open).send(leader, call, key, argument)
  }

  async #create(): Promise<void> {
    this.#creating ??= this.#deps.ensureTopic().finally(() => {
      this.#creating = null
    })
    await this.#creating
  }

  #laneOf(partition: number, open: OpenConnection): StateLane {
    let lane = this.#lanes.get(partition)
    if (lane === undefined) {
      lane = new StateLane(open, this.#deps.timers)
      this.#lanes.set(partition, lane)
    }
    return lane
  }
}

/** The coordinator moves, loads, or cannot be reached: all of that may be over soon. */
function mayPass(errorCode: number): boolean {
  switch (errorCode) {
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode.NOT_COORDINATOR:
    case ErrorCode.NETWORK_EXCEPTION:
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      return true
    default:
      return false
  }
}
