import type { Timer } from '@millrace/base'
import { decodeResponseHeader, encodeRequestHeader, Reader, Writer } from '@millrace/protocol'
import { ConnectionError } from '../errors/client-errors.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import { type Api, messageFor, type RequestMessage } from './api.ts'
import type { ApiVersionsTable } from './api-versions-table.ts'
import { FrameAssembler } from './frame-assembler.ts'
import type { BrokerAddress, TransportChannel } from './transport.ts'

const WRITER_BYTES = 16 * 1024
const COMPACT_AT = 256

export interface ConnectionOptions {
  clientId: string
  /** From the start of the connection to its end of the handshake. */
  connectionSetupTimeoutMs: number
  maxResponseBytes: number
}

/** What a request may ask for beyond its message. */
export interface RequestOptions {
  /** The connection is given up when no answer came by then: later answers could not be told apart in time. */
  timeoutMs: number
  /** Version limits of this call; the connection picks the newest inside. */
  minVersion?: number
  maxVersion?: number
}

/** An answer with the version it was written in. */
export interface Answer<Response> {
  response: Response
  version: number
}

type State = 'opening' | 'ready' | 'closed'

/** A request that was written and not yet answered. Answers come in the order of requests (Kafka guarantees it per connection). */
class PendingRequest {
  readonly correlationId: number
  readonly version: number
  readonly api: Api<never, unknown>
  readonly deadlineMs: number
  readonly timeoutMs: number
  readonly resolve: (answer: Answer<never>) => void
  readonly reject: (error: unknown) => void

  constructor(
    correlationId: number,
    version: number,
    api: Api<never, unknown>,
    deadlineMs: number,
    timeoutMs: number,
    resolve: (answer: Answer<never>) => void,
    reject: (error: unknown) => void,
  ) {
    this.correlationId = correlationId
    this.version = version
    this.api = api
    this.deadlineMs = deadlineMs
    this.timeoutMs = timeoutMs
    this.resolve = resolve
    this.reject = reject
  }
}

/**
 * One stream to one broker: pipelined requests, answers matched in order, one timer for the oldest deadline. Requests of one turn
 * leave in one write. It opens once and closes once; a new connection is a new object.
 */
export class Connection {
  readonly address: BrokerAddress
  readonly #ports: ClientPorts
  readonly #options: ConnectionOptions
  readonly #onClosed: (error: ConnectionError | null) => void
  readonly #assembler: FrameAssembler
  readonly #reader = new Reader(Buffer.alloc(0))
  readonly #writer = new Writer(WRITER_BYTES)
  #channel: TransportChannel | null = null
  #state: State = 'opening'
  #versions: ApiVersionsTable | null = null
  #pending: PendingRequest[] = []
  #pendingHead = 0
  #nextCorrelationId = 0
  #flushScheduled = false
  #timer: Timer | null = null
  #timerDeadlineMs = Number.POSITIVE_INFINITY
  #rejectOpening: ((error: unknown) => void) | null = null
  #lastUsedMs: number
  #throttledUntilMs = 0
  #hasBacklog = false
  readonly #roomWaiters: (() => void)[] = []
  readonly #drainWaiters: (() => void)[] = []

  /** `onClosed` is called once, after every pending request was rejected; its error is null after `close()`. */
  constructor(
    address: BrokerAddress,
    ports: ClientPorts,
    options: ConnectionOptions,
    onClosed: (error: ConnectionError | null) => void,
  ) {
    this.address = address
    this.#ports = ports
    this.#options = options
    this.#onClosed = onClosed
    this.#assembler = new FrameAssembler(options.maxResponseBytes, (frame) => this.#onFrame(frame))
    this.#lastUsedMs = ports.clock.monotonicMs()
  }

  /**
   * Connects, then runs `handshake` over the raw connection (version negotiation, authentication), which gives the broker's table.
   * Rejects with {@link ConnectionError}, or the handshake's own error; the connection is closed then.
   */
  async open(handshake: (connection: Connection) => Promise<ApiVersionsTable>): Promise<void> {
    const { host, port } = this.address
    const { connectionSetupTimeoutMs } = this.#options
    const limit = this.#ports.timers.setTimer(connectionSetupTimeoutMs, () => {
      this.#end(
        new ConnectionError('CONNECTION_TIMED_OUT', host, port, `no connection within ${connectionSetupTimeoutMs} ms`),
      )
    })
    try {
      await this.#connect()
      this.#versions = await handshake(this)
      if (this.#state !== 'opening') throw new ConnectionError('CONNECTION_CLOSED', host, port, 'closed while opening')
      this.#state = 'ready'
    } catch (error) {
      this.close()
      throw error
    } finally {
      limit.cancel()
    }
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** Requests written and not yet answered. */
  get inFlightCount(): number {
    return this.#pending.length - this.#pendingHead
  }

  /** When a request was last sent or answered, in monotonic milliseconds. */
  get lastUsedMs(): number {
    return this.#lastUsedMs
  }

  /** The broker asked for silence until then (KIP-219), in monotonic milliseconds. */
  get throttledUntilMs(): number {
    return this.#throttledUntilMs
  }

  /** What the broker serves. The connection is ready. */
  get versions(): ApiVersionsTable {
    if (this.#versions === null)
      throw new ConnectionError('CONNECTION_CLOSED', this.address.host, this.address.port, 'not open')
    return this.#versions
  }

  /**
   * Writes a request and gives the answer. Rejects with {@link ConnectionError} when the connection ends first, with
   * `UnsupportedVersionError` when the broker serves no fitting version. Never throws synchronously.
   */
  request<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options: RequestOptions,
  ): Promise<Answer<Response>> {
    if (this.#state !== 'ready') return Promise.reject(this.#closedError())
    try {
      const version = this.versions.choose(api, options.minVersion, options.maxVersion)
      return this.requestVersion(api, message, version, options.timeoutMs)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As {@link request} with a given version and before the handshake has ended: for the handshake itself. */
  requestVersion<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    version: number,
    timeoutMs: number,
  ): Promise<Answer<Response>> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed') {
        reject(this.#closedError())
        return
      }
      const nowMs = this.#ports.clock.monotonicMs()
      let correlationId: number
      try {
        correlationId = this.#write(api, message, version, nowMs)
      } catch (error) {
        reject(error)
        return
      }
      this.#pending.push(new PendingRequest(correlationId, version, api, nowMs + timeoutMs, timeoutMs, resolve, reject))
      if (nowMs + timeoutMs < this.#timerDeadlineMs) this.#armTimer()
    })
  }

  /** Writes a request that gets no answer (Produce with acks 0). Throws what `request` would reject with. */
  send<Request extends object>(
    api: Api<Request, unknown>,
    message: RequestMessage<Request>,
    maxVersion?: number,
  ): void {
    if (this.#state !== 'ready') throw this.#closedError()
    this.#write(api, message, this.versions.choose(api, 0, maxVersion), this.#ports.clock.monotonicMs())
  }

  /** Resolves when a request was answered or the connection ended. Waiters are woken one per answer, in order. */
  room(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve()
    return new Promise((resolve) => {
      this.#roomWaiters.push(resolve)
    })
  }

  /** A waiter that {@link room} woke has no use for the place: the next one in line gets it. */
  passRoomOn(): void {
    this.#roomWaiters.shift()?.()
  }

  /** Whether more waits to be written than the transport likes. Only requests without an answer have to look at it. */
  get isCongested(): boolean {
    return this.#hasBacklog
  }

  /** Resolves when the transport has room again or the connection ended. */
  drained(): Promise<void> {
    if (!this.#hasBacklog || this.#state === 'closed') return Promise.resolve()
    return new Promise((resolve) => {
      this.#drainWaiters.push(resolve)
    })
  }

  /** Ends the connection now; what is pending is rejected with {@link ConnectionError}. May be called any number of times. */
  close(): void {
    this.#end(null)
  }

  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#rejectOpening = reject
      try {
        this.#channel = this.#ports.transport.open(this.address, {
          onOpen: resolve,
          onData: (chunk) => this.#onData(chunk),
          onDrain: () => this.#onDrain(),
          onClose: (error) => {
            this.#end(error ?? this.#closedError())
            reject(error ?? this.#closedError())
          },
        })
      } catch (cause) {
        // An address that cannot even be tried, such as a port of 70000: a broker named it, so it may be mended there.
        const { host, port } = this.address
        const reason = cause instanceof Error ? cause.message : String(cause)
        this.#end(new ConnectionError('CONNECTION_FAILED', host, port, reason, { cause }))
      }
    })
  }

  #write<Request extends object>(
    api: Api<Request, unknown>,
    message: RequestMessage<Request>,
    version: number,
    nowMs: number,
  ): number {
    const correlationId = this.#nextCorrelationId
    // Wraps as an int32, since the broker only echoes it.
    this.#nextCorrelationId = (correlationId + 1) | 0
    const writer = this.#writer
    writer.beginFrame()
    try {
      const header = {
        requestApiKey: api.key,
        requestApiVersion: version,
        correlationId,
        clientId: this.#options.clientId,
        unknownTaggedFields: null,
      }
      encodeRequestHeader(writer, header, api.requestHeaderVersion(version))
      api.encodeRequest(writer, messageFor(message, version), version)
    } catch (error) {
      writer.abandonFrame()
      throw error
    }
    writer.endFrame()
    this.#lastUsedMs = nowMs
    if (!this.#flushScheduled) {
      this.#flushScheduled = true
      queueMicrotask(() => this.#flush())
    }
    return correlationId
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#state === 'closed') return
    if (!this.#channel!.write(this.#writer.takeChunks())) this.#hasBacklog = true
  }

  #onDrain(): void {
    this.#hasBacklog = false
    for (const wake of this.#drainWaiters.splice(0)) wake()
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'closed') return
    try {
      this.#assembler.push(chunk)
    } catch (error) {
      const { host, port } = this.address
      const reason = error instanceof Error ? error.message : String(error)
      this.#end(new ConnectionError('CONNECTION_PROTOCOL', host, port, reason, { cause: error }))
    }
  }

  /** Throws on anything that is no answer to the oldest pending request: the stream cannot be trusted after it. */
  #onFrame(frame: Buffer): void {
    if (this.#state === 'closed') return
    const pending = this.#pending[this.#pendingHead]
    if (pending === undefined) throw new Error('answer without a request')
    const reader = this.#reader.reset(frame)
    const header = decodeResponseHeader(reader, pending.api.responseHeaderVersion(pending.version))
    if (header.correlationId !== pending.correlationId) {
      throw new Error(`answer ${header.correlationId} to request ${pending.correlationId} of ${pending.api.name}`)
    }
    const response = pending.api.decodeResponse(reader, pending.version)
    this.#shiftPending()
    this.#lastUsedMs = this.#ports.clock.monotonicMs()
    this.#noteThrottle(response)
    pending.resolve({ response: response as never, version: pending.version })
  }

  #shiftPending(): void {
    this.#pendingHead++
    this.#roomWaiters.shift()?.()
    if (this.#pendingHead === this.#pending.length) {
      this.#pending.length = 0
      this.#pendingHead = 0
    } else if (this.#pendingHead === COMPACT_AT) {
      // A pipeline that never runs dry would otherwise keep every answered request.
      this.#pending.splice(0, COMPACT_AT)
      this.#pendingHead = 0
    }
  }

  #noteThrottle(response: unknown): void {
    const throttleTimeMs = (response as { throttleTimeMs?: number }).throttleTimeMs
    if (throttleTimeMs !== undefined && throttleTimeMs > 0) this.#throttledUntilMs = this.#lastUsedMs + throttleTimeMs
  }

  /** One timer for the earliest deadline. It is left running when that request is answered, so answers cost no timer. */
  #armTimer(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#timerDeadlineMs = Number.POSITIVE_INFINITY
    for (let slot = this.#pendingHead; slot < this.#pending.length; slot++) {
      this.#timerDeadlineMs = Math.min(this.#timerDeadlineMs, this.#pending[slot]!.deadlineMs)
    }
    if (this.#timerDeadlineMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(0, this.#timerDeadlineMs - this.#ports.clock.monotonicMs())
    this.#timer = this.#ports.timers.setTimer(delayMs, () => this.#onTimer())
  }

  #onTimer(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    for (let slot = this.#pendingHead; slot < this.#pending.length; slot++) {
      const pending = this.#pending[slot]!
      if (pending.deadlineMs > nowMs) continue
      const { host, port } = this.address
      const message = `no answer to ${pending.api.name} within ${pending.timeoutMs} ms`
      this.#end(new ConnectionError('CONNECTION_TIMED_OUT', host, port, message))
      return
    }
    this.#armTimer()
  }

  #end(error: ConnectionError | null): void {
    if (this.#state === 'closed') return
    const wasOpening = this.#state === 'opening'
    this.#state = 'closed'
    this.#timer?.cancel()
    this.#timer = null
    this.#channel?.close()
    const reason = error ?? this.#closedError()
    if (wasOpening) this.#rejectOpening?.(reason)
    const pending = this.#pending.slice(this.#pendingHead)
    this.#pending = []
    this.#pendingHead = 0
    for (const request of pending) request.reject(reason)
    for (const wake of this.#roomWaiters.splice(0)) wake()
    this.#onDrain()
    this.#onClosed(error)
  }

  #closedError(): ConnectionError {
    return new ConnectionError('CONNECTION_CLOSED', this.address.host, this.address.port, 'the connection is closed')
  }
}
