import type { Offset } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { LatestOffsets } from '../group/share/share-groups.ts'
import {
  emptySummary,
  failedRead,
  type ShareKey,
  type ShareStateStore,
  type StateOutcome,
  type StateRead,
  type StateSummary,
  shareKeyText,
} from '../share/share-state.ts'

interface RecordedState {
  readonly stateEpoch: number
  readonly startOffset: Offset
}

const END_OFFSET = 100

/** The states of share partitions as plain values: what a share coordinator was told, with its faults. Partitions end at 100. */
export class RecordedStates implements ShareStateStore, LatestOffsets {
  /** Of every operation. */
  errorCode = 0
  /** The operations on this key fail. */
  failingKey: string | null = null
  /** Operations never end, and do nothing. */
  isSilent = false
  readonly #states = new Map<string, RecordedState>()

  keys(): string[] {
    return [...this.#states.keys()].sort()
  }

  stateOf(key: string): RecordedState | undefined {
    return this.#states.get(key)
  }

  initialize(key: ShareKey, stateEpoch: number, startOffset: Offset): Promise<StateOutcome> {
    const known = this.#states.get(shareKeyText(key))
    if (known !== undefined && known.stateEpoch > stateEpoch) {
      return Promise.resolve({ errorCode: ErrorCode.FENCED_STATE_EPOCH, errorMessage: null })
    }
    return this.#perform(key, () => this.#states.set(shareKeyText(key), { stateEpoch, startOffset }))
  }

  delete(key: ShareKey): Promise<StateOutcome> {
    return this.#perform(key, () => this.#states.delete(shareKeyText(key)))
  }

  write(key: ShareKey): Promise<StateOutcome> {
    return this.#perform(key, () => undefined)
  }

  read(): Promise<StateRead> {
    return Promise.resolve(failedRead(ErrorCode.INVALID_REQUEST))
  }

  readSummary(key: ShareKey): Promise<StateSummary> {
    const known = this.#states.get(shareKeyText(key))
    if (known === undefined) return Promise.resolve(emptySummary(ErrorCode.NONE))
    const deliveryCompleteCount = known.startOffset < 0 ? -1 : 0
    return Promise.resolve({ ...emptySummary(ErrorCode.NONE), ...known, deliveryCompleteCount })
  }

  latest(_topic: string, partitions: readonly number[]) {
    return Promise.resolve(partitions.map(() => ({ errorCode: 0, offset: END_OFFSET })))
  }

  #perform(key: ShareKey, change: () => void): Promise<StateOutcome> {
    if (this.isSilent) return new Promise(() => undefined)
    const isFailing = shareKeyText(key) === this.failingKey
    const errorCode = isFailing ? ErrorCode.COORDINATOR_NOT_AVAILABLE : this.errorCode
    if (errorCode === 0) change()
    return Promise.resolve({ errorCode, errorMessage: null })
  }
}
