import { assert, BaseError, type Random, type Timer, type Timers } from '@millrace/base'
import {
  type ApiDefinition,
  apiVersionsApi,
  createApiVersionsRequest,
  createSaslAuthenticateRequest,
  createSaslHandshakeRequest,
  decodeResponseHeader,
  ErrorCode,
  MalformedMessageError,
  Reader,
  saslAuthenticateApi,
  saslHandshakeApi,
  Writer,
  writeRequestHeader,
} from '@millrace/protocol'
import type { Connect, Transport, TransportEvents } from '../network/transport.ts'
import {
  BROKER_PROOF_MECHANISM,
  type BrokerHello,
  brokerProof,
  encodeBrokerHello,
  isBrokerChallenge,
  isBrokerProof,
  PROOF_NONCE_BYTES,
} from './broker-proof.ts'

/** A broker could not be reached, did not answer in time, or answered what nobody can read. The connection is closed. */
export class BrokerConnectionError extends BaseError {
  constructor(message: string) {
    super('BROKER_CONNECTION_FAILED', message)
  }
}

export interface BrokerConnectionOptions {
  readonly connect: Connect
  readonly timers: Timers
  readonly host: string
  readonly port: number
  readonly clientId: string
  /** Longest answer that is read; its memory is kept from answer to answer. */
  readonly maxAnswerBytes: number
  /** What this broker proves, and has the other one prove; null: nothing. */
  readonly proof: BrokerConnectionProof | null
}

export interface BrokerConnectionProof extends BrokerHello {
  readonly secret: Buffer
  readonly random: Random
}

const SIZE_BYTES = 4
/** A declared size is believed only as far as bytes arrive. */
const INITIAL_BYTES = 64 * 1024
/** ApiVersions with client name, and without anything, which every broker understands. */
const API_VERSIONS = { newest: 3, oldest: 0 } as const

interface Outstanding {
  readonly correlationId: number
  readonly timer: Timer
  resolve(answer: Reader): void
  reject(error: Error): void
}

/**
 * This broker as a client of another one: requests in Kafka's protocol over one connection, one at a time. Closes with the first thing
 * that goes wrong; whoever needs it opens another.
 */
export class BrokerConnection implements TransportEvents {
  readonly #options: BrokerConnectionOptions
  #transport: Transport | null = null
  readonly #writer = new Writer()
  readonly #versions = new Map<number, { min: number; max: number }>()
  #outstanding: Outstanding | null = null
  #correlationId = 0
  #buffer: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  #end = 0
  /** Part of `#buffer` that the transport reads into. */
  #target: Buffer | null = null
  #closed: BrokerConnectionError | null = null

  private constructor(options: BrokerConnectionOptions) {
    this.#options = options
  }

  /** Connects and asks which versions the other one speaks. Rejects with {@link BrokerConnectionError}. */
  static async open(options: BrokerConnectionOptions, timeoutMs: number): Promise<BrokerConnection> {
    const connection = new BrokerConnection(options)
    const overdue = Promise.withResolvers<never>()
    const timer = options.timers.setTimer(timeoutMs, () => overdue.reject(connection.#fail('no connection in time')))
    try {
      await Promise.race([connection.#connect(), overdue.promise])
      await connection.#negotiate(timeoutMs)
      if (options.proof !== null) await connection.#introduce(options.proof, timeoutMs)
      return connection
    } catch (error) {
      if (error instanceof BrokerConnectionError) throw error
      throw connection.#fail(error instanceof Error ? error.message : String(error))
    } finally {
      timer.cancel()
    }
  }

  async #connect(): Promise<void> {
    const { connect, host, port } = this.#options
    const transport = await connect({ host, port, events: this })
    // Nobody waits for it any more.
    if (this.#closed !== null) transport.destroy()
    else this.#transport = transport
  }

  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** Newest version of an API that both sides know, -1 if there is none. */
  versionOf(api: { readonly key: number; readonly minVersion: number; readonly maxVersion: number }): number {
    const range = this.#versions.get(api.key)
    if (range === undefined) return -1
    const version = Math.min(api.maxVersion, range.max)
    return version < Math.max(api.minVersion, range.min) ? -1 : version
  }

  /**
   * Resolves with the answer to one request; the one before must have been answered. What the answer refers to of the frame, records
   * above all, is valid until the next call. Rejects with {@link BrokerConnectionError}.
   */
  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const version = this.versionOf(api)
    if (version < 0) throw this.#fail(`speaks no version of ${api.name} that is known here`)
    return this.#call(api, version, request, timeoutMs)
  }

  /** What is under way is rejected. */
  close(): void {
    this.#fail('closed here')
  }

  async #negotiate(timeoutMs: number): Promise<void> {
    const request = createApiVersionsRequest({ clientSoftwareName: 'millrace', clientSoftwareVersion: '1' })
    let answer = await this.#call(apiVersionsApi, API_VERSIONS.newest, request, timeoutMs)
    if (answer.errorCode === ErrorCode.UNSUPPORTED_VERSION) {
      answer = await this.#call(apiVersionsApi, API_VERSIONS.oldest, createApiVersionsRequest(), timeoutMs)
    }
    if (answer.errorCode !== ErrorCode.NONE) throw this.#fail(`refuses to tell its versions: ${answer.errorCode}`)
    for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
      this.#versions.set(apiKey, { min: minVersion, max: maxVersion })
    }
  }

  /** Neither side believes the other anything before both have proved that they know the cluster's secret. */
  async #introduce(proof: BrokerConnectionProof, timeoutMs: number): Promise<void> {
    const handshake = createSaslHandshakeRequest({ mechanism: BROKER_PROOF_MECHANISM })
    const { errorCode } = await this.call(saslHandshakeApi, handshake, timeoutMs)
    if (errorCode !== ErrorCode.NONE)
      throw this.#fail('does not know controller.peer.secret, by which brokers prove who they are')
    const hello = encodeBrokerHello(proof, proof.random.bytes(PROOF_NONCE_BYTES))
    const challenge = await this.#prove(hello, timeoutMs)
    if (!isBrokerChallenge(challenge)) throw this.#fail('proves itself in a way that is not known here')
    const accept = await this.#prove(brokerProof('client', proof.secret, hello, challenge), timeoutMs)
    if (!isBrokerProof(accept, 'server', proof.secret, hello, challenge))
      throw this.#fail('has another controller.peer.secret')
  }

  async #prove(authBytes: Buffer, timeoutMs: number): Promise<Buffer> {
    const answer = await this.call(saslAuthenticateApi, createSaslAuthenticateRequest({ authBytes }), timeoutMs)
    if (answer.errorCode !== ErrorCode.NONE) {
      throw this.#fail('takes this broker for none of its cluster: it may have another controller.peer.secret')
    }
    return Buffer.from(answer.authBytes)
  }

  async #call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    assert(this.#outstanding === null, 'one request at a time')
    if (this.#closed !== null) throw this.#closed
    const { timers, clientId } = this.#options
    const correlationId = this.#correlationId++ & 0x7fffffff
    const writer = this.#writer
    writer.beginFrame()
    writeRequestHeader(writer, {
      requestApiKey: api.key,
      requestApiVersion: version,
      correlationId,
      clientId,
      unknownTaggedFields: null,
    })
    api.encodeRequest(writer, request, version)
    writer.endFrame()
    const { promise, resolve, reject } = Promise.withResolvers<Reader>()
    const timer = timers.setTimer(timeoutMs, () => this.#fail(`no answer to ${api.name} in time`))
    this.#outstanding = { correlationId, timer, resolve, reject }
    const { sizeBytes } = writer
    this.#transport!.write(writer.takeChunks(), sizeBytes)
    const reader = await promise
    try {
      decodeResponseHeader(reader, api.responseHeaderVersion(version))
      return api.decodeResponse(reader, answerVersion(api.key, version, reader))
    } catch (error) {
      if (!(error instanceof MalformedMessageError)) throw error
      throw this.#fail(`answer to ${api.name} cannot be read: ${error.message}`)
    }
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#closed !== null) return
    if (buffer !== this.#target) {
      this.#grow(this.#end + end - start)
      buffer.copy(this.#buffer, this.#end, start, end)
    }
    this.#end += end - start
    if (this.#end < SIZE_BYTES) return
    const sizeBytes = this.#buffer.readInt32BE(0)
    if (sizeBytes < SIZE_BYTES || sizeBytes > this.#options.maxAnswerBytes) {
      this.#fail(`answer of ${sizeBytes} bytes`)
      return
    }
    if (this.#end < SIZE_BYTES + sizeBytes) return
    if (this.#end > SIZE_BYTES + sizeBytes) {
      this.#fail('bytes behind the answer')
      return
    }
    this.#end = 0
    this.#onAnswer(sizeBytes)
  }

  nextReadBuffer(): Buffer | null {
    this.#target = null
    if (this.#end < SIZE_BYTES || this.#closed !== null) return null
    const frameBytes = SIZE_BYTES + this.#buffer.readInt32BE(0)
    if (this.#end === this.#buffer.length) this.#grow(Math.min(frameBytes, this.#buffer.length * 2))
    this.#target = this.#buffer.subarray(this.#end, Math.min(frameBytes, this.#buffer.length))
    return this.#target
  }

  onDrain(): void {
    // One request at a time never waits behind another.
  }

  onEnd(): void {
    this.#fail('closed by the other side')
  }

  onClose(error: Error | null): void {
    this.#fail(error === null ? 'closed by the other side' : error.message)
  }

  #onAnswer(sizeBytes: number): void {
    const outstanding = this.#outstanding
    const reader = new Reader(this.#buffer, SIZE_BYTES, SIZE_BYTES + sizeBytes)
    if (outstanding === null || this.#buffer.readInt32BE(SIZE_BYTES) !== outstanding.correlationId) {
      this.#fail('answer to no request')
      return
    }
    this.#outstanding = null
    outstanding.timer.cancel()
    outstanding.resolve(reader)
  }

  #grow(sizeBytes: number): void {
    if (sizeBytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(sizeBytes, this.#buffer.length))
    this.#buffer.copy(larger, 0, 0, this.#end)
    this.#buffer = larger
  }

  /** Closes for a reason; the first one stays. */
  #fail(reason: string): BrokerConnectionError {
    if (this.#closed !== null) return this.#closed
    const { host, port } = this.#options
    const error = new BrokerConnectionError(`${host}:${port}: ${reason}`)
    this.#closed = error
    this.#transport?.destroy()
    const outstanding = this.#outstanding
    this.#outstanding = null
    outstanding?.timer.cancel()
    outstanding?.reject(error)
    return error
  }
}

/** ApiVersions answers in its oldest form where it does not know the version that was asked for (KIP-511). */
function answerVersion(apiKey: number, version: number, reader: Reader): number {
  const isRefusal =
    apiKey === apiVersionsApi.key && reader.remaining >= 2 && reader.buffer.readInt16BE(reader.position) !== 0
  return isRefusal ? API_VERSIONS.oldest : version
}
