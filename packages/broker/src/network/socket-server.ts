import type { Clock, Timer, Timers } from '@millrace/base'
import { Writer } from '@millrace/protocol'
import type { ConnectionContext } from '../handlers/handler.ts'
import type { Logger } from '../logger.ts'
import type { BudgetSample } from '../metrics/budget.ts'
import type { NetworkMetrics } from '../metrics/network-metrics.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { AnswersInMaking } from './answers-in-making.ts'
import { BufferPool } from './buffer-pool.ts'
import { Connection, type RequestDispatcher } from './connection.ts'
import { ConnectionLimiter, type ConnectionLimits } from './connection-limiter.ts'
import type { ConnectionShares } from './connection-shares.ts'
import { ConnectionWatch } from './connection-watch.ts'
import { EarlyConnection } from './early-connection.ts'
import type { HttpServer } from './http-server.ts'
import { ProtocolSniffer, type SniffedProtocol } from './protocol-sniffer.ts'
import { RequestBudget } from './request-budget.ts'
import type { AcceptedTransport, Listen, Listener, TransportEvents } from './transport.ts'
import type { Turn } from './turn.ts'
import { WaitingAnswers } from './waiting-answers.ts'

/** Answers are collected here before they leave; what is in flight keeps its part alive. */
const WRITER_BYTES = 256 * 1024
/** Read first of who comes before the broker can serve: enough to tell the protocol, and all that is kept of a Kafka client until then. */
const SNIFF_BYTES = 1

export interface ListenerEndpoint {
  /** Upper case listener name. */
  name: string
  host: string
  port: number
}

export interface SocketServerOptions {
  listeners: readonly ListenerEndpoint[]
  backlog: number
  limits(): ConnectionLimits
  maxIdleMs: number
  /** Who takes nothing of its answers for so long is closed. */
  answerReadTimeoutMs: number
  /** Memory for request frames that are not complete, over all connections. */
  maxQueuedRequestBytes: number
  /** Memory of answers that are read from the disk or that peers do not take. */
  answers: AnswerBudget
  making: AnswersInMaking
  /** Requests begun and not answered, above which a connection may have only one. */
  maxQueuedResponses: number
  maxHttpConnections: number
  /** Who comes from an address. */
  principalOf(remoteAddress: string): string
  /** Opens a port. */
  listen: Listen
  turn: Turn
  clock: Clock
  timers: Timers
  logger: Logger
  metrics: NetworkMetrics
  http: HttpServer
}

/** All listeners of the broker: accepts within the limits, tells Kafka from HTTP, and owns the live connections. */
export class SocketServer {
  readonly #options: SocketServerOptions
  readonly #listeners: { endpoint: ListenerEndpoint; listener: Listener }[] = []
  readonly #shares: ConnectionShares
  readonly #writer = new Writer(WRITER_BYTES)
  readonly #watch: ConnectionWatch
  readonly #limiter: ConnectionLimiter
  #dispatcher: RequestDispatcher | null = null
  /** Kafka clients that came before there was one. */
  readonly #early = new Set<EarlyConnection>()
  /** Shared by the connections: used before the next read. */
  readonly #sniffBuffer = Buffer.allocUnsafeSlow(SNIFF_BYTES)
  #nextConnectionId = 1
  #httpCount = 0
  #limitWarned = false

  constructor(options: SocketServerOptions) {
    this.#options = options
    this.#limiter = new ConnectionLimiter(options.clock, () => options.limits())
    const pool = new BufferPool(options.timers, options.maxQueuedRequestBytes)
    this.#shares = {
      pool,
      requests: new RequestBudget(pool, options.maxQueuedRequestBytes, options.clock, options.timers),
      answers: options.answers,
      making: options.making,
      waiting: new WaitingAnswers(options.maxQueuedResponses),
    }
    const { metrics, maxIdleMs, answerReadTimeoutMs } = options
    const limits = { maxIdleMs, answerReadTimeoutMs }
    this.#watch = new ConnectionWatch(options.clock, options.timers, limits, (_connection, reason) => {
      metrics.connectionsClosed[reason]++
    })
  }

  get connectionCount(): number {
    return this.#limiter.count
  }

  /** Bytes held by request frames that are not complete. */
  get assemblyBytes(): number {
    return this.#shares.pool.usedBytes
  }

  get framesShed(): number {
    return this.#shares.requests.shedCount
  }

  /** What clients can make the network hold, and how much of it they do. */
  budgets(): BudgetSample[] {
    const { pool, requests, answers, making, waiting } = this.#shares
    const limits = this.#options.limits()
    const maxConnections = Math.min(limits.maxConnections, limits.maxByDescriptors)
    return [
      { name: 'connections', unit: 'count', used: this.#limiter.count, limit: maxConnections },
      { name: 'http-connections', unit: 'count', used: this.#httpCount, limit: this.#options.maxHttpConnections },
      { name: 'request-frames', unit: 'bytes', used: pool.usedBytes, limit: requests.maxBytes },
      { name: 'idle-frame-buffers', unit: 'bytes', used: pool.idleBytes, limit: pool.maxBytes },
      { name: 'answers', unit: 'bytes', used: answers.usedBytes, limit: answers.maxBytes },
      { name: 'answers-in-making', unit: 'bytes', used: making.usedBytes, limit: making.maxBytes },
      { name: 'waiting-answers', unit: 'count', used: waiting.count, limit: waiting.maxCount },
    ]
  }

  connections(): Iterable<Connection> {
    return this.#watch.connections()
  }

  /**
   * Binds every listener; returns the ports in the order of the options. HTTP is served from here on. A Kafka client that connects before
   * `serve` waits: one that found the port open and its connection closed at once would back off, or give up.
   */
  async bind(): Promise<ListenerEndpoint[]> {
    const bound: ListenerEndpoint[] = []
    for (const endpoint of this.#options.listeners) {
      const listener = await this.#options.listen({
        host: endpoint.host,
        port: endpoint.port,
        backlog: this.#options.backlog,
        firstReadBuffer: () => (this.#dispatcher === null ? this.#sniffBuffer : null),
        onConnection: (transport) => this.#accept(transport, endpoint.name),
        onError: (error) =>
          this.#options.logger.error('listener failed', { listener: endpoint.name, error: error.message }),
      })
      this.#listeners.push({ endpoint, listener })
      bound.push({ name: endpoint.name, host: endpoint.host, port: listener.port })
    }
    return bound
  }

  /** From here on requests are answered, those of connections that came earlier too. */
  serve(dispatcher: RequestDispatcher): void {
    this.#dispatcher = dispatcher
    for (const early of this.#early) early.handOver(this.#openConnection(early.transport, early.listenerName))
    this.#early.clear()
  }

  /** No new connections; the live ones go on. */
  stopAccepting(): void {
    for (const { listener } of this.#listeners) listener.stopAccepting()
  }

  closeAll(): void {
    this.#watch.stop()
    this.#shares.requests.stop()
    this.#shares.pool.stop()
    for (const { listener } of this.#listeners) listener.destroyAll()
  }

  onConnectionClosed(connection: Connection): void {
    this.#watch.remove(connection)
    this.#release(connection.transport.remoteAddress)
  }

  #accept(transport: AcceptedTransport, listenerName: string): TransportEvents | null {
    const address = transport.remoteAddress
    if (!this.#reserve(address)) {
      this.#options.metrics.connectionsRefused++
      return null
    }
    this.#options.metrics.connectionsAccepted++
    const silent = this.#options.timers.setTimer(this.#options.maxIdleMs, () => transport.destroy())
    const choose = (protocol: SniffedProtocol): TransportEvents | null => {
      const isEarly = protocol === 'kafka' && this.#dispatcher === null
      if (!isEarly) silent.cancel()
      const events = isEarly
        ? this.#hold(transport, listenerName, silent)
        : this.#eventsFor(protocol, transport, listenerName)
      if (events !== null) transport.events = events
      return events
    }
    return new ProtocolSniffer(transport, choose, () => {
      silent.cancel()
      this.#release(address)
    })
  }

  #hold(transport: AcceptedTransport, listenerName: string, idleLimit: Timer): EarlyConnection {
    const onGone = (gone: EarlyConnection): void => {
      this.#early.delete(gone)
      this.#release(transport.remoteAddress)
    }
    const early = new EarlyConnection({ transport, listenerName, idleLimit, onGone })
    this.#early.add(early)
    return early
  }

  #eventsFor(protocol: SniffedProtocol, transport: AcceptedTransport, listenerName: string): TransportEvents | null {
    if (protocol === 'kafka') return this.#openConnection(transport, listenerName)
    if (protocol === 'http') {
      return this.#openHttp(transport)
    }
    const { metrics, logger, clock } = this.#options
    metrics.onRefused(protocol === 'tls' ? 'tls-on-plaintext' : 'unknown-protocol')
    if (metrics.mayLogRefusal(transport.remoteAddress, clock.monotonicMs())) {
      const hint =
        protocol === 'tls' ? 'a TLS client reached a plaintext listener' : 'the first byte is of no known protocol'
      logger.warn('connection closed: wrong protocol', {
        clientAddress: transport.remoteAddress,
        listener: listenerName,
        hint,
      })
    }
    return null
  }

  /** An HTTP connection takes a hundred times the memory of a Kafka client's. */
  #openHttp(transport: AcceptedTransport): TransportEvents | null {
    const { http, metrics, maxHttpConnections } = this.#options
    if (this.#httpCount >= maxHttpConnections) {
      metrics.onRefused('http-connections')
      return null
    }
    this.#httpCount++
    return http.accept(transport, () => {
      this.#httpCount--
      this.#release(transport.remoteAddress)
    })
  }

  #openConnection(transport: AcceptedTransport, listenerName: string): Connection {
    const context: ConnectionContext = {
      connectionId: this.#nextConnectionId++,
      clientAddress: transport.remoteAddress,
      clientPort: transport.remotePort,
      listener: listenerName,
      principal: this.#options.principalOf(transport.remoteAddress),
      brokerId: -1,
      clientSoftwareName: '',
      clientSoftwareVersion: '',
    }
    const dispatcher = this.#dispatcher!
    const connection = new Connection(context, transport, dispatcher, this.#options.turn, this.#shares, this.#writer)
    this.#watch.add(connection)
    return connection
  }

  #reserve(address: string): boolean {
    const refusedBy = this.#limiter.reserve(address)
    if (refusedBy === null) {
      this.#limitWarned = false
      return true
    }
    // Once until somebody gets in again: a crowd at the door must not fill the log.
    if (!this.#limitWarned) {
      this.#limitWarned = true
      this.#options.logger.warn('connections are refused: a limit is reached', { limit: refusedBy, address })
    }
    return false
  }

  #release(address: string): void {
    this.#limiter.release(address)
  }
}
