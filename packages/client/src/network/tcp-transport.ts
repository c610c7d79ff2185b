import { connect, type Socket } from 'node:net'
import { ConnectionError } from '../errors/client-errors.ts'
import type { BrokerAddress, Transport, TransportChannel, TransportHandler } from './transport.ts'

const READ_BUFFER_BYTES = 256 * 1024

/**
 * One read buffer for all sockets of the process: a read and its callback are one synchronous step, so no two sockets use it at
 * once, and Node allocates nothing per chunk.
 */
let sharedReadBuffer: Buffer | null = null

/** Plain TCP over `node:net`. `TCP_NODELAY` is set: requests are written whole, so Nagle's algorithm could only delay them. */
export const tcpTransport: Transport = {
  open(address: BrokerAddress, handler: TransportHandler): TransportChannel {
    return new TcpChannel(address, handler)
  },
}

class TcpChannel implements TransportChannel {
  readonly #socket: Socket
  #error: Error | null = null
  #closedByUser = false

  constructor(address: BrokerAddress, handler: TransportHandler) {
    sharedReadBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
    const socket = connect({
      host: address.host,
      port: address.port,
      noDelay: true,
      keepAlive: true,
      onread: {
        buffer: sharedReadBuffer,
        callback: (sizeBytes, buffer) => {
          if (!this.#closedByUser) handler.onData((buffer as Buffer).subarray(0, sizeBytes))
          return true
        },
      },
    })
    this.#socket = socket
    socket.once('connect', () => {
      if (!this.#closedByUser) handler.onOpen()
    })
    socket.on('drain', () => {
      if (!this.#closedByUser) handler.onDrain()
    })
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.once('close', () => {
      handler.onClose(this.#closedByUser ? null : this.#closeError(address))
    })
  }

  write(buffers: readonly Buffer[]): boolean {
    if (this.#socket.destroyed) return false
    if (buffers.length === 1) return this.#socket.write(buffers[0]!)
    this.#socket.cork()
    let room = true
    for (const buffer of buffers) room = this.#socket.write(buffer)
    this.#socket.uncork()
    return room
  }

  close(): void {
    this.#closedByUser = true
    this.#socket.destroy()
  }

  #closeError(address: BrokerAddress): ConnectionError {
    const { host, port } = address
    if (this.#error === null)
      return new ConnectionError('CONNECTION_CLOSED', host, port, 'the broker closed the connection')
    const code =
      this.#socket.bytesRead === 0 && this.#socket.bytesWritten === 0 ? 'CONNECTION_FAILED' : 'CONNECTION_CLOSED'
    const reason = (this.#error as NodeJS.ErrnoException).code ?? this.#error.message
    return new ConnectionError(code, host, port, reason, { cause: this.#error })
  }
}
