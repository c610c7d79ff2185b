import type { Offset } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { DeliveryState } from '../../coordinator/share/share-state.ts'
import type { FailureReason, RecordRange } from './record-range.ts'
import type { ShareWindow } from './share-window.ts'

/** What a member says of a record (KIP-932; RENEW: KIP-1222). GAP: there is none at the offset. */
export const AcknowledgeType = { GAP: 0, ACCEPT: 1, RELEASE: 2, REJECT: 3, RENEW: 4 } as const

/** Ranges are cut one by one for so many runs at most. */
const MAX_SINGLE_CUTS = 16

/** As a client sends it: both ends included, one type for all or one for each offset. */
export interface AcknowledgementBatch {
  readonly firstOffset: number | bigint
  readonly lastOffset: number | bigint
  readonly acknowledgeTypes: readonly number[]
}

export interface AcknowledgeRequest {
  readonly memberId: string
  readonly batches: readonly AcknowledgementBatch[]
  /** Whether the group allows holds to be renewed. */
  readonly allowsRenewal: boolean
  readonly nowMs: number
}

/** Records of a request that the same is said of: `[startOffset, endOffset)`. */
interface Run {
  readonly startOffset: Offset
  readonly endOffset: Offset
  readonly type: number
}

/** How an acknowledgement was taken. */
export interface Acknowledged {
  readonly errorCode: number
  /** Ranges that count once they are stored; whoever sent it is answered then. */
  readonly moved: readonly RecordRange[]
}

/**
 * Why the batches cannot be an acknowledgement, whatever the records are, or 0. `maxType`: the last type that the request may have;
 * renewals need `isRenewal` to be said of the request.
 */
export function checkAcknowledgements(
  batches: readonly AcknowledgementBatch[],
  maxType: number,
  isRenewal: boolean,
): number {
  let previousLast = -1
  for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
    if (typeof firstOffset !== 'number' || typeof lastOffset !== 'number') return ErrorCode.INVALID_REQUEST
    if (firstOffset < 0 || firstOffset > lastOffset || firstOffset < previousLast) return ErrorCode.INVALID_REQUEST
    const isOneEach = acknowledgeTypes.length === lastOffset - firstOffset + 1
    if (acknowledgeTypes.length !== 1 && !isOneEach) return ErrorCode.INVALID_REQUEST
    for (const type of acknowledgeTypes) {
      if (type < 0 || type > maxType) return ErrorCode.INVALID_REQUEST
      if (type === AcknowledgeType.RENEW && !isRenewal) return ErrorCode.INVALID_REQUEST
    }
    previousLast = lastOffset
  }
  return ErrorCode.NONE
}

/**
 * Takes the acknowledgement of a member: all of it, or nothing and the error of what cannot be taken (`coordinators.md`, 4.3). The batches
 * have passed {@link checkAcknowledgements}. What lies below the window is finished and passed over.
 */
export function acknowledge(window: ShareWindow, request: AcknowledgeRequest): Acknowledged {
  const runs = runsOf(request.batches, window.startOffset)
  let checkedEnd = -1
  for (const run of runs) {
    // A record of which two things are said at once is in transition by the first.
    const errorCode = run.startOffset < checkedEnd ? ErrorCode.INVALID_RECORD_STATE : complaintOf(window, run, request)
    if (errorCode !== ErrorCode.NONE) return { errorCode, moved: [] }
    checkedEnd = run.endOffset
  }
  if (runs.length > MAX_SINGLE_CUTS)
    window.splitAll(runs.flatMap(({ startOffset, endOffset }) => [startOffset, endOffset]))
  const moved: RecordRange[] = []
  for (const run of runs) applyRun(window, run, request.nowMs, moved)
  return { errorCode: ErrorCode.NONE, moved }
}

/** Neighbours of one type are one run. */
function runsOf(batches: readonly AcknowledgementBatch[], windowStart: Offset): Run[] {
  const runs: Run[] = []
  for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
    const first = firstOffset as Offset
    const end = (lastOffset as Offset) + 1
    if (end <= windowStart) continue
    if (acknowledgeTypes.length === 1) {
      runs.push({ startOffset: Math.max(first, windowStart), endOffset: end, type: acknowledgeTypes[0]! })
      continue
    }
    let start = Math.max(first, windowStart)
    for (let offset = start + 1; offset <= end; offset++) {
      const type = acknowledgeTypes[start - first]!
      if (offset < end && acknowledgeTypes[offset - first] === type) continue
      runs.push({ startOffset: start, endOffset: offset, type })
      start = offset
    }
  }
  return runs
}

function complaintOf(window: ShareWindow, run: Run, { memberId, allowsRenewal }: AcknowledgeRequest): number {
  if (run.startOffset >= window.endOffset) return ErrorCode.INVALID_RECORD_STATE
  if (run.endOffset > window.endOffset) return ErrorCode.INVALID_REQUEST
  if (run.type === AcknowledgeType.RENEW && !allowsRenewal) return ErrorCode.INVALID_RECORD_STATE
  const { ranges } = window
  for (let slot = ranges.slotOf(run.startOffset); slot < ranges.length; slot++) {
    const range = ranges.at(slot)
    if (range.startOffset >= run.endOffset) break
    const isHeld = range.state === DeliveryState.ACQUIRED && range.memberId === memberId
    if (!isHeld || range.transition !== null) return ErrorCode.INVALID_RECORD_STATE
  }
  return ErrorCode.NONE
}

function applyRun(window: ShareWindow, run: Run, nowMs: number, moved: RecordRange[]): void {
  const { ranges } = window
  for (let slot = ranges.slotOf(run.startOffset); slot < ranges.length; slot++) {
    let range = ranges.at(slot)
    if (range.startOffset >= run.endOffset) break
    if (range.startOffset < run.startOffset) {
      range = window.splitAt(slot, run.startOffset)
      slot++
    }
    if (range.endOffset > run.endOffset) window.splitAt(slot, run.endOffset)
    if (run.type === AcknowledgeType.RENEW) {
      window.renew(range, nowMs)
      continue
    }
    window.move(range, stateAfter(window, range, run.type), reasonOf(run.type))
    moved.push(range)
  }
}

/** What it fails for, if it does. */
function reasonOf(type: number): FailureReason | null {
  if (type === AcknowledgeType.REJECT) return 'rejected'
  return type === AcknowledgeType.RELEASE ? 'delivery-limit' : null
}

function stateAfter(window: ShareWindow, range: RecordRange, type: number): DeliveryState {
  switch (type) {
    case AcknowledgeType.ACCEPT:
      return DeliveryState.ACKNOWLEDGED
    case AcknowledgeType.RELEASE:
      return window.failedState(range)
    case AcknowledgeType.REJECT:
      return window.failureState
    default:
      // Nothing is there that a dead letter could be written for.
      return DeliveryState.ARCHIVED
  }
}
