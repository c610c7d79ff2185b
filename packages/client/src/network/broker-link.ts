import { ClientClosedError, type ConnectionError, TimeoutError } from '../errors/client-errors.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import { Backoff } from '../retry/backoff.ts'
import type { Api, RequestMessage } from './api.ts'
import type { ApiVersionsTable } from './api-versions-table.ts'
import { type Answer, Connection, type ConnectionOptions, type RequestOptions } from './connection.ts'
import type { BrokerAddress } from './transport.ts'

export interface LinkOptions extends ConnectionOptions {
  reconnectBackoffMs: number
  reconnectBackoffMaxMs: number
  /** More requests than that wait for an answer before they are written. */
  maxInFlightRequestsPerConnection: number
}

/** Runs on a fresh connection before anything else: version negotiation, and authentication where it is asked for. */
export type Handshake = (connection: Connection) => Promise<ApiVersionsTable>

/**
 * The way to one broker for one purpose: at most one live connection, made when needed and made anew after a pause that doubles with
 * each failure. Requests that come while there is none wait for it, within their own time limit.
 */
export class BrokerLink {
  readonly #ports: ClientPorts
  readonly #options: LinkOptions
  readonly #handshake: Handshake
  readonly #onLost: (error: ConnectionError) => void
  readonly #backoff: Backoff
  #address: BrokerAddress
  #connection: Connection | null = null
  #opening: Promise<Connection> | null = null
  #retryAtMs = 0
  #lastError: unknown = null
  /** Why there are no more connections; null while there may be. */
  #closedBy: Error | null = null
  readonly #sleepers = new Set<() => void>()

  /** `onLost` hears of every connection that failed or broke, so that metadata can be asked for again. */
  constructor(
    address: BrokerAddress,
    ports: ClientPorts,
    options: LinkOptions,
    handshake: Handshake,
    onLost: (error: ConnectionError) => void,
  ) {
    this.#address = address
    this.#ports = ports
    this.#options = options
    this.#handshake = handshake
    this.#onLost = onLost
    this.#backoff = new Backoff(options.reconnectBackoffMs, options.reconnectBackoffMaxMs, ports.random)
  }

  get address(): BrokerAddress {
    return this.#address
  }

  /** The broker moved: the next connection goes there, at once. The present one, if it works, is kept until it breaks. */
  moveTo(address: BrokerAddress): void {
    if (address.host === this.#address.host && address.port === this.#address.port) return
    this.#address = address
    this.#retryAtMs = 0
    this.#backoff.reset()
  }

  /** The connection if it can take a request now, else null. For callers that must not wait, since waiting could reorder. */
  get readyConnection(): Connection | null {
    const connection = this.#connection
    if (connection === null || !connection.isReady) return null
    if (connection.throttledUntilMs > this.#ports.clock.monotonicMs()) return null
    return connection
  }

  /** Milliseconds until {@link connect} would try again or a throttled connection may be used; 0 when now. */
  get delayMs(): number {
    const nowMs = this.#ports.clock.monotonicMs()
    const untilMs = this.#connection?.isReady ? this.#connection.throttledUntilMs : this.#retryAtMs
    return Math.max(0, untilMs - nowMs)
  }

  /** Whether the last attempt failed and the pause after it is not over: other brokers are a better choice. */
  get isBackingOff(): boolean {
    return this.#connection === null && this.#retryAtMs > this.#ports.clock.monotonicMs()
  }

  get inFlightCount(): number {
    return this.#connection?.inFlightCount ?? 0
  }

  /** The ready connection, made if need be. While the pause after a failure lasts, rejects at once with that failure. */
  connect(): Promise<Connection> {
    if (this.#closedBy !== null) return Promise.reject(this.#closedBy)
    if (this.#connection?.isReady) return Promise.resolve(this.#connection)
    if (this.#opening !== null) return this.#opening
    // The failure is still the state of things; the next attempt is made after the pause.
    if (this.isBackingOff) return Promise.reject(this.#lastError)
    this.#opening = this.#open()
    return this.#opening
  }

  /**
   * Sends a request, connecting and waiting as needed within `timeoutMs`, which counts for the answer alone once it was written.
   * Rejects with {@link ConnectionError}, {@link TimeoutError} or `UnsupportedVersionError`.
   */
  async request<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options: RequestOptions,
  ): Promise<Answer<Response>> {
    const deadlineMs = this.#ports.clock.monotonicMs() + options.timeoutMs
    for (;;) {
      const connection = await this.#usable(api, deadlineMs, options.timeoutMs)
      if (connection === null) continue
      // Looked at and used in one step, or all who waited for the connection would find it empty.
      if (connection.inFlightCount < this.#options.maxInFlightRequestsPerConnection) {
        return connection.request(api, message, options)
      }
      await connection.room()
      // The place goes to the next in line: one wake-up comes per answer, and there may be no further answer.
      if (this.#ports.clock.monotonicMs() >= deadlineMs) connection.passRoomOn()
    }
  }

  /** Closes the connection if nothing used it for `idleMs`. */
  closeIfIdle(idleMs: number): void {
    const connection = this.#connection
    if (connection === null || connection.inFlightCount > 0) return
    if (this.#ports.clock.monotonicMs() - connection.lastUsedMs >= idleMs) connection.close()
  }

  /** No more connections. What is pending is rejected with a retriable {@link ConnectionError}, what comes later with `reason`. */
  close(reason: Error = new ClientClosedError('connection')): void {
    this.#closedBy ??= reason
    this.#connection?.close()
    this.#connection = null
    for (const wake of this.#sleepers) wake()
  }

  /** The connection, or null after a pause that something asked for. */
  async #usable(api: Api<never, unknown>, deadlineMs: number, timeoutMs: number): Promise<Connection | null> {
    if (this.#closedBy !== null) throw this.#closedBy
    const nowMs = this.#ports.clock.monotonicMs()
    if (nowMs >= deadlineMs) throw new TimeoutError(`${api.name} could not be sent within ${timeoutMs} ms`, timeoutMs)
    const delayMs = this.delayMs
    if (delayMs > 0) {
      await this.#sleep(Math.min(delayMs, deadlineMs - nowMs))
      return null
    }
    return this.#connection?.isReady === true
      ? this.#connection
      : this.#connectWithin(api, deadlineMs - nowMs, timeoutMs)
  }

  /** {@link connect} for one request, whose limit may be shorter than that of setting up a connection. */
  #connectWithin(api: Api<never, unknown>, leftMs: number, timeoutMs: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const limit = this.#ports.timers.setTimer(leftMs, () => {
        reject(new TimeoutError(`${api.name} could not be sent within ${timeoutMs} ms`, timeoutMs))
      })
      this.connect()
        .finally(() => limit.cancel())
        .then(resolve, reject)
    })
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel()
        this.#sleepers.delete(wake)
        resolve()
      }
      const timer = this.#ports.timers.setTimer(delayMs, wake)
      this.#sleepers.add(wake)
    })
  }

  async #open(): Promise<Connection> {
    const connection = new Connection(this.#address, this.#ports, this.#options, (error) => {
      if (this.#connection === connection) this.#connection = null
      if (error !== null && this.#closedBy === null) this.#onLost(error)
    })
    this.#connection = connection
    try {
      await connection.open(this.#handshake)
      this.#backoff.reset()
      return connection
    } catch (error) {
      if (this.#connection === connection) this.#connection = null
      this.#lastError = error
      this.#retryAtMs = this.#ports.clock.monotonicMs() + this.#backoff.nextMs()
      throw error
    } finally {
      this.#opening = null
    }
  }
}
