import type { IncomingMessage } from 'node:http'
import type { PeerCertificate } from 'node:tls'
import type { Timer, Uuid } from '@millrace/base'
import { WebSocket } from 'ws'
import {
  decodeChallenge,
  encodeHello,
  encodeProof,
  HANDSHAKE_NONCE_BYTES,
  type HandshakeRefusal,
  TURNED_AWAY,
  verifyProof,
} from './handshake.ts'
import { FRAME_HEADER_BYTES } from './peer-frame.ts'
import type { CountingSocket } from './peer-link.ts'
import { PEER_PATH } from './peer-listener.ts'
import type { TransportLimits, WsTransportOptions } from './transport-options.ts'

export interface PeerEndpoint {
  readonly host: string
  readonly port: number
}

export interface DialerEvents {
  /** Whether the process that answers, and has proved who it is, is wanted. */
  judge(peerId: number, process: Uuid): HandshakeRefusal | null
  /** The peer has proved who it is. The dialer rests until `onLinkDown`. */
  onPeer(peerId: number, process: Uuid, webSocket: WebSocket, socket: CountingSocket): void
  /** Nobody listens there. */
  onConnectionRefused(peerId: number): void
  onRefused(reason: string, address: string): void
  /** The peer knows this node and will have nothing of it. */
  onTurnedAway(reason: string, address: string): void
}

/** Keeps connecting to one peer, with exponential backoff and jitter between attempts. */
export class PeerDialer {
  readonly peerId: number
  readonly endpoint: PeerEndpoint
  readonly #options: WsTransportOptions
  readonly #process: Uuid
  readonly #limits: TransportLimits
  readonly #events: DialerEvents
  #webSocket: WebSocket | null
  #retryTimer: Timer | null
  #attemptTimer: Timer | null
  #backoffMs: number
  #isClosed: boolean

  constructor(
    peerId: number,
    endpoint: PeerEndpoint,
    options: WsTransportOptions,
    process: Uuid,
    limits: TransportLimits,
    events: DialerEvents,
  ) {
    this.peerId = peerId
    this.endpoint = endpoint
    this.#options = options
    this.#process = process
    this.#limits = limits
    this.#events = events
    this.#webSocket = null
    this.#retryTimer = null
    this.#attemptTimer = null
    this.#backoffMs = limits.minReconnectMs
    this.#isClosed = false
    this.#retryTimer = options.timers.setTimer(0, () => this.#dial())
  }

  /** The connection that {@link DialerEvents.onPeer} gave is over. */
  onLinkDown(): void {
    this.#retry()
  }

  /** Ends the attempt under way, if there is one; an established connection is its link's to end. */
  close(): void {
    this.#isClosed = true
    this.#retryTimer?.cancel()
    this.#attemptTimer?.cancel()
    this.#webSocket?.terminate()
  }

  #dial(): void {
    const { tls } = this.#options
    const { host, port } = this.endpoint
    const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const nameOf = tls?.nameOf
    const security =
      tls === null
        ? {}
        : {
            key: tls.key,
            cert: tls.cert,
            ca: tls.ca,
            minVersion: 'TLSv1.2' as const,
            ...(nameOf === undefined
              ? {}
              : {
                  checkServerIdentity: (_: string, certificate: PeerCertificate) =>
                    this.#checkName(certificate, nameOf),
                }),
          }
    const webSocket = new WebSocket(`${tls === null ? 'ws' : 'wss'}://${authority}${PEER_PATH}`, {
      ...security,
      perMessageDeflate: false,
      followRedirects: false,
      skipUTF8Validation: true,
      maxPayload: this.#limits.maxFrameBytes + FRAME_HEADER_BYTES,
    })
    this.#webSocket = webSocket
    this.#attemptTimer = this.#options.timers.setTimer(this.#limits.handshakeTimeoutMs, () => webSocket.terminate())
    let socket: CountingSocket | null = null
    let isKnown = false
    webSocket.on('upgrade', (response: IncomingMessage) => {
      socket = response.socket
      response.socket.setNoDelay(true)
    })
    webSocket.on('open', () => {
      // After the WebSocket's own listener: the piece that makes the server known may hold its first frames, too.
      const meter = () => {
        if (isKnown) socket!.off('data', meter)
        else if (socket!.bytesRead > this.#limits.maxHandshakeBytes) webSocket.terminate()
      }
      socket!.on('data', meter)
    })
    webSocket.on('error', (error: Error & { code?: string; syscall?: string }) => {
      if (error.code === 'ECONNREFUSED') this.#events.onConnectionRefused(this.peerId)
      // What is no trouble of the network is one of certificates or of who listens there: somebody should look at it.
      else if (error.syscall === undefined && error.code !== 'ECONNRESET' && !this.#isClosed) {
        this.#events.onRefused(error.message, authority)
      }
    })
    webSocket.on('close', (code, reason) => {
      if (code === TURNED_AWAY) this.#events.onTurnedAway(reason.toString(), authority)
      // From here on the link, if there was one, tells when to go on.
      if (!isKnown) this.#retry()
    })
    this.#greet(webSocket, authority, (process) => {
      isKnown = true
      this.#attemptTimer?.cancel()
      this.#backoffMs = this.#limits.minReconnectMs
      this.#webSocket = null
      this.#events.onPeer(this.peerId, process, webSocket, socket!)
    })
  }

  #greet(webSocket: WebSocket, authority: string, onKnown: (process: Uuid) => void): void {
    const { identity, secret, random } = this.#options
    const hello = encodeHello({ identity, process: this.#process }, this.peerId, random.bytes(HANDSHAKE_NONCE_BYTES))
    const refuse = (reason: string) => {
      this.#events.onRefused(reason, authority)
      webSocket.terminate()
    }
    webSocket.on('open', () => webSocket.send(hello))
    webSocket.once('message', (data) => {
      const challenge = Buffer.from(data as Buffer)
      const peer = decodeChallenge(challenge)
      if (peer === null || peer.nodeId !== this.peerId) {
        refuse(peer === null ? 'not a handshake of this version' : 'another node answers')
        return
      }
      webSocket.once('message', (accept) => {
        const refusal =
          verifyProof(accept as Buffer, 'server', secret, hello, challenge) ??
          this.#events.judge(peer.nodeId, peer.process)
        if (refusal === null) onKnown(peer.process)
        else refuse(refusal)
      })
      webSocket.send(encodeProof('client', secret, hello, challenge))
    })
  }

  /** In place of the check of the host name: what counts is which node it is. The chain was verified before. */
  #checkName(certificate: PeerCertificate, nameOf: (nodeId: number) => string): Error | undefined {
    const expected = nameOf(this.peerId)
    const names = [certificate.subject?.CN ?? [], ...(certificate.subjectaltname ?? '').split(', ')]
    const isNamed = names.flat().some((name) => name.replace(/^DNS:/, '').toLowerCase() === expected.toLowerCase())
    return isNamed ? undefined : new Error(`the certificate is not node ${this.peerId}'s`)
  }

  #retry(): void {
    this.#attemptTimer?.cancel()
    this.#webSocket = null
    if (this.#isClosed) return
    const half = this.#backoffMs / 2
    const waitMs = half + (half * this.#options.random.uint32()) / 2 ** 32
    this.#backoffMs = Math.min(this.#limits.maxReconnectMs, this.#backoffMs * 2)
    this.#retryTimer = this.#options.timers.setTimer(waitMs, () => this.#dial())
  }
}
