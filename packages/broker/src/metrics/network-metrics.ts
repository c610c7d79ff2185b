import type { CloseReason } from '../network/connection-watch.ts'

/** Refusals of one address are logged once in this time, so that a bad client cannot fill the disk with log lines. */
const REFUSAL_LOG_INTERVAL_MS = 60_000
const MAX_LOGGED_ADDRESSES = 1_000
const MAX_API_KEY = 128

/** Counters of the request path. Plain numbers: nothing is formatted until someone asks for `/metrics`. */
export class NetworkMetrics {
  connectionsAccepted = 0
  connectionsRefused = 0
  /** By why the broker closed them. */
  readonly connectionsClosed: Record<CloseReason, number> = { idle: 0, 'stalled-frame': 0, 'unread-answers': 0 }
  requestBytes = 0
  readonly requests = new Float64Array(MAX_API_KEY)
  readonly handlerErrors = new Float64Array(MAX_API_KEY)
  /** Sum of answer times in ms, by API key. */
  readonly answerMs = new Float64Array(MAX_API_KEY)
  readonly answers = new Float64Array(MAX_API_KEY)
  /** Connections closed for what they sent, by kind. */
  readonly refusals = new Map<string, number>()
  readonly #loggedAddresses = new Map<string, number>()

  onRequest(apiKey: number, _apiVersion: number, sizeBytes: number): void {
    this.requestBytes += sizeBytes
    this.requests[apiKey]!++
  }

  onAnswered(apiKey: number, durationMs: number): void {
    this.answers[apiKey]!++
    this.answerMs[apiKey]! += durationMs
  }

  onHandlerError(apiKey: number): void {
    this.handlerErrors[apiKey]!++
  }

  onRefused(kind: string): void {
    this.refusals.set(kind, (this.refusals.get(kind) ?? 0) + 1)
  }

  /** Whether a refusal of this peer may be logged now. */
  mayLogRefusal(clientAddress: string, nowMs: number): boolean {
    const last = this.#loggedAddresses.get(clientAddress)
    if (last !== undefined && nowMs - last < REFUSAL_LOG_INTERVAL_MS) return false
    if (this.#loggedAddresses.size >= MAX_LOGGED_ADDRESSES) this.#loggedAddresses.clear()
    this.#loggedAddresses.set(clientAddress, nowMs)
    return true
  }
}
