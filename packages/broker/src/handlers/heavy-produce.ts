import { AssertionError } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { BatchChecks } from '../partition/batch-checks.ts'
import type { HostedTopic } from '../partition/partition-placement.ts'
import type { ProduceAppender } from '../partition/produce-appender.ts'
import type { ProduceRequestView } from './produce-request.ts'
import type { PartitionOutcome, ProduceSlot } from './produce-slot.ts'
import type { ProduceVerification } from './produce-verification.ts'

export interface HeavyProduceDeps {
  readonly appender: ProduceAppender
  readonly checks: BatchChecks
  /** Copied requests that wait for their checks (`queued.max.check.bytes`); beyond, producers are told to come back. */
  readonly maxWaitingBytes: number
  /** The topic of an entry as it is now: it may have been deleted meanwhile. */
  find(view: ProduceRequestView, at: number): HostedTopic | undefined
}

/** One request with batches whose checks take long, or that a coordinator must be asked about. */
export interface HeavyRequest {
  readonly view: ProduceRequestView
  /** All bytes of the request: its own copy. */
  readonly bytes: Buffer
  readonly slot: ProduceSlot
  readonly apiVersion: number
  readonly clientAddress: string
  readonly acksAll: boolean
  /** Positions of the entries to append, in order, and whether each is checked elsewhere. */
  readonly entries: readonly { readonly at: number; readonly isHeavy: boolean }[]
  /** What comes first; null: nothing. Never rejects. */
  readonly prepare: (() => Promise<void>) | null
  /** What the coordinator of its transaction said then; null: it was not asked. */
  readonly verification: ProduceVerification | null
  /** Why an entry cannot be appended whatever its bytes are, as things are now, or 0. */
  guard(at: number): number
  /** Appends an entry that needs no check elsewhere. Returns the error code. */
  append(outcome: PartitionOutcome, at: number): number
  /** Nothing more is appended; so many entries were not. */
  onDone(failedCount: number): void
}

/**
 * Appends requests whose batches must be expanded or compressed anew, or whose transaction must be asked for, one entry after the other,
 * while the loop goes on. Their connections
 * start nothing before they are answered, so that the order of a producer's batches stays.
 */
export class HeavyProduce {
  readonly #deps: HeavyProduceDeps
  #waitingBytes = 0

  constructor(deps: HeavyProduceDeps) {
    this.#deps = deps
  }

  /** Bytes of the requests that wait for their checks. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Whether a request of so many bytes may wait for its checks now. One may always, or the largest would never be stored. */
  hasRoom(sizeBytes: number): boolean {
    return this.#waitingBytes === 0 || this.#waitingBytes + sizeBytes <= this.#deps.maxWaitingBytes
  }

  /** Never rejects: what fails unforeseen goes to `onFailed`. */
  start(request: HeavyRequest, onFailed: (error: unknown) => void): void {
    this.#waitingBytes += request.bytes.length
    request.slot.hold()
    this.#run(request)
      .catch((error: unknown) => {
        // At a stop the checks end with the connections.
        if (!request.slot.abandoned || error instanceof AssertionError) onFailed(error)
      })
      .finally(() => {
        this.#waitingBytes -= request.bytes.length
        request.slot.onSettled()
      })
  }

  async #run(request: HeavyRequest): Promise<void> {
    const { view, slot, entries, prepare, onDone } = request
    let failedCount = entries.length
    const outcomes = entries.map(({ at }) => {
      const hosted = this.#deps.find(view, at)
      const outcome = slot.add(hosted?.name ?? view.topicName[at]!, view.topicId[at]!, view.partition[at]!)
      // Until it was its turn: the request's time may be over before.
      outcome.errorCode = ErrorCode.REQUEST_TIMED_OUT
      return outcome
    })
    try {
      if (prepare !== null) await prepare()
      for (const [slotNumber, { at, isHeavy }] of entries.entries()) {
        // Nobody waits any more: what was not appended stays so. Who wanted no answer was never waiting.
        if (slot.ready || (slot.abandoned && !slot.silent)) return
        const outcome = outcomes[slotNumber]!
        const appended = this.#append(request, at, isHeavy, outcome)
        const errorCode = typeof appended === 'number' ? appended : await appended
        if (slot.ready) return
        outcome.errorCode = errorCode
        if (errorCode !== ErrorCode.NONE) continue
        slot.appended(outcome)
        failedCount--
      }
    } finally {
      onDone(failedCount)
    }
  }

  #append(request: HeavyRequest, at: number, isHeavy: boolean, outcome: PartitionOutcome): number | Promise<number> {
    const { verification } = request
    if (verification !== null) {
      const { errorCode, text } = verification.refusal(at)
      outcome.errorMessage = text
      if (errorCode !== ErrorCode.NONE) return errorCode
      outcome.verification = verification.verificationOf(at)
    }
    return isHeavy ? this.#checkAndAppend(request, at, outcome) : request.append(outcome, at)
  }

  async #checkAndAppend(request: HeavyRequest, at: number, outcome: PartitionOutcome): Promise<number> {
    const { view, bytes, slot, apiVersion, acksAll, clientAddress, guard } = request
    const { appender, checks } = this.#deps
    const guarded = guard(at)
    if (guarded !== ErrorCode.NONE) return guarded
    const partition = this.#deps.find(view, at)!.partitions[view.partition[at]!]!
    const [start, end] = [view.recordsStart[at]!, view.recordsEnd[at]!]
    const refusal = appender.refusal(partition, bytes, start, end, acksAll)
    if (refusal !== ErrorCode.NONE) return refusal
    // A copy of its own: whoever checks it may give its memory away.
    const batch = Buffer.allocUnsafeSlow(end - start)
    bytes.copy(batch, 0, start, end)
    const validation = await checks.check(batch, appender.rulesOf(partition, apiVersion))
    // It was answered meanwhile, so that what its producer sent next may be stored: this must not come after it.
    if (slot.ready) return ErrorCode.REQUEST_TIMED_OUT
    const guardedNow = guard(at)
    if (guardedNow !== ErrorCode.NONE) return guardedNow
    // Another topic may have the name now.
    if (partition.deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    outcome.partition = partition
    return appender.appendChecked(partition, validation, end - start, acksAll, clientAddress, outcome)
  }
}
