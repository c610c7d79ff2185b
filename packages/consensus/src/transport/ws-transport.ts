import { assert, ConfigurationError, randomUuid, type Uuid } from '@millrace/base'
import type { WebSocket } from 'ws'
import type { HandshakeRefusal } from './handshake.ts'
import { PeerDialer, type PeerEndpoint } from './peer-dialer.ts'
import { type CountingSocket, PeerLink } from './peer-link.ts'
import { PeerListener } from './peer-listener.ts'
import type { PeerChannel, PeerEvents, PeerLoss, PeerTransport } from './peer-transport.ts'
import {
  DEFAULT_TRANSPORT_LIMITS,
  MIN_SECRET_BYTES,
  type TransportLimits,
  type WsTransportOptions,
} from './transport-options.ts'

const REFUSAL_REPEAT_MS = 60_000
const MAX_REMEMBERED_REFUSALS = 256

/**
 * {@link PeerTransport} over WebSockets. Both nodes of a pair connect to each other if both list the other, and both connections stay: each
 * sends over the first that stood, until that one ends, so that frames keep their order. One node's loss is told when neither stands.
 *
 * Of two processes that were given one node id, the one that is known stays as long as it is alive, and the other is turned away: taken by
 * turns, each would undo what the other was told, and nobody would know why. One that ended without a word is found silent soon enough.
 */
export class WsTransport implements PeerTransport {
  readonly #options: WsTransportOptions
  readonly #process: Uuid
  readonly #limits: TransportLimits
  readonly #events: PeerEvents
  readonly #listener: PeerListener | null
  readonly #dialers: Map<number, PeerDialer>
  readonly #routes: Map<number, Route>
  readonly #connected: Set<number>
  /** Peers that were told of as refusing since they were last connected. */
  readonly #refusing: Set<number>
  readonly #refusals: Map<string, number>
  #refusedCount: number
  #port: number
  #isClosed: boolean

  private constructor(options: WsTransportOptions, events: PeerEvents) {
    this.#options = options
    this.#process = randomUuid(options.random)
    this.#limits = { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits }
    this.#events = events
    this.#dialers = new Map()
    this.#routes = new Map()
    this.#connected = new Set()
    this.#refusing = new Set()
    this.#refusals = new Map()
    this.#refusedCount = 0
    this.#port = 0
    this.#isClosed = false
    const onRefused = (reason: string, address: string) => this.#onRefused(reason, address)
    this.#listener =
      options.listen === null
        ? null
        : new PeerListener(options, this.#process, this.#limits, {
            judge: ({ identity, process }) => this.#judge(identity.nodeId, process),
            onPeer: ({ identity, process }, webSocket, socket) =>
              this.#onPeer(identity.nodeId, process, false, webSocket, socket),
            onRefused,
          })
  }

  /** Listens, if it is to; connects to nobody before `setPeers`. Rejects if the address cannot be had or the secret is too short. */
  static async open(options: WsTransportOptions, events: PeerEvents): Promise<WsTransport> {
    if (options.secret !== null && options.secret.length < MIN_SECRET_BYTES) {
      throw new ConfigurationError('secret', `the peers' shared secret has at least ${MIN_SECRET_BYTES} bytes`)
    }
    const transport = new WsTransport(options, events)
    if (transport.#listener !== null && options.listen !== null) {
      transport.#port = await transport.#listener.listen(options.listen)
    }
    return transport
  }

  /** Where it listens; 0 if it does not. */
  get port(): number {
    return this.#port
  }

  get connected(): ReadonlySet<number> {
    return this.#connected
  }

  /** Bytes waiting for peers. */
  get queuedBytes(): number {
    let sizeBytes = 0
    for (const route of this.#routes.values()) {
      sizeBytes += (route.outgoing?.queuedBytes ?? 0) + (route.incoming?.queuedBytes ?? 0)
    }
    return sizeBytes
  }

  /** Connections that were turned away, either way. */
  get refusedCount(): number {
    return this.#refusedCount
  }

  /** Connections whose peer has not proved yet who it is. */
  get strangerCount(): number {
    return this.#listener?.strangerCount ?? 0
  }

  setPeers(peers: ReadonlyMap<number, PeerEndpoint>): void {
    assert(!this.#isClosed, 'the transport is open')
    for (const [id, dialer] of this.#dialers) {
      const wanted = peers.get(id)
      if (wanted !== undefined && wanted.host === dialer.endpoint.host && wanted.port === dialer.endpoint.port) continue
      dialer.close()
      this.#dialers.delete(id)
      this.#routes.get(id)?.outgoing?.terminate()
    }
    for (const [id, endpoint] of peers) {
      if (id === this.#options.identity.nodeId || this.#dialers.has(id)) continue
      const dialer = new PeerDialer(id, endpoint, this.#options, this.#process, this.#limits, {
        judge: (peerId, process) => this.#duplicate(peerId, process),
        onPeer: (peerId, process, webSocket, socket) => this.#onPeer(peerId, process, true, webSocket, socket),
        onConnectionRefused: (peerId) => this.#onConnectionRefused(peerId),
        onRefused: (reason, address) => this.#onRefused(reason, address),
        onTurnedAway: (reason, address) => {
          if (this.#isNews(reason, address)) this.#options.onTurnedAway?.(reason, address)
        },
      })
      this.#dialers.set(id, dialer)
    }
  }

  send(peer: number, channel: PeerChannel, payload: Buffer): boolean {
    return this.#routes.get(peer)?.active?.send(channel, payload) ?? false
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const dialer of this.#dialers.values()) dialer.close()
    for (const route of this.#routes.values()) {
      route.outgoing?.terminate()
      route.incoming?.terminate()
    }
    await this.#listener?.close()
  }

  #judge(peerId: number, process: Uuid): HandshakeRefusal | null {
    if (this.#isClosed) return 'too many connections'
    const duplicate = this.#duplicate(peerId, process)
    if (duplicate !== null) return duplicate
    let incomingCount = 0
    for (const [id, route] of this.#routes) if (id !== peerId && route.incoming !== null) incomingCount++
    return incomingCount >= this.#limits.maxIncomingCount ? 'too many connections' : null
  }

  #duplicate(peerId: number, process: Uuid): HandshakeRefusal | null {
    const route = this.#routes.get(peerId)
    const known = [route?.outgoing, route?.incoming].some((link) => link?.isOpen === true && link.process !== process)
    return known ? 'another process with this node id is alive' : null
  }

  #onPeer(peerId: number, process: Uuid, isOutgoing: boolean, webSocket: WebSocket, socket: CountingSocket): void {
    const link = new PeerLink({
      peerId,
      process,
      isOutgoing,
      webSocket,
      socket,
      timers: this.#options.timers,
      limits: this.#limits,
      events: {
        onFrame: (from, channel, payload) => {
          if (!this.#isClosed) this.#events.onMessage(from.peerId, channel, payload)
        },
        onDown: (from, why) => this.#onDown(from, why),
        onWritable: (from) => {
          if (this.#routes.get(from.peerId)?.active === from) this.#events.onWritable(from.peerId)
        },
      },
    })
    if (this.#isClosed || (isOutgoing && !this.#dialers.has(peerId))) {
      link.terminate()
      return
    }
    const route = this.#routes.get(peerId) ?? { outgoing: null, incoming: null, active: null }
    this.#routes.set(peerId, route)
    // The peer has started anew, or given the connection up, before this side noticed.
    const previous = isOutgoing ? route.outgoing : route.incoming
    if (isOutgoing) route.outgoing = link
    else route.incoming = link
    if (previous !== null) {
      if (route.active === previous) route.active = link
      previous.terminate()
    }
    route.active ??= link
    if (this.#connected.has(peerId)) return
    this.#connected.add(peerId)
    this.#refusing.delete(peerId)
    this.#events.onConnected(peerId)
  }

  #onDown(link: PeerLink, why: PeerLoss): void {
    const { peerId } = link
    const route = this.#routes.get(peerId)
    if (route?.outgoing === link) {
      route.outgoing = null
    } else if (route?.incoming === link) {
      route.incoming = null
    }
    if (link.isOutgoing) this.#dialers.get(peerId)?.onLinkDown()
    if (route === undefined) return
    if (route.active === link) route.active = route.outgoing ?? route.incoming
    if (route.active !== null || !this.#connected.has(peerId)) return
    this.#routes.delete(peerId)
    this.#connected.delete(peerId)
    if (!this.#isClosed) this.#events.onLost(peerId, why)
  }

  #onConnectionRefused(peerId: number): void {
    if (this.#isClosed || this.#connected.has(peerId) || this.#refusing.has(peerId)) return
    this.#refusing.add(peerId)
    this.#events.onLost(peerId, 'refused')
  }

  #onRefused(reason: string, address: string): void {
    this.#refusedCount++
    if (this.#isNews(reason, address)) this.#options.onRefused?.(reason, address)
  }

  /** Not told of within the last minute. */
  #isNews(reason: string, address: string): boolean {
    const key = `${reason} ${address}`
    const nowMs = this.#options.clock.monotonicMs()
    const toldMs = this.#refusals.get(key)
    if (toldMs !== undefined && nowMs - toldMs < REFUSAL_REPEAT_MS) return false
    if (this.#refusals.size >= MAX_REMEMBERED_REFUSALS) this.#refusals.clear()
    this.#refusals.set(key, nowMs)
    return true
  }
}

/** The connections with one peer. */
interface Route {
  outgoing: PeerLink | null
  incoming: PeerLink | null
  /** The one that sends: the first that stood. */
  active: PeerLink | null
}
