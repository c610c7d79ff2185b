import { ConnectionError } from '../errors/client-errors.ts'
import type { BrokerAddress, Transport, TransportChannel, TransportHandler } from '../network/transport.ts'

/** The broker's end of a connection. */
export interface ServerChannel {
  send(bytes: Buffer): void
  /** Breaks the connection: the client sees it closed. */
  break(): void
  readonly isOpen: boolean
}

export interface Listener {
  /** Called per connection; gives what to do with bytes from the client. */
  accept(channel: ServerChannel): (bytes: Buffer) => void
}

/** Connections in memory. Bytes arrive in order, one turn later, cut into chunks of at most `chunkBytes`. */
export class FakeNetwork implements Transport {
  readonly #listeners = new Map<string, Listener>()
  readonly #channels = new Map<string, Set<FakeChannel>>()
  /** Ports at which connecting neither succeeds nor fails. */
  readonly silent = new Set<number>()
  chunkBytes = Number.MAX_SAFE_INTEGER
  openCount = 0

  listen(address: BrokerAddress, listener: Listener): void {
    this.#listeners.set(keyOf(address), listener)
  }

  /** Nobody answers there any more, and what is open breaks. */
  shutDown(address: BrokerAddress): void {
    this.#listeners.delete(keyOf(address))
    this.breakAll(address)
  }

  /** Breaks all connections to an address. */
  breakAll(address: BrokerAddress): void {
    for (const channel of [...(this.#channels.get(keyOf(address)) ?? [])]) channel.break()
  }

  open(address: BrokerAddress, handler: TransportHandler): TransportChannel {
    this.openCount++
    const key = keyOf(address)
    const channel = new FakeChannel(address, handler, () => this.chunkBytes)
    queueMicrotask(() => {
      if (this.silent.has(address.port)) return
      const listener = this.#listeners.get(key)
      if (listener === undefined) {
        channel.fail(new ConnectionError('CONNECTION_FAILED', address.host, address.port, 'ECONNREFUSED'))
        return
      }
      const set = this.#channels.get(key) ?? new Set()
      this.#channels.set(key, set)
      set.add(channel)
      channel.connect(listener)
    })
    return channel
  }
}

class FakeChannel implements TransportChannel, ServerChannel {
  readonly #address: BrokerAddress
  readonly #handler: TransportHandler
  readonly #chunkBytes: () => number
  #receive: ((bytes: Buffer) => void) | null = null
  #ended = false

  constructor(address: BrokerAddress, handler: TransportHandler, chunkBytes: () => number) {
    this.#address = address
    this.#handler = handler
    this.#chunkBytes = chunkBytes
  }

  get isOpen(): boolean {
    return !this.#ended
  }

  connect(listener: Listener): void {
    if (this.#ended) return
    this.#receive = listener.accept(this)
    this.#handler.onOpen()
  }

  write(buffers: readonly Buffer[]): boolean {
    // A copy, as a socket would make: what the client does with its memory afterwards must not matter.
    const bytes = Buffer.concat(buffers)
    queueMicrotask(() => {
      if (!this.#ended) this.#receive?.(bytes)
    })
    return true
  }

  send(bytes: Buffer): void {
    queueMicrotask(() => {
      for (let start = 0; start < bytes.length && !this.#ended; start += this.#chunkBytes()) {
        this.#handler.onData(Buffer.from(bytes.subarray(start, start + this.#chunkBytes())))
      }
    })
  }

  break(): void {
    this.fail(new ConnectionError('CONNECTION_CLOSED', this.#address.host, this.#address.port, 'broken by the test'))
  }

  fail(error: ConnectionError): void {
    this.#end(error)
  }

  close(): void {
    this.#end(null)
  }

  #end(error: ConnectionError | null): void {
    if (this.#ended) return
    this.#ended = true
    queueMicrotask(() => this.#handler.onClose(error))
  }
}

function keyOf({ host, port }: BrokerAddress): string {
  return `${host}:${port}`
}
