import type { Timer } from '@millrace/base'
import type { AcceptedTransport, TransportEvents } from './transport.ts'

export interface EarlyConnectionOptions {
  readonly transport: AcceptedTransport
  /** Upper case name of the listener that accepted it. */
  readonly listenerName: string
  /** Ends a connection that was never served. */
  readonly idleLimit: Timer
  /** The client went, or was sent away, before anybody served it. */
  onGone(early: EarlyConnection): void
}

/**
 * A Kafka client that came while the broker starts. What was read to tell its protocol is kept, and nothing more is read: the rest waits in
 * the sockets, where it holds the client back.
 */
export class EarlyConnection implements TransportEvents {
  readonly transport: AcceptedTransport
  readonly listenerName: string
  readonly #idleLimit: Timer
  readonly #onGone: (early: EarlyConnection) => void
  #bytes = Buffer.alloc(0)
  #hasEnded = false

  constructor({ transport, listenerName, idleLimit, onGone }: EarlyConnectionOptions) {
    this.transport = transport
    this.listenerName = listenerName
    this.#idleLimit = idleLimit
    this.#onGone = onGone
  }

  /** Who serves it from now on gets what was kept, then the rest. */
  handOver(events: TransportEvents): void {
    this.#idleLimit.cancel()
    this.transport.events = events
    // Before it has any bytes: it may find that it must wait for memory, and pause again.
    this.transport.resumeReading()
    events.onBytes(this.#bytes, 0, this.#bytes.length)
    if (this.#hasEnded) events.onEnd()
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    // More than once only where the system had handed over more before the pause.
    this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(start, end)])
    this.transport.pauseReading()
  }

  nextReadBuffer(): Buffer | null {
    return null
  }

  onDrain(): void {
    // Nothing was written yet.
  }

  /** It may have asked and wait for its answer. */
  onEnd(): void {
    this.#hasEnded = true
  }

  onClose(_error: Error | null): void {
    this.#idleLimit.cancel()
    this.#onGone(this)
  }
}
