import type { Transport, TransportEvents } from './transport.ts'

const TLS_HANDSHAKE = 0x16
const ASCII_A = 0x41
const ASCII_Z = 0x5a

export type SniffedProtocol = 'kafka' | 'http' | 'tls' | 'unknown'

/**
 * What the first byte of a connection speaks (`design.md`, 2). Kafka frames begin with their length, whose first byte is below
 * 0x16 up to 352 MiB, the cap of `socket.request.max.bytes`; TLS records begin with 0x16 and HTTP with an upper case verb.
 */
export function sniffProtocol(firstByte: number): SniffedProtocol {
  if (firstByte < TLS_HANDSHAKE) return 'kafka'
  if (firstByte === TLS_HANDSHAKE) return 'tls'
  return firstByte >= ASCII_A && firstByte <= ASCII_Z ? 'http' : 'unknown'
}

/** First listener of a connection: decides once, hands over, and is out of the way. */
export class ProtocolSniffer implements TransportEvents {
  readonly #transport: Transport
  readonly #choose: (protocol: SniffedProtocol) => TransportEvents | null
  readonly #onGone: () => void

  /** `choose` gives the listener for the rest of the connection (and installs it), or null to close it. */
  constructor(transport: Transport, choose: (protocol: SniffedProtocol) => TransportEvents | null, onGone: () => void) {
    this.#transport = transport
    this.#choose = choose
    this.#onGone = onGone
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (start === end) return
    const next = this.#choose(sniffProtocol(buffer[start]!))
    if (next === null) this.#transport.destroy()
    else next.onBytes(buffer, start, end)
  }

  nextReadBuffer(): Buffer | null {
    return null
  }

  onDrain(): void {
    // Nothing was written yet.
  }

  onEnd(): void {
    this.#transport.end()
  }

  onClose(_error: Error | null): void {
    this.#onGone()
  }
}
