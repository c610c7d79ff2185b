import type { Offset, Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Coordinator, RecordPosition } from '../runtime/coordinator.ts'
import type { Step } from '../runtime/step.ts'
import { type Timeline, TimelineMap, type ValueTally } from '../runtime/timeline.ts'
import { mergeStateBatches } from './merge-state-batches.ts'
import type { ShareRecord } from './share-record.ts'
import {
  emptySummary,
  failedRead,
  type ShareKey,
  type ShareState,
  type ShareUpdate,
  type StateOutcome,
  type StateRead,
  type StateSummary,
  type StateWrite,
  shareKeyText,
} from './share-state.ts'

/** A share partition whose last snapshot is older gets a new one, so that the log can be cut behind it (Kafka's default). */
const COLD_SNAPSHOT_INTERVAL_MS = 300_000
const COLD_SNAPSHOTS_KEY = 'cold-snapshots'
const TOPIC_DELETION_KEY = 'topic-deletion'
/** Share partitions that are looked at in one step. */
const SLICE_PARTITIONS = 100
const SLICE_DELAY_MS = 5

/** What a timer of the machine is for. */
export type ShareEvent = { readonly type: 'cold-snapshots-due' } | { readonly type: 'topic-deletion-goes-on' }

/** The share coordinator writes without parking requests: nothing is answered by token. */
type ShareReply = never
export type ShareStep = Step<ShareRecord, ShareEvent, ShareReply>

/** A share partition with what is kept about its records. */
export interface StoredShare {
  readonly key: ShareKey
  readonly state: ShareState
  /** Updates since the last snapshot. */
  readonly updateCount: number
  /** Where its last snapshot stands in the log: everything of it before that is of no use. */
  readonly snapshotOffset: Offset
  /** Highest epochs seen, which fence what is older, also after a new initialisation. */
  readonly fencingLeaderEpoch: number
  readonly fencingStateEpoch: number
}

/** What the machine needs to know of the world. */
export interface ShareMachineContext {
  /** `share.coordinator.snapshot.update.records.per.snapshot`. */
  readonly updatesPerSnapshot: number
  /** The newest metadata. */
  metadata(): MetadataImage
  /** Whether one more share partition may be kept. */
  hasRoom(): boolean
}

const NO_ERROR: StateOutcome = { errorCode: ErrorCode.NONE, errorMessage: null }

/**
 * The state machine of one partition of `__share_group_state` (KIP-932; `coordinators.md`, 4.5): which records of a share partition are
 * finished, and how often others were delivered. Every operation takes a step, so that its answer waits for what was written before it.
 */
export class ShareMachine implements Coordinator<ShareRecord, ShareEvent, ShareReply> {
  readonly #context: ShareMachineContext
  readonly #shares: TimelineMap<string, StoredShare>
  /** Of the last record applied, committed or not. */
  #lastOffset: Offset = -1
  /** Of this round of snapshots, still to be looked at. */
  #toSnapshot: string[] = []
  /** Of topics that were deleted, still to be deleted here. */
  #toDelete: string[] = []

  constructor(context: ShareMachineContext, timeline: Timeline, tally: ValueTally<StoredShare> | null = null) {
    this.#context = context
    this.#shares = new TimelineMap(timeline, tally)
  }

  initialize(key: ShareKey, stateEpoch: number, startOffset: Offset, step: ShareStep): StateOutcome {
    const stored = this.#shares.get(shareKeyText(key))
    if (stored !== undefined && stateEpoch !== -1 && stored.fencingStateEpoch > stateEpoch) {
      return failure(ErrorCode.FENCED_STATE_EPOCH)
    }
    if (!this.#isKnown(key)) return failure(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    // Asked for once more, perhaps late and by a coordinator that was replaced: what was consumed since must not be taken back.
    if (startOffset === -1 && stateEpoch !== -1 && stored?.state.stateEpoch === stateEpoch) return NO_ERROR
    if (stored === undefined && !this.#context.hasRoom()) {
      return failure(ErrorCode.COORDINATOR_NOT_AVAILABLE, 'share.coordinator.max.partitions are in use')
    }
    const value: ShareState = {
      snapshotEpoch: stored === undefined ? 0 : stored.state.snapshotEpoch + 1,
      stateEpoch,
      leaderEpoch: -1,
      startOffset,
      deliveryCompleteCount: startOffset === -1 ? -1 : 0,
      createTimestampMs: step.nowMs,
      writeTimestampMs: step.nowMs,
      stateBatches: [],
    }
    step.write({ type: 'share-snapshot', key, value })
    return NO_ERROR
  }

  read(key: ShareKey, leaderEpoch: number, step: ShareStep): StateRead {
    const stored = this.#shares.get(shareKeyText(key))
    if (stored === undefined) return failedRead(ErrorCode.INVALID_REQUEST, 'the share partition has no state to read')
    if (leaderEpoch !== -1 && stored.fencingLeaderEpoch > leaderEpoch) return failedRead(ErrorCode.FENCED_LEADER_EPOCH)
    if (!this.#isKnown(key)) return failedRead(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const { stateEpoch, startOffset, stateBatches, deliveryCompleteCount } = stored.state
    if (leaderEpoch !== -1 && stored.fencingLeaderEpoch !== leaderEpoch) {
      this.#change(stored, { leaderEpoch, startOffset, deliveryCompleteCount, stateBatches: [] }, step)
    }
    return { ...NO_ERROR, stateEpoch, startOffset, stateBatches }
  }

  write(key: ShareKey, write: StateWrite, step: ShareStep): StateOutcome {
    const stored = this.#shares.get(shareKeyText(key))
    if (stored === undefined) {
      return failure(ErrorCode.INVALID_REQUEST, 'the share partition has no state to be written to')
    }
    const { leaderEpoch, stateEpoch } = write
    if (leaderEpoch !== -1 && stored.fencingLeaderEpoch > leaderEpoch) return failure(ErrorCode.FENCED_LEADER_EPOCH)
    // Kafka lets higher ones pass. Only a leader can have one that served a group which was deleted and made anew since.
    if (stateEpoch !== -1 && stored.fencingStateEpoch !== stateEpoch) return failure(ErrorCode.FENCED_STATE_EPOCH)
    if (!this.#isKnown(key)) return failure(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    this.#change(stored, { ...write, leaderEpoch: stored.state.leaderEpoch }, step)
    return NO_ERROR
  }

  delete(key: ShareKey, step: ShareStep): StateOutcome {
    // Also of a topic that is gone: whoever deletes must come to an end.
    if (this.#shares.has(shareKeyText(key))) step.write({ type: 'share-snapshot', key, value: null })
    return NO_ERROR
  }

  readSummary(key: ShareKey): StateSummary {
    if (!this.#isKnown(key)) return emptySummary(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const stored = this.#shares.get(shareKeyText(key))
    if (stored === undefined) return emptySummary(ErrorCode.NONE)
    const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = stored.state
    return { ...NO_ERROR, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount }
  }

  /** The state of deleted topics goes, some share partitions a step. */
  onTopicsDeleted(topicIds: ReadonlySet<Uuid>, step: ShareStep): void {
    for (const [text, { key }] of this.#shares.entries()) if (topicIds.has(key.topicId)) this.#toDelete.push(text)
    this.#deleteSome(step)
  }

  /** Everything before is of no use any more: where the oldest of the last snapshots stands, as of the last commit. Null: unknown. */
  redundantBefore(): Offset | null {
    let offset = Number.POSITIVE_INFINITY
    for (const [, { snapshotOffset }] of this.#shares.committedEntries()) offset = Math.min(offset, snapshotOffset)
    return Number.isFinite(offset) ? offset : null
  }

  apply(record: ShareRecord, position: RecordPosition): void {
    this.#lastOffset = position.offset
    const text = shareKeyText(record.key)
    const stored = this.#shares.get(text)
    if (record.type === 'share-snapshot' && record.value === null) {
      this.#shares.delete(text)
      return
    }
    const base = stored ?? unwritten(record.key, position.offset)
    const next =
      record.type === 'share-snapshot'
        ? { ...base, state: record.value!, updateCount: 0, snapshotOffset: position.offset }
        : { ...base, state: updated(base.state, record.value), updateCount: base.updateCount + 1 }
    this.#shares.set(text, {
      ...next,
      fencingLeaderEpoch: Math.max(next.fencingLeaderEpoch, next.state.leaderEpoch),
      fencingStateEpoch: Math.max(next.fencingStateEpoch, next.state.stateEpoch),
    })
  }

  endTransaction(): void {
    // Nobody writes here in transactions.
  }

  onLoaded(step: ShareStep): void {
    this.#scheduleSnapshots(step)
    const { topicsById } = this.#context.metadata()
    const gone = new Set<Uuid>()
    for (const { key } of this.#shares.values()) if (!topicsById.has(key.topicId)) gone.add(key.topicId)
    // Deleted while nobody led this partition.
    if (gone.size > 0) this.onTopicsDeleted(gone, step)
  }

  onUnloaded(): void {
    // Nobody is parked here.
  }

  onTimer(event: ShareEvent, step: ShareStep): void {
    if (event.type === 'topic-deletion-goes-on') this.#deleteSome(step)
    else this.#snapshotSome(step)
  }

  onWriteDone(): void {
    // No step has a continuation.
  }

  #isKnown({ topicId, partition }: ShareKey): boolean {
    return partition >= 0 && this.#context.metadata().topicsById.get(topicId)?.partitions[partition] !== undefined
  }

  /** A snapshot after so many updates, else an update. */
  #change({ key, state, updateCount }: StoredShare, change: Omit<ShareUpdate, 'snapshotEpoch'>, step: ShareStep): void {
    if (updateCount < this.#context.updatesPerSnapshot) {
      const stateBatches = mergeStateBatches([], change.stateBatches, change.startOffset)
      const value = { ...change, stateBatches, snapshotEpoch: state.snapshotEpoch }
      step.write({ type: 'share-update', key, value })
      return
    }
    const value: ShareState = {
      ...updated(state, { ...change, snapshotEpoch: state.snapshotEpoch }),
      snapshotEpoch: state.snapshotEpoch + 1,
      createTimestampMs: step.nowMs,
      writeTimestampMs: step.nowMs,
    }
    step.write({ type: 'share-snapshot', key, value })
  }

  #snapshotSome(step: ShareStep): void {
    step.splittable = true
    if (this.#toSnapshot.length === 0) this.#toSnapshot = [...this.#shares.keys()]
    for (let count = 0; count < SLICE_PARTITIONS; count++) {
      const text = this.#toSnapshot.pop()
      if (text === undefined) break
      const stored = this.#shares.get(text)
      if (stored === undefined || !this.#holdsLogBack(stored, step.nowMs)) continue
      const { state, key } = stored
      const value = { ...state, snapshotEpoch: state.snapshotEpoch + 1, writeTimestampMs: step.nowMs }
      step.write({ type: 'share-snapshot', key, value })
    }
    if (this.#toSnapshot.length === 0) this.#scheduleSnapshots(step)
    else step.schedule(COLD_SNAPSHOTS_KEY, SLICE_DELAY_MS, { type: 'cold-snapshots-due' }, SLICE_DELAY_MS)
  }

  /**
   * Its last snapshot is old, and a good part of what follows it in the log is of no use any more. That a quiet system writes nothing is
   * why age alone is not enough.
   */
  #holdsLogBack({ state, snapshotOffset }: StoredShare, nowMs: number): boolean {
    if (nowMs - state.writeTimestampMs < COLD_SNAPSHOT_INTERVAL_MS) return false
    return this.#lastOffset - snapshotOffset > 2 * this.#shares.size + this.#context.updatesPerSnapshot
  }

  #scheduleSnapshots(step: ShareStep): void {
    const delayMs = COLD_SNAPSHOT_INTERVAL_MS
    step.schedule(COLD_SNAPSHOTS_KEY, delayMs, { type: 'cold-snapshots-due' }, delayMs)
  }

  #deleteSome(step: ShareStep): void {
    step.splittable = true
    const { topicsById } = this.#context.metadata()
    for (let count = 0; count < SLICE_PARTITIONS; count++) {
      const text = this.#toDelete.pop()
      if (text === undefined) break
      const stored = this.#shares.get(text)
      if (stored === undefined || topicsById.has(stored.key.topicId)) continue
      step.write({ type: 'share-snapshot', key: stored.key, value: null })
    }
    // What could not be written is found again at the next load; until then nobody asks for it.
    if (this.#toDelete.length === 0) return
    step.schedule(TOPIC_DELETION_KEY, SLICE_DELAY_MS, { type: 'topic-deletion-goes-on' }, SLICE_DELAY_MS)
  }
}

function failure(errorCode: number, errorMessage: string | null = null): StateOutcome {
  return { errorCode, errorMessage }
}

/** An update whose snapshot the log has no more: it begins where the update says. */
function unwritten(key: ShareKey, offset: Offset): StoredShare {
  const state: ShareState = {
    snapshotEpoch: 0,
    stateEpoch: 0,
    leaderEpoch: -1,
    startOffset: -1,
    deliveryCompleteCount: -1,
    createTimestampMs: 0,
    writeTimestampMs: 0,
    stateBatches: [],
  }
  const fences = { fencingLeaderEpoch: -1, fencingStateEpoch: -1 }
  return { key, state, updateCount: 0, snapshotOffset: offset, ...fences }
}

function updated(state: ShareState, update: ShareUpdate): ShareState {
  const startOffset = update.startOffset === -1 ? state.startOffset : update.startOffset
  return {
    ...state,
    startOffset,
    leaderEpoch: update.leaderEpoch === -1 ? state.leaderEpoch : update.leaderEpoch,
    deliveryCompleteCount: update.deliveryCompleteCount,
    stateBatches: mergeStateBatches(state.stateBatches, update.stateBatches, startOffset),
  }
}
