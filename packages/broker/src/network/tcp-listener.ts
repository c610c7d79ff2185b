import { createServer, type Server, Socket } from 'node:net'
import type { AcceptedTransport, Listener, ListenOptions, TransportEvents } from './transport.ts'

/** Bytes read from a socket at once. One buffer serves all connections, since its bytes are used before the callback returns. */
const READ_BUFFER_BYTES = 256 * 1024

/** Parts of Node's socket that its types leave out. Taking over the handle is what `design.md`, 2 measured as the cheapest way to read. */
interface SocketInternals {
  _handle: { readonly writeQueueSize?: number } | null
  _server: unknown
  server: unknown
}

/** A real socket as a {@link Transport}. Its events can be handed to another listener, once the first byte told the protocol. */
export class TcpTransport implements AcceptedTransport {
  readonly socket: Socket
  readonly remoteAddress: string
  readonly remotePort: number
  events: TransportEvents | null = null
  #error: Error | null = null

  constructor(socket: Socket, remoteAddress: string, remotePort: number) {
    this.socket = socket
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
    socket.on('drain', () => this.events?.onDrain())
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => this.events?.onClose(this.#error))
    socket.on('end', () => this.events?.onEnd())
  }

  get bufferedBytes(): number {
    return this.socket.writableLength
  }

  get untakenBytes(): number {
    const { writableLength } = this.socket
    if (writableLength === 0) return 0
    const handle = (this.socket as unknown as SocketInternals)._handle
    // What the system's library has not written of the write that is under way; the rest waits behind it.
    return handle?.writeQueueSize || writableLength
  }

  write(chunks: readonly Buffer[], _sizeBytes: number, onTaken?: (error?: Error | null) => void): void {
    const { socket } = this
    if (socket.destroyed) return
    const last = chunks.length - 1
    if (last === 0) {
      socket.write(chunks[0]!, onTaken)
      return
    }
    socket.cork()
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    socket.write(chunks[last]!, onTaken)
    socket.uncork()
  }

  pauseReading(): void {
    this.socket.pause()
  }

  resumeReading(): void {
    this.socket.resume()
  }

  destroy(): void {
    this.socket.destroy()
  }

  end(): void {
    this.socket.end()
  }
}

/** A TCP port. Each accepted connection reads into the listener's one buffer. */
export class TcpListener implements Listener {
  readonly #server: Server
  readonly #options: ListenOptions
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  readonly #transports = new Set<TcpTransport>()

  private constructor(options: ListenOptions) {
    this.#options = options
    // Paused: the original socket must not read before its handle has moved.
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket))
    this.#server.on('error', (error) => options.onError(error))
  }

  /** Resolves once it listens. `port` 0 lets the system choose. */
  static listen(options: ListenOptions): Promise<TcpListener> {
    const listener = new TcpListener(options)
    return new Promise((resolve, reject) => {
      const server = listener.#server
      server.once('error', reject)
      server.listen({ host: options.host, port: options.port, backlog: options.backlog }, () => {
        server.removeListener('error', reject)
        resolve(listener)
      })
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new TypeError('the listener has no TCP port')
    return address.port
  }

  /** Stops accepting; connections live on until `destroyAll`. */
  stopAccepting(): void {
    this.#server.close()
  }

  destroyAll(): void {
    for (const transport of this.#transports) transport.destroy()
  }

  #accept(original: Socket): void {
    const address = original.remoteAddress
    // The peer may be gone before its connection was looked at.
    if (address === undefined) {
      original.destroy()
      return
    }
    const port = original.remotePort ?? 0
    const delivery: Delivery = { transport: null, buffer: null }
    const transport = new TcpTransport(this.#takeOver(original, delivery), plainAddress(address), port)
    const events = this.#options.onConnection(transport)
    if (events === null) {
      transport.destroy()
      return
    }
    transport.events = events
    delivery.transport = transport
    this.#transports.add(transport)
    transport.socket.once('close', () => this.#transports.delete(transport))
  }

  #takeOver(original: Socket, delivery: Delivery): Socket {
    const internals = original as unknown as SocketInternals
    const shared = this.#readBuffer
    const { firstReadBuffer } = this.#options
    const options = {
      handle: internals._handle,
      allowHalfOpen: true,
      onread: {
        // Asked at first and after each read; undefined: as before.
        buffer: (): Buffer | undefined => {
          const { transport } = delivery
          const wanted = (transport === null ? firstReadBuffer?.() : transport.events?.nextReadBuffer()) ?? shared
          if (wanted === delivery.buffer) return undefined
          delivery.buffer = wanted
          return wanted
        },
        callback: (sizeBytes: number, buffer: Buffer): boolean => {
          delivery.transport?.events?.onBytes(buffer, 0, sizeBytes)
          return true
        },
      },
    }
    internals._handle = null
    const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0])
    const moved = socket as unknown as SocketInternals
    // The server counts its connections through these.
    moved._server = internals._server
    moved.server = internals.server
    internals._server = null
    socket.setNoDelay(true)
    return socket
  }
}

/** Where a socket's bytes go; filled once the transport exists, before the first byte can arrive. */
interface Delivery {
  transport: TcpTransport | null
  /** What the socket reads into. */
  buffer: Buffer | null
}

/** A listener for every interface sees IPv4 clients as `::ffff:10.0.0.1`; limits, logs and descriptions of groups name them as Kafka does. */
function plainAddress(address: string): string {
  return /^::ffff:\d+(\.\d+){3}$/.test(address) ? address.slice('::ffff:'.length) : address
}
