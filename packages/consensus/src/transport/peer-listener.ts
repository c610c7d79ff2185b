import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Timer, Uuid } from '@millrace/base'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  decodeHello,
  encodeChallenge,
  encodeProof,
  HANDSHAKE_NONCE_BYTES,
  type HandshakeRefusal,
  type Hello,
  type PeerIntroduction,
  TURNED_AWAY,
  verifyProof,
} from './handshake.ts'
import { FRAME_HEADER_BYTES } from './peer-frame.ts'
import type { TransportLimits, WsTransportOptions } from './transport-options.ts'

export const PEER_PATH = '/peers'
const MAX_HEADER_BYTES = 8 * 1024

export interface ListenerEvents {
  /** Whether a peer that has proved who it is may stay. */
  judge(peer: PeerIntroduction): HandshakeRefusal | null
  onPeer(peer: PeerIntroduction, webSocket: WebSocket, socket: Socket): void
  onRefused(reason: string, address: string): void
}

/** Accepts connections of peers and finds out who they are; until then each has little time, few bytes, and there are few of them. */
export class PeerListener {
  readonly #options: WsTransportOptions
  readonly #limits: TransportLimits
  readonly #process: Uuid
  readonly #events: ListenerEvents
  readonly #server: Server
  readonly #webSockets: WebSocketServer
  readonly #sockets: Set<Socket>
  /** Connections whose peer is not known yet, by remote address and port, since a TLS socket is another object than its TCP socket. */
  readonly #strangers: Map<string, Timer>

  constructor(options: WsTransportOptions, process: Uuid, limits: TransportLimits, events: ListenerEvents) {
    this.#options = options
    this.#process = process
    this.#limits = limits
    this.#events = events
    this.#sockets = new Set()
    this.#strangers = new Map()
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: limits.maxFrameBytes + FRAME_HEADER_BYTES,
      skipUTF8Validation: true,
    })
    const tls = options.tls
    // Imported, they would bring Node's fetch along: 50 ms of a start.
    const settings = { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: limits.handshakeTimeoutMs }
    this.#server =
      tls === null
        ? globalThis.process.getBuiltinModule('node:http').createServer(settings)
        : globalThis.process.getBuiltinModule('node:https').createServer({
            ...settings,
            key: tls.key,
            cert: tls.cert,
            ca: tls.ca,
            requestCert: true,
            rejectUnauthorized: true,
            minVersion: 'TLSv1.2',
            handshakeTimeout: limits.handshakeTimeoutMs,
          })
    this.#server.on('connection', (socket: Socket) => this.#onConnection(socket))
    this.#server.on('request', (_, response) => response.writeHead(426, { connection: 'close' }).end())
    this.#server.on('clientError', (_, socket) => socket.destroy())
    this.#server.on('tlsClientError', (error, socket) => this.#refuse(`TLS: ${error.message}`, socket))
    this.#server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket as Socket, head))
  }

  /** Resolves to the port; rejects if the address cannot be had. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(address.port, address.host, () => {
        this.#server.off('error', reject)
        resolve((this.#server.address() as AddressInfo).port)
      })
    })
  }

  get strangerCount(): number {
    return this.#strangers.size
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #onConnection(socket: Socket): void {
    socket.setNoDelay(true)
    // Errors end in `close`; without a listener they would end the process.
    socket.on('error', () => socket.destroy())
    const key = addressOf(socket)
    if (this.#strangers.size >= this.#limits.maxUnauthenticatedCount) {
      this.#refuse('too many unknown connections', socket)
      return
    }
    this.#sockets.add(socket)
    const timer = this.#options.timers.setTimer(this.#limits.handshakeTimeoutMs, () => {
      this.#refuse('no handshake in time', socket)
    })
    this.#strangers.set(key, timer)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#forget(key)
    })
  }

  #forget(key: string): void {
    this.#strangers.get(key)?.cancel()
    this.#strangers.delete(key)
  }

  #onUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    // A web page can connect to any address that its reader's machine can; only browsers send an origin.
    if (request.url !== PEER_PATH || request.headers.origin !== undefined) {
      this.#refuse('not a peer', socket)
      return
    }
    const meter = () => {
      if (socket.bytesRead > this.#limits.maxHandshakeBytes) this.#refuse('too many bytes before the handshake', socket)
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      // Errors of the protocol end in `close`.
      webSocket.on('error', () => webSocket.terminate())
      socket.on('data', meter)
      this.#awaitHello(webSocket, socket, () => socket.off('data', meter))
    })
  }

  #awaitHello(webSocket: WebSocket, socket: Socket, onKnown: () => void): void {
    const identity = this.#options.identity
    webSocket.once('message', (data, isBinary) => {
      const bytes = data as Buffer
      const hello = isBinary ? decodeHello(bytes) : null
      const refusal = hello === null ? 'not a handshake of this version' : this.#judge(hello, socket)
      if (hello === null || refusal !== null) {
        this.#refuse(refusal ?? 'not a handshake of this version', socket)
        return
      }
      const nonce = this.#options.random.bytes(HANDSHAKE_NONCE_BYTES)
      const challenge = encodeChallenge({ identity, process: this.#process }, nonce)
      const said = Buffer.from(bytes)
      webSocket.once('message', (proof) => {
        const wrong = verifyProof(proof as Buffer, 'client', this.#options.secret, said, challenge)
        if (wrong !== null) {
          this.#refuse(wrong, socket)
          return
        }
        const unwanted = this.#events.judge(hello)
        if (unwanted !== null) {
          // Until the close is answered it is a stranger still, with a stranger's time.
          this.#events.onRefused(`${unwanted} (node ${hello.identity.nodeId})`, socket.remoteAddress ?? 'unknown')
          webSocket.close(TURNED_AWAY, unwanted)
          return
        }
        onKnown()
        this.#forget(addressOf(socket))
        webSocket.send(encodeProof('server', this.#options.secret, said, challenge))
        this.#events.onPeer(hello, webSocket, socket)
      })
      webSocket.send(challenge)
    })
  }

  #judge(hello: Hello, socket: Socket): HandshakeRefusal | null {
    const { identity, tls } = this.#options
    if (hello.identity.clusterId !== identity.clusterId) return 'another cluster'
    if (hello.targetId !== identity.nodeId) return 'meant for another node'
    if (hello.identity.nodeId === identity.nodeId) return 'a node that has our own id'
    if (tls?.nameOf === undefined) return null
    const certificate = (socket as TLSSocket).getPeerX509Certificate()
    const isNamed = certificate?.checkHost(tls.nameOf(hello.identity.nodeId)) !== undefined
    return isNamed ? null : 'certificate of another node'
  }

  #refuse(reason: string, socket: Socket): void {
    this.#events.onRefused(reason, socket.remoteAddress ?? 'unknown')
    socket.destroy()
  }
}

function addressOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}
