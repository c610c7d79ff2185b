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
  /** Ports that no system takes: opening throws, as Node does. */
  readonly impossible = new Set<number>()
  /** While true, channels keep what is written to them and say that it is too much. */
  isStalled = false
  readonly #stalled = new Set<FakeChannel>()
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

  onStalled(channel: FakeChannel): void {
    this.#stalled.add(channel)
  }

  /** Bytes that channels keep since the network is stalled. */
  get keptBytes(): number {
    return [...this.#stalled].reduce((sum, channel) => sum + channel.keptBytes, 0)
  }

  /** Ends a stall: what was kept arrives. */
  resume(): void {
    this.isStalled = false
    for (const channel of this.#stalled) channel.drain()
    this.#stalled.clear()
  }

  /** Breaks all connections to an address. */
  breakAll(address: BrokerAddress): void {
    for (const channel of [...(this.#channels.get(keyOf(address)) ?? [])]) channel.break()
  }

  open(address: BrokerAddress, handler: TransportHandler): TransportChannel {
    this.openCount++
    if (this.impossible.has(address.port)) throw new RangeError(`port ${address.port} is outside the range`)
    const key = keyOf(address)
    const channel = new FakeChannel(address, handler, this)
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

/** What its channels ask the network. */
interface ChannelNetwork {
  readonly chunkBytes: number
  readonly isStalled: boolean
  onStalled(channel: FakeChannel): void
}

class FakeChannel implements TransportChannel, ServerChannel {
  readonly #address: BrokerAddress
  readonly #handler: TransportHandler
  readonly #network: ChannelNetwork
  #kept: Buffer[] = []
  #receive: ((bytes: Buffer) => void) | null = null
  #ended = false

  constructor(address: BrokerAddress, handler: TransportHandler, network: ChannelNetwork) {
    this.#address = address
    this.#handler = handler
    this.#network = network
  }

  get keptBytes(): number {
    return this.#kept.reduce((sum, { length }) => sum + length, 0)
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
    if (this.#network.isStalled) {
      this.#kept.push(bytes)
      this.#network.onStalled(this)
      return false
    }
    this.#deliver(bytes)
    return true
  }

  /** Sends what was kept. */
  drain(): void {
    for (const bytes of this.#kept.splice(0)) this.#deliver(bytes)
    if (!this.#ended) this.#handler.onDrain()
  }

  #deliver(bytes: Buffer): void {
    queueMicrotask(() => {
      if (!this.#ended) this.#receive?.(bytes)
    })
  }

  send(bytes: Buffer): void {
    queueMicrotask(() => {
      const { chunkBytes } = this.#network
      for (let start = 0; start < bytes.length && !this.#ended; start += chunkBytes) {
        this.#handler.onData(Buffer.from(bytes.subarray(start, start + chunkBytes)))
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
