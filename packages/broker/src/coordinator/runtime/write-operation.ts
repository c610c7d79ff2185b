/**
 * Tells how a write operation ended: 0 and the machine's response once it and all writes before it are committed, or the log's
 * error and null. Called once, possibly before the call that started the operation returns.
 */
export type Complete<Response> = (errorCode: number, response: Response | null) => void

/** A write operation whose step was taken and whose outcome is open. */
export class WriteOperation<Event> {
  readonly #complete: Complete<unknown>
  readonly #response: unknown
  readonly continuation: Event | null
  /** Versions of the state are numbered by the operations that made them. */
  readonly version: number
  /** On the monotonic clock. Later operations never have an earlier deadline. */
  readonly deadlineMs: number
  #isDone = false

  constructor(
    version: number,
    deadlineMs: number,
    continuation: Event | null,
    response: unknown,
    complete: Complete<unknown>,
  ) {
    this.version = version
    this.deadlineMs = deadlineMs
    this.continuation = continuation
    this.#response = response
    this.#complete = complete
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** Ends the operation; a second end (committed after it timed out) is ignored and gives false. */
  end(errorCode: number, beforeComplete: (continuation: Event) => void): boolean {
    if (this.#isDone) return false
    this.#isDone = true
    if (this.continuation !== null) beforeComplete(this.continuation)
    this.#complete(errorCode, errorCode === 0 ? this.#response : null)
    return true
  }
}
