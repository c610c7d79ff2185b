import { Duplex } from 'node:stream'
import type { Transport, TransportEvents } from './transport.ts'

/**
 * A transport as the stream that Node's HTTP server takes. It copies what it reads, since the transport's buffer is shared;
 * HTTP is not the path that has to be fast.
 */
export class HttpStream extends Duplex implements TransportEvents {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly #transport: Transport
  #paused = false

  constructor(transport: Transport) {
    super({ allowHalfOpen: false })
    this.#transport = transport
    this.remoteAddress = transport.remoteAddress
    this.remotePort = transport.remotePort
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.push(Buffer.from(buffer.subarray(start, end)))) return
    this.#paused = true
    this.#transport.pauseReading()
  }

  nextReadBuffer(): Buffer | null {
    return null
  }

  onDrain(): void {
    // Each write tells by itself when it is done: a small one that waits is below what a drain is told for.
  }

  onEnd(): void {
    this.#transport.end()
  }

  onClose(error: Error | null): void {
    this.destroy(error ?? undefined)
  }

  override _read(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#transport.resumeReading()
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    this.#transport.write([bytes], bytes.length, callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#transport.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#transport.destroy()
    callback(error)
  }
}
