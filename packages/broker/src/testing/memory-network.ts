import type {
  AcceptedTransport,
  Connect,
  Listen,
  Listener,
  ListenOptions,
  Transport,
  TransportEvents,
} from '../network/transport.ts'

/** Bytes handed to the broker at once; the buffer is wiped after each delivery, as a shared read buffer would be overwritten. */
const READ_BUFFER_BYTES = 64 * 1024

/** Ports in memory: what a broker listens on and test clients connect to, without sockets. */
export class MemoryNetwork {
  readonly #listeners = new Map<number, MemoryListener>()
  #nextPort = 50_000
  #nextClientPort = 1

  readonly listen: Listen = async (options) => {
    const port = options.port === 0 ? this.#nextPort++ : options.port
    if (this.#listeners.has(port)) throw new Error(`port ${port} is in use`)
    const listener = new MemoryListener(port, options, () => this.#listeners.delete(port))
    this.#listeners.set(port, listener)
    return listener
  }

  /** What one broker connects to another by. */
  readonly connectPeer: Connect = async ({ port, events }) => new PeerTransport(this.connect(port), events)

  /** Connects to a listening port. A connection that is refused is closed from the start. */
  connect(port: number, remoteAddress = '127.0.0.1'): MemorySocket {
    const listener = this.#listeners.get(port)
    if (listener === undefined) throw new Error(`nothing listens on port ${port}`)
    return listener.accept(remoteAddress, this.#nextClientPort++)
  }
}

/** The connecting broker's end of a connection. */
class PeerTransport implements Transport {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 0
  readonly bufferedBytes = 0
  readonly untakenBytes = 0
  readonly #socket: MemorySocket
  readonly #events: TransportEvents
  #paused: Buffer[] | null = null

  constructor(socket: MemorySocket, events: TransportEvents) {
    this.#socket = socket
    this.#events = events
    socket.onBytes = (bytes) => this.#onBytes(bytes)
    socket.closed.then(() => events.onClose(null))
  }

  write(chunks: readonly Buffer[], _sizeBytes: number, onTaken?: (error?: Error | null) => void): void {
    this.#socket.send(Buffer.concat(chunks))
    if (onTaken !== undefined) queueMicrotask(() => onTaken())
  }

  pauseReading(): void {
    this.#paused ??= []
  }

  resumeReading(): void {
    const paused = this.#paused ?? []
    this.#paused = null
    for (const bytes of paused) this.#onBytes(bytes)
  }

  destroy(): void {
    this.#socket.close()
  }

  end(): void {
    this.#socket.close()
  }

  #onBytes(bytes: Buffer): void {
    if (this.#paused !== null) {
      this.#paused.push(bytes)
      return
    }
    // Never from inside a call into it, as a real transport.
    const shared = Buffer.from(bytes)
    queueMicrotask(() => {
      if (this.#socket.isClosed) return
      this.#deliver(shared)
    })
  }

  #deliver(bytes: Buffer): void {
    for (let start = 0; start < bytes.length; ) {
      const target = this.#events.nextReadBuffer()
      if (target === null) {
        this.#events.onBytes(bytes, start, bytes.length)
        return
      }
      const sizeBytes = bytes.copy(target, 0, start)
      this.#events.onBytes(target, 0, sizeBytes)
      start += sizeBytes
    }
  }
}

class MemoryListener implements Listener {
  readonly port: number
  readonly #options: ListenOptions
  readonly #onStopped: () => void
  readonly #transports = new Set<MemoryTransport>()

  constructor(port: number, options: ListenOptions, onStopped: () => void) {
    this.port = port
    this.#options = options
    this.#onStopped = onStopped
  }

  accept(remoteAddress: string, remotePort: number): MemorySocket {
    const transport = new MemoryTransport(remoteAddress, remotePort, this.#options.firstReadBuffer?.() ?? null)
    const events = this.#options.onConnection(transport)
    if (events === null) transport.destroy()
    else transport.events = events
    this.#transports.add(transport)
    transport.socket.closed.then(() => this.#transports.delete(transport))
    return transport.socket
  }

  stopAccepting(): void {
    this.#onStopped()
  }

  destroyAll(): void {
    for (const transport of this.#transports) transport.destroy()
  }
}

/** The broker's end of a connection. */
class MemoryTransport implements AcceptedTransport {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly socket: MemorySocket
  events: TransportEvents | null = null
  bufferedBytes = 0
  #readingPaused = false
  #closing = false
  /** Sent by the client while reading was paused. */
  #unread: Buffer[] = []
  /** Where the listener wants the next bytes. */
  #readBuffer: Buffer | null
  /** Written by the broker while the client does not read. */
  #unsent: Buffer[] = []
  #onTaken: (() => void)[] = []

  constructor(remoteAddress: string, remotePort: number, firstReadBuffer: Buffer | null) {
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
    this.#readBuffer = firstReadBuffer
    this.socket = new MemorySocket(this)
  }

  get untakenBytes(): number {
    return this.bufferedBytes
  }

  write(chunks: readonly Buffer[], _sizeBytes: number, onTaken?: () => void): void {
    if (this.#closing) return
    // Copies: the broker may reuse what it wrote once a real socket has taken it.
    const bytes = Buffer.concat(chunks)
    if (this.socket.reading) {
      this.socket.deliver(bytes)
      if (onTaken !== undefined) queueMicrotask(onTaken)
      return
    }
    if (onTaken !== undefined) this.#onTaken.push(onTaken)
    this.#unsent.push(bytes)
    this.bufferedBytes += bytes.length
  }

  pauseReading(): void {
    this.#readingPaused = true
  }

  resumeReading(): void {
    this.#readingPaused = false
    queueMicrotask(() => this.#readOn())
  }

  destroy(): void {
    this.#close(null)
  }

  end(): void {
    this.#close(null)
  }

  /** From the client. */
  receive(bytes: Buffer): void {
    if (this.#closing) return
    this.#unread.push(bytes)
    this.#readOn()
  }

  /** From the client, which reads again. */
  takeUnsent(): void {
    const unsent = this.#unsent
    this.#unsent = []
    const hadSome = this.bufferedBytes > 0
    this.bufferedBytes = 0
    for (const bytes of unsent) this.socket.deliver(bytes)
    for (const onTaken of this.#onTaken.splice(0)) queueMicrotask(onTaken)
    if (hadSome && !this.#closing) this.events?.onDrain()
  }

  /** From the client, which is gone. */
  onPeerClosed(): void {
    this.#close(null)
  }

  #readOn(): void {
    while (!this.#readingPaused && !this.#closing) {
      const bytes = this.#unread.shift()
      if (bytes === undefined) return
      let start = 0
      while (start < bytes.length && !this.#readingPaused && !this.#closing) {
        start += this.#deliver(bytes.subarray(start, start + READ_BUFFER_BYTES))
      }
      if (start < bytes.length) this.#unread.unshift(bytes.subarray(start))
    }
  }

  /** One read, into the buffer that the listener names or one that is overwritten afterwards. Returns how many bytes it took. */
  #deliver(bytes: Buffer): number {
    const { events } = this
    const target = this.#readBuffer
    this.#readBuffer = null
    if (target === null) {
      const shared = Buffer.from(bytes)
      events?.onBytes(shared, 0, shared.length)
      shared.fill(0xff)
      this.#readBuffer = this.events?.nextReadBuffer() ?? null
      return bytes.length
    }
    const sizeBytes = bytes.copy(target)
    events?.onBytes(target, 0, sizeBytes)
    this.#readBuffer = this.events?.nextReadBuffer() ?? null
    return sizeBytes
  }

  #close(error: Error | null): void {
    if (this.#closing) return
    this.#closing = true
    this.#unread = []
    // As a real transport: never from inside a call into it.
    queueMicrotask(() => {
      this.events?.onClose(error)
      this.socket.onTransportClosed()
    })
  }
}

/** A client's end of a connection: bytes in both directions, nothing known of their meaning. */
export class MemorySocket {
  /** Resolves when either side has closed. */
  readonly closed: Promise<void>
  isClosed = false
  onBytes: (bytes: Buffer) => void = () => undefined
  reading = true
  readonly #transport: MemoryTransport
  readonly #resolveClosed: () => void

  constructor(transport: MemoryTransport) {
    this.#transport = transport
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
  }

  send(bytes: Buffer): void {
    this.#transport.receive(Buffer.from(bytes))
  }

  /** Leaves what the broker writes in its buffers. */
  stopReading(): void {
    this.reading = false
  }

  resumeReading(): void {
    this.reading = true
    this.#transport.takeUnsent()
  }

  /** Bytes that the broker has written and this client has not read. */
  get unreadBytes(): number {
    return this.#transport.bufferedBytes
  }

  close(): void {
    this.#transport.onPeerClosed()
  }

  /** From the transport. */
  deliver(bytes: Buffer): void {
    if (!this.isClosed) this.onBytes(bytes)
  }

  /** From the transport. */
  onTransportClosed(): void {
    this.isClosed = true
    this.#resolveClosed()
  }
}
