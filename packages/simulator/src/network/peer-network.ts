import type { Timer } from '@millrace/base'
import type { PeerChannel, PeerEvents, PeerTransport } from '@millrace/consensus'
import type { ProcessLoop } from '../world/process-loop.ts'
import type { SimulatedStream } from './simulated-stream.ts'
import type { StreamNetwork } from './stream-network.ts'

/** Bytes that may wait for one peer. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024
const RECONNECT_MS = 40

/**
 * `PeerTransport` over a {@link StreamNetwork}: one connection from each node to each peer that it lists, frames over it in order. A node
 * listens at `peer-ID:1`.
 */
export class SimulatedPeerTransport implements PeerTransport {
  readonly #network: StreamNetwork
  readonly #loop: ProcessLoop
  readonly #events: PeerEvents
  readonly #wanted = new Set<number>()
  /** Own connections, for sending. */
  readonly #outgoing = new Map<number, SimulatedStream>()
  readonly #open = new Set<number>()
  /** Connections of others, by who they are: answers go over them where there is no own one. */
  readonly #incoming = new Map<number, SimulatedStream>()
  readonly #retries = new Map<number, Timer>()
  readonly #told = new Set<number>()
  readonly #refusing = new Set<number>()
  #isClosed = false

  constructor(network: StreamNetwork, loop: ProcessLoop, events: PeerEvents) {
    this.#network = network
    this.#loop = loop
    this.#events = events
    network.listen(loop, addressOf(loop.node), (stream) => this.#accept(stream))
  }

  get connected(): ReadonlySet<number> {
    return this.#told
  }

  setPeers(peers: ReadonlyMap<number, { readonly host: string; readonly port: number }>): void {
    for (const id of [...this.#wanted]) {
      if (peers.has(id)) continue
      this.#wanted.delete(id)
      this.#retries.get(id)?.cancel()
      this.#outgoing.get(id)?.close()
    }
    for (const id of peers.keys()) {
      if (id === this.#loop.node || this.#wanted.has(id)) continue
      this.#wanted.add(id)
      this.#connect(id)
    }
  }

  send(peer: number, channel: PeerChannel, payload: Buffer): boolean {
    const stream = this.#open.has(peer) ? this.#outgoing.get(peer) : this.#incoming.get(peer)
    if (stream === undefined || stream.underWayBytes + payload.length > QUEUE_BYTES_MAX) {
      if (stream !== undefined) {
        this.#refusing.add(peer)
        stream.wantsDrain = true
      }
      return false
    }
    stream.write(Buffer.concat([Buffer.from([channel]), payload]))
    return true
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#network.unlisten(addressOf(this.#loop.node))
    for (const timer of this.#retries.values()) timer.cancel()
    for (const stream of [...this.#outgoing.values(), ...this.#incoming.values()]) stream.close()
    return Promise.resolve()
  }

  #connect(id: number): void {
    if (this.#isClosed || !this.#wanted.has(id)) return
    const stream = this.#network.connect(this.#loop, addressOf(id), {
      onOpen: () => {
        const hello = Buffer.alloc(5)
        hello[0] = HELLO
        hello.writeInt32BE(this.#loop.node, 1)
        stream.write(hello)
        this.#open.add(id)
        this.#onUp(id)
      },
      onData: (chunk) => this.#onFrame(id, chunk),
      onDrain: () => this.#onDrained(id),
      onClose: (why) => {
        this.#outgoing.delete(id)
        this.#open.delete(id)
        this.#onDown(id, why ?? 'closed')
        this.#retries.set(
          id,
          this.#loop.setTimer(RECONNECT_MS * this.#network.random.real(0.5, 1.5), () => this.#connect(id)),
        )
      },
    })
    this.#outgoing.set(id, stream)
  }

  #accept(stream: SimulatedStream) {
    if (this.#isClosed) return null
    let id = -1
    return {
      onOpen: () => undefined,
      onData: (chunk: Buffer) => {
        if (id >= 0) {
          this.#onFrame(id, chunk)
          return
        }
        id = chunk.readInt32BE(1)
        this.#incoming.get(id)?.close()
        this.#incoming.set(id, stream)
        this.#onUp(id)
      },
      onDrain: () => this.#onDrained(id),
      onClose: (why: 'closed' | 'refused' | 'silent' | null) => {
        if (this.#incoming.get(id) !== stream) return
        this.#incoming.delete(id)
        this.#onDown(id, why ?? 'closed')
      },
    }
  }

  #onFrame(from: number, chunk: Buffer): void {
    if (this.#isClosed) return
    this.#events.onMessage(from, chunk[0] as PeerChannel, chunk.subarray(1))
  }

  #onDrained(id: number): void {
    if (this.#refusing.delete(id) && !this.#isClosed) this.#events.onWritable(id)
  }

  #onUp(id: number): void {
    if (this.#told.has(id) || this.#isClosed) return
    this.#told.add(id)
    this.#events.onConnected(id)
  }

  #onDown(id: number, why: 'closed' | 'refused' | 'silent'): void {
    if (this.#isClosed || this.#open.has(id) || this.#incoming.has(id)) return
    const wasTold = this.#told.delete(id)
    if (wasTold || why === 'refused') this.#events.onLost(id, why)
  }
}

const HELLO = 0xff

function addressOf(node: number): string {
  return `peer-${node}:1`
}
