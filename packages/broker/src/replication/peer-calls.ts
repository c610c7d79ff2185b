import type { Timer, Timers } from '@millrace/base'
import type { ApiDefinition } from '@millrace/protocol'
import { type BrokerConnection, BrokerConnectionError } from './broker-connection.ts'
import type { BrokerConnections } from './broker-connections.ts'

/** A connection that nobody has used for so long is closed. */
const IDLE_MS = 60_000

/** One line to a broker: calls go over it one after the other. */
class PeerLine {
  connection: BrokerConnection | null = null
  /** Settles when all calls so far have ended. */
  last: Promise<unknown> = Promise.resolve()
  callCount = 0
  idleTimer: Timer | null = null
}

/**
 * Requests of this broker to others, beside replication: what coordinators and leaders of partitions have to tell each other. Connections
 * are opened when they are needed, kept while they are used, and opened anew by the next call after a failure.
 */
export class PeerCalls {
  readonly #connections: Pick<BrokerConnections, 'open'>
  readonly #timers: Timers
  readonly #lines = new Map<string, PeerLine>()
  #isClosed = false

  constructor(connections: Pick<BrokerConnections, 'open'>, timers: Timers) {
    this.#connections = connections
    this.#timers = timers
  }

  /**
   * Calls a broker. Calls of one `purpose` wait for each other, others do not. `read` makes of the answer what is wanted of it, before its
   * buffer is used again. Rejects with `BrokerConnectionError`.
   */
  call<Request, Response, Result>(
    brokerId: number,
    purpose: string,
    api: ApiDefinition<Request, Response>,
    request: Request,
    timeoutMs: number,
    read: (response: Response) => Result,
  ): Promise<Result> {
    const key = `${brokerId}/${purpose}`
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = new PeerLine()
      this.#lines.set(key, line)
    }
    line.idleTimer?.cancel()
    line.idleTimer = null
    line.callCount++
    const result = line.last.then(() => this.#call(line, brokerId, api, request, timeoutMs, read))
    const ended = (): void => this.#onEnded(key, line)
    line.last = result.then(ended, ended)
    return result
  }

  /** What is under way is rejected, and so is every later call. */
  close(): void {
    this.#isClosed = true
    for (const line of this.#lines.values()) {
      line.idleTimer?.cancel()
      line.connection?.close()
    }
    this.#lines.clear()
  }

  async #call<Request, Response, Result>(
    line: PeerLine,
    brokerId: number,
    api: ApiDefinition<Request, Response>,
    request: Request,
    timeoutMs: number,
    read: (response: Response) => Result,
  ): Promise<Result> {
    if (this.#isClosed) throw new BrokerConnectionError('this broker stops')
    if (line.connection === null || line.connection.isClosed) {
      line.connection = await this.#connections.open(brokerId, timeoutMs)
    }
    const { connection } = line
    if (this.#isClosed) {
      connection.close()
      throw new BrokerConnectionError('this broker stops')
    }
    return read(await connection.call(api, request, timeoutMs))
  }

  #onEnded(key: string, line: PeerLine): void {
    line.callCount--
    if (line.callCount > 0 || this.#isClosed) return
    line.idleTimer = this.#timers.setTimer(IDLE_MS, () => {
      line.connection?.close()
      this.#lines.delete(key)
    })
  }
}
