import type { Duplex } from 'node:stream'
import { assert, type Timer, type Timers, type Uuid } from '@millrace/base'
import type { WebSocket } from 'ws'
import { decodeFrame, encodeFrame } from './peer-frame.ts'
import type { PeerChannel, PeerLoss } from './peer-transport.ts'
import type { TransportLimits } from './transport-options.ts'

export interface LinkEvents {
  onFrame(link: PeerLink, channel: PeerChannel, payload: Buffer): void
  /** Once, whatever ends it. */
  onDown(link: PeerLink, why: PeerLoss): void
  onWritable(link: PeerLink): void
}

/** What of a socket a link needs; TLS sockets have it, too. */
export type CountingSocket = Duplex & { readonly bytesRead: number; setNoDelay(noDelay: boolean): unknown }

/** One connection to a peer that has proved who it is. */
export class PeerLink {
  readonly peerId: number
  /** Which process of that id it is. */
  readonly process: Uuid
  readonly isOutgoing: boolean
  readonly #webSocket: WebSocket
  readonly #socket: CountingSocket
  readonly #timers: Timers
  readonly #limits: TransportLimits
  readonly #events: LinkEvents
  #pingTimer: Timer | null
  #bytesSeen: number
  #silentCount: number
  #hasRefused: boolean
  #why: PeerLoss
  #isDown: boolean

  constructor(init: {
    readonly peerId: number
    readonly process: Uuid
    readonly isOutgoing: boolean
    readonly webSocket: WebSocket
    readonly socket: CountingSocket
    readonly timers: Timers
    readonly limits: TransportLimits
    readonly events: LinkEvents
  }) {
    this.peerId = init.peerId
    this.process = init.process
    this.isOutgoing = init.isOutgoing
    this.#webSocket = init.webSocket
    this.#socket = init.socket
    this.#timers = init.timers
    this.#limits = init.limits
    this.#events = init.events
    this.#pingTimer = null
    this.#bytesSeen = 0
    this.#silentCount = 0
    this.#hasRefused = false
    this.#why = 'closed'
    this.#isDown = false
    this.#webSocket.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary))
    this.#webSocket.on('close', () => this.#onClose())
    this.#schedulePing()
  }

  /** False from the moment when its end is certain. */
  get isOpen(): boolean {
    return !this.#isDown && this.#webSocket.readyState === this.#webSocket.OPEN
  }

  get queuedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  send(channel: PeerChannel, payload: Buffer): boolean {
    assert(payload.length <= this.#limits.maxFrameBytes, 'a frame fits the limit')
    if (!this.isOpen) return false
    if (this.queuedBytes + payload.length > this.#limits.maxQueueBytes) {
      this.#hasRefused = true
      return false
    }
    this.#webSocket.send(encodeFrame(channel, payload), () => this.#onSent())
    return true
  }

  /** `onDown` follows, later. */
  terminate(): void {
    this.#webSocket.terminate()
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#isDown) return
    const frame = isBinary ? decodeFrame(data) : null
    if (frame === null) {
      this.terminate()
      return
    }
    this.#events.onFrame(this, frame.channel, frame.payload)
  }

  #onSent(): void {
    if (!this.#hasRefused || this.#isDown || this.queuedBytes > this.#limits.maxQueueBytes / 2) return
    this.#hasRefused = false
    this.#events.onWritable(this)
  }

  #schedulePing(): void {
    this.#pingTimer = this.#timers.setTimer(this.#limits.pingIntervalMs, () => this.#onPingTimer())
  }

  /** Counts intervals, not time: after a stall of this process one timer fires, then the socket's backlog is read, then the next. */
  #onPingTimer(): void {
    const bytesRead = this.#socket.bytesRead
    this.#silentCount = bytesRead === this.#bytesSeen ? this.#silentCount + 1 : 0
    this.#bytesSeen = bytesRead
    if (this.#silentCount >= this.#limits.silentIntervalCount) {
      this.#why = 'silent'
      this.terminate()
      return
    }
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.ping()
    this.#schedulePing()
  }

  #onClose(): void {
    if (this.#isDown) return
    this.#isDown = true
    this.#pingTimer?.cancel()
    this.#events.onDown(this, this.#why)
  }
}
