import type { Timers } from '@millrace/base'
import type { PeerChannel, PeerEvents, PeerTransport } from '../peer-transport.ts'

interface Node {
  readonly id: number
  readonly events: PeerEvents
  /** Whom it lists. */
  peers: ReadonlySet<number>
  readonly connected: Set<number>
}

/**
 * Transports in memory, over simulated timers. Two nodes are connected while both are there, one lists the other, and the link is not cut.
 * Frames take the latency and keep their order; those under way when a link ends are lost.
 */
export class MemoryNetwork {
  readonly #timers: Timers
  readonly #latencyMs: number
  readonly #nodes = new Map<number, Node>()
  readonly #cuts = new Set<string>()
  /** Frames delivered, by anybody to anybody. */
  deliveredCount = 0

  constructor(timers: Timers, latencyMs = 1) {
    this.#timers = timers
    this.#latencyMs = latencyMs
  }

  join(id: number, events: PeerEvents): PeerTransport {
    const node: Node = { id, events, peers: new Set(), connected: new Set() }
    this.#nodes.set(id, node)
    this.#later(() => this.#connectAll())
    return {
      connected: node.connected,
      setPeers: (peers) => {
        node.peers = new Set(peers.keys())
        this.#later(() => this.#connectAll())
      },
      send: (peer, channel, payload) => this.#send(node, peer, channel, payload),
      close: async () => this.leave(id),
    }
  }

  /** The process ends: its peers notice closed connections. */
  leave(id: number): void {
    const node = this.#nodes.get(id)
    if (node === undefined) return
    this.#nodes.delete(id)
    for (const peer of this.#nodes.values()) {
      if (!peer.connected.delete(id)) continue
      this.#later(() => {
        if (this.#nodes.get(peer.id) === peer) peer.events.onLost(id, 'closed')
      })
    }
    node.connected.clear()
  }

  /** Nothing passes any more between the two; after a while each finds the other silent. */
  cut(left: number, right: number): void {
    this.#cuts.add(linkOf(left, right))
    for (const [id, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const node = this.#nodes.get(id)
      if (node?.connected.delete(other) === true) this.#later(() => node.events.onLost(other, 'silent'))
    }
  }

  heal(left: number, right: number): void {
    this.#cuts.delete(linkOf(left, right))
    this.#later(() => this.#connectAll())
  }

  #send(from: Node, to: number, channel: PeerChannel, payload: Buffer): boolean {
    if (!from.connected.has(to)) return false
    const target = this.#nodes.get(to)!
    const copy = Buffer.from(payload)
    this.#later(() => {
      if (this.#nodes.get(to) !== target || !target.connected.has(from.id)) return
      this.deliveredCount++
      target.events.onMessage(from.id, channel, copy)
    })
    return true
  }

  #connectAll(): void {
    for (const left of this.#nodes.values()) {
      for (const right of this.#nodes.values()) {
        if (left.id >= right.id || left.connected.has(right.id)) continue
        if (!left.peers.has(right.id) && !right.peers.has(left.id)) continue
        if (this.#cuts.has(linkOf(left.id, right.id))) continue
        left.connected.add(right.id)
        right.connected.add(left.id)
        left.events.onConnected(right.id)
        right.events.onConnected(left.id)
      }
    }
  }

  #later(run: () => void): void {
    this.#timers.setTimer(this.#latencyMs, run)
  }
}

function linkOf(left: number, right: number): string {
  return left < right ? `${left}-${right}` : `${right}-${left}`
}
