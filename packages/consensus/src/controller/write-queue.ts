import { assert, BaseError } from '@millrace/base'
import { MetadataErrorCode } from '../metadata/controller/api-error.ts'
import type { ControllerContext, Outcome } from '../metadata/controller/context.ts'
import type { MetadataImage } from '../metadata/image.ts'
import { encodeBatch, MAX_BATCH_RECORDS } from '../metadata/record-codec.ts'
import { isMetadataRecord } from '../metadata/record-shapes.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import { applyRecords } from '../metadata/reducer.ts'
import type { Quorum } from '../quorum/quorum.ts'
import { ControllerRequestError } from './controller-errors.ts'

/** This node is not the active controller, or stopped being it. `mayBeDone`: the operation had begun and may be done or not. */
export class NotControllerError extends BaseError {
  readonly mayBeDone: boolean

  constructor(mayBeDone: boolean) {
    super('NOT_CONTROLLER', 'this node is not the active controller')
    this.mayBeDone = mayBeDone
  }
}

export interface WriteLimits {
  /** Largest entry of the log. An atomic operation that needs more is refused. */
  readonly maxEntryBytes: number
  /** Bytes that wait to be taken by the quorum, above which further operations wait to begin. */
  readonly maxOutboxBytes: number
  /** Operations that wait, to begin or for their commit, above which further ones are refused. */
  readonly maxWaiting: number
}

export const DEFAULT_WRITE_LIMITS: WriteLimits = {
  maxEntryBytes: 8 * 1024 * 1024,
  maxOutboxBytes: 8 * 1024 * 1024,
  maxWaiting: 10_000,
}

export interface Operation<Response> {
  /** Worked out against an image that holds all operations before. */
  rule(context: ControllerContext): Outcome<Response>
  /** Whether all records must be one entry; else they may be split anywhere, in order. */
  readonly atomic: boolean
  /** Monotonic milliseconds by which it must have begun. */
  readonly deadlineMs: number
}

interface QueuedOperation {
  readonly deadlineMs: number
  begin(): void
  reject(error: Error): void
}

interface Waiter {
  /** All records below must be committed. */
  readonly offset: number
  readonly wrote: boolean
  resolve(): void
  reject(error: Error): void
}

export interface WriteQueueOptions {
  readonly quorum: Pick<Quorum, 'propose'>
  /** Committed, at the moment of election. */
  readonly image: MetadataImage
  readonly limits: WriteLimits
  contextFor(image: MetadataImage): ControllerContext
  nowMs(): number
  /** An operation failed in a way that nobody planned; the controller must step down. */
  onFault(error: unknown): void
}

/**
 * The order of all that the active controller does (`controller.md`, 1.2). Each operation is worked out against a pending image that
 * holds all uncommitted ones before it; its records become entries of the log; it is answered once all records below are committed,
 * also if it wrote none, since it may have seen them. An offset here is a count of records: entries that the quorum writes for itself
 * do not count, and within one term entries are committed in the order in which they were proposed.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions
  #committed: MetadataImage
  #pending: MetadataImage
  #queued: QueuedOperation[] = []
  #waiters: Waiter[] = []
  /** Entries that the quorum has not taken yet. */
  #outbox: Buffer[] = []
  #outboxBytes = 0
  #ended = false

  constructor(options: WriteQueueOptions) {
    this.#options = options
    this.#committed = options.image
    this.#pending = options.image
  }

  /** With everything that is not committed yet. */
  get pending(): MetadataImage {
    return this.#pending
  }

  get waitingCount(): number {
    return this.#queued.length + this.#waiters.length
  }

  /** Rejects with {@link NotControllerError} or `ControllerRequestError`. */
  submit<Response>(operation: Operation<Response>): Promise<Response> {
    if (this.#ended) return Promise.reject(new NotControllerError(false))
    if (this.waitingCount >= this.#options.limits.maxWaiting) {
      return Promise.reject(timedOut('too many requests wait for the controller'))
    }
    return new Promise<Response>((resolve, reject) => {
      const begin = () => this.#begin(operation, resolve, reject)
      if (this.#queued.length === 0 && this.#hasRoom()) begin()
      else this.#queued.push({ deadlineMs: operation.deadlineMs, begin, reject })
    })
  }

  /** The committed image has moved on. */
  onCommitted(image: MetadataImage): void {
    this.#committed = image
    // Both were made of the same records: keep one of them alive.
    if (image.offset === this.#pending.offset) this.#pending = image
    const waiting = this.#waiters
    this.#waiters = waiting.filter((waiter) => waiter.offset > image.offset)
    for (const waiter of waiting) if (waiter.offset <= image.offset) waiter.resolve()
    this.poll()
  }

  /** Offers the quorum what it refused for lack of room, begins what waited, and ends what waited too long. Cheap. */
  poll(): void {
    if (this.#ended) return
    this.#propose()
    const nowMs = this.#options.nowMs()
    const late = this.#queued.filter((operation) => operation.deadlineMs <= nowMs)
    if (late.length > 0) this.#queued = this.#queued.filter((operation) => operation.deadlineMs > nowMs)
    for (const operation of late) operation.reject(timedOut('the controller did not come to it in time'))
    while (!this.#ended && this.#hasRoom()) {
      const next = this.#queued.shift()
      if (next === undefined) return
      next.begin()
    }
  }

  /** This node leads no more. What wrote nothing was certainly not done. */
  end(): void {
    this.#ended = true
    const waiters = this.#waiters
    const queued = this.#queued
    this.#waiters = []
    this.#queued = []
    this.#outbox = []
    for (const waiter of waiters) waiter.reject(new NotControllerError(waiter.wrote))
    for (const operation of queued) operation.reject(new NotControllerError(false))
  }

  #hasRoom(): boolean {
    return this.#outboxBytes < this.#options.limits.maxOutboxBytes
  }

  #begin<Response>(
    operation: Operation<Response>,
    resolve: (response: Response) => void,
    reject: (error: Error) => void,
  ): void {
    let response: Response
    let wrote: boolean
    try {
      const outcome = operation.rule(this.#options.contextFor(this.#pending))
      response = outcome.response
      wrote = outcome.records.length > 0
      const error = this.#append(outcome.records, operation.atomic)
      if (error !== null) {
        reject(error)
        return
      }
    } catch (error) {
      reject(new ControllerRequestError(MetadataErrorCode.UNKNOWN_SERVER_ERROR, 'the controller failed'))
      this.#options.onFault(error)
      return
    }
    if (this.#pending.offset <= this.#committed.offset) resolve(response)
    else this.#waiters.push({ offset: this.#pending.offset, wrote, resolve: () => resolve(response), reject })
  }

  /** Null: appended. Throws for records that contradict the image. */
  #append(records: readonly MetadataRecord[], atomic: boolean): ControllerRequestError | null {
    if (records.length === 0) return null
    // What is proposed ends every node that cannot read it: better that this one steps down.
    assert(records.every(isMetadataRecord), 'a rule made a record of an unknown form')
    const { maxEntryBytes } = this.#options.limits
    const entries: Buffer[] = []
    if (atomic) {
      const entry = encodeBatch({ baseOffset: this.#pending.offset, records })
      if (records.length > MAX_BATCH_RECORDS || entry.length > maxEntryBytes) {
        const message = `the request would write ${records.length} records of ${entry.length} bytes at once`
        return new ControllerRequestError(MetadataErrorCode.POLICY_VIOLATION, message)
      }
      entries.push(entry)
    } else {
      let baseOffset = this.#pending.offset
      for (let start = 0; start < records.length; start += RECORDS_PER_SPLIT_ENTRY) {
        const part = records.slice(start, start + RECORDS_PER_SPLIT_ENTRY)
        entries.push(encodeBatch({ baseOffset, records: part }))
        baseOffset += part.length
      }
    }
    // Throws for records that contradict the image, before any is proposed.
    this.#pending = applyRecords(this.#pending, records).image
    for (const entry of entries) {
      this.#outbox.push(entry)
      this.#outboxBytes += entry.length
    }
    this.#propose()
    return null
  }

  #propose(): void {
    let taken = 0
    for (const entry of this.#outbox) {
      // A refusal for lack of room or during a transfer passes; that it does not lead any more it will be told.
      if (typeof this.#options.quorum.propose(entry) === 'string') break
      taken++
      this.#outboxBytes -= entry.length
    }
    if (taken > 0) this.#outbox = this.#outbox.slice(taken)
  }
}

/** Records of an operation that may be split, in one entry: about half a megabyte. */
const RECORDS_PER_SPLIT_ENTRY = 2000

function timedOut(message: string): ControllerRequestError {
  return new ControllerRequestError(MetadataErrorCode.REQUEST_TIMED_OUT, message)
}
