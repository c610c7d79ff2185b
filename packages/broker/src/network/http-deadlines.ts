import type { Timer, Timers } from '@millrace/base'
import type { HttpStream } from './http-stream.ts'

/** From the connection's start, or from the last answer, to the end of the next request's headers. */
const HEADERS_TIMEOUT_MS = 10_000
/** From the end of the headers to the end of the answer. */
const REQUEST_TIMEOUT_MS = 30_000

/**
 * Closes an HTTP connection that takes too long to ask or to take its answer, so that slow ones cannot use up the connections that
 * Kafka clients need. Node's own time-outs watch only servers that listen, which ours does not.
 */
export class HttpDeadlines {
  readonly #timers: Timers
  readonly #stream: HttpStream
  #timer: Timer | null = null
  /** Requests whose answers are not complete: there are several when a client sends them ahead. */
  #openRequests = 0

  constructor(timers: Timers, stream: HttpStream) {
    this.#timers = timers
    this.#stream = stream
    this.#restart(HEADERS_TIMEOUT_MS)
    stream.once('close', () => this.#timer?.cancel())
  }

  onRequest(): void {
    this.#openRequests++
    this.#restart(REQUEST_TIMEOUT_MS)
  }

  onAnswered(): void {
    this.#openRequests--
    this.#restart(this.#openRequests > 0 ? REQUEST_TIMEOUT_MS : HEADERS_TIMEOUT_MS)
  }

  #restart(timeoutMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#stream.destroyed ? null : this.#timers.setTimer(timeoutMs, () => this.#stream.destroy())
  }
}
