import type { Timer, Timers } from '@millrace/base'
import type { ApiDefinition } from '@millrace/protocol'
import type { BrokerConnection } from '../../replication/broker-connection.ts'

/** A connection that nobody has used for so long is closed. */
const IDLE_MS = 30_000
const CONNECT_TIMEOUT_MS = 5000

/** Opens a connection to another broker. Rejects with `BrokerConnectionError`. */
export type OpenConnection = (brokerId: number, timeoutMs: number) => Promise<BrokerConnection>

/**
 * Requests to another broker, one after the other, over a connection that is opened when it is needed. The broker may become another
 * one: then the next request goes there.
 */
export class BrokerLane {
  readonly #open: OpenConnection
  readonly #timers: Timers
  #connection: BrokerConnection | null = null
  #connectedTo = -1
  #idleTimer: Timer | null = null
  #isClosed = false

  constructor(open: OpenConnection, timers: Timers) {
    this.#open = open
    this.#timers = timers
  }

  /** The request before must have ended. Rejects with `BrokerConnectionError`. */
  async call<Request, Response>(
    brokerId: number,
    api: ApiDefinition<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    this.#idleTimer?.cancel()
    if (brokerId !== this.#connectedTo) this.#disconnect()
    if (this.#connection === null || this.#connection.isClosed) {
      this.#connectedTo = brokerId
      this.#connection = await this.#open(brokerId, CONNECT_TIMEOUT_MS)
      if (this.#isClosed) this.#connection.close()
    }
    try {
      return await this.#connection.call(api, request, timeoutMs)
    } finally {
      if (!this.#isClosed) this.#idleTimer = this.#timers.setTimer(IDLE_MS, () => this.#disconnect())
    }
  }

  close(): void {
    this.#isClosed = true
    this.#idleTimer?.cancel()
    this.#disconnect()
  }

  #disconnect(): void {
    this.#connection?.close()
    this.#connection = null
    this.#connectedTo = -1
  }
}
