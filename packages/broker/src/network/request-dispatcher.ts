import { AssertionError, type Clock } from '@millrace/base'
import {
  ApiKey,
  apis,
  createApiVersionsResponse,
  ErrorCode,
  encodeApiVersionsResponse,
  MAX_NAME_BYTES,
  MalformedMessageError,
  Reader,
  StringTooLongError,
  type Writer,
} from '@millrace/protocol'
import type { ApiHandler, RequestContext } from '../handlers/handler.ts'
import { type ListPath, LongAnswers, longListsOf } from '../handlers/long-answers.ts'
import { type NextTurn, watch } from '../handlers/slices.ts'
import type { Logger } from '../logger.ts'
import type { NetworkMetrics } from '../metrics/network-metrics.ts'
import { type AnswerInMaking, type AnswersInMaking, LARGE_REQUEST_BYTES } from './answers-in-making.ts'
import type { Connection, RequestDispatcher } from './connection.ts'
import { type RequestHeader, readRequestHeader } from './request-header.ts'
import { ResponseSlot } from './response-slot.ts'

/**
 * Most array elements and tagged fields of a request, some times what the largest cluster needs. A frame of 100 MiB has room for a
 * hundred million empty names, which would be decoded and answered by so many objects that the heap ends first.
 */
const MAX_REQUEST_ELEMENTS = 500_000

/**
 * Requests whose answers are small, or no larger than what was asked: of these several may be under way on one connection. All others
 * start alone, so that 64 requests of a few bytes for all topics do not become 64 answers of a megabyte that nobody reads.
 */
const SMALL_ANSWERS: ReadonlySet<number> = new Set([
  ApiKey.PRODUCE,
  ApiKey.LIST_OFFSETS,
  ApiKey.OFFSET_COMMIT,
  ApiKey.FIND_COORDINATOR,
  ApiKey.HEARTBEAT,
  ApiKey.API_VERSIONS,
  ApiKey.INIT_PRODUCER_ID,
])

/** What these bring is kept by what they ask of, and counted there; they may wait for minutes. Heartbeats and the like are never large. */
const COUNTED_ELSEWHERE: ReadonlySet<number> = new Set([
  ApiKey.PRODUCE,
  ApiKey.FETCH,
  ApiKey.JOIN_GROUP,
  ApiKey.SYNC_GROUP,
])

/** A handler that reads its request itself and fills its slot itself: Produce, which is too hot for the general way. */
export interface RawHandler {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
  /** `reader` stands at the body; its bytes are valid during the call only. Null: close the connection. */
  start(reader: Reader, header: RequestHeader, connection: Connection): ResponseSlot | null
}

export interface DispatcherOptions {
  handlers: readonly ApiHandler[]
  rawHandlers: readonly RawHandler[]
  maxRequestBytes: number
  clock: Clock
  logger: Logger
  metrics: NetworkMetrics
  /** Long answers are encoded a slice a turn. */
  nextTurn: NextTurn
  making: AnswersInMaking
  /** A handler met a broken invariant: nothing may go on. */
  onFatal(error: Error): void
  onClosed(connection: Connection): void
}

/** Finds the handler of each request and gives its answer a slot. What has no answer by protocol closes the connection (`reliability.md`, 6.1). */
export class Dispatcher implements RequestDispatcher {
  readonly #handlers: (ApiHandler | undefined)[] = []
  readonly #raw: (RawHandler | undefined)[] = []
  readonly #options: DispatcherOptions
  readonly #longAnswers = new LongAnswers()
  readonly #header: RequestHeader = { apiKey: 0, apiVersion: 0, correlationId: 0, clientId: '' }
  /** Of all requests that are read in place, one after the other. */
  readonly #reader = new Reader(Buffer.alloc(0), 0, 0, MAX_REQUEST_ELEMENTS, MAX_NAME_BYTES)

  constructor(options: DispatcherOptions) {
    this.#options = options
    for (const handler of options.handlers) this.#handlers[handler.apiKey] = handler
    for (const handler of options.rawHandlers) this.#raw[handler.apiKey] = handler
  }

  maxFrameBytes(_connection: Connection): number {
    return this.#options.maxRequestBytes
  }

  isPipelined(buffer: Buffer, start: number): boolean {
    return buffer[start] === 0 && buffer[start + 1] === ApiKey.PRODUCE
  }

  startsAlone(buffer: Buffer, start: number): boolean {
    return !SMALL_ANSWERS.has(buffer.readInt16BE(start))
  }

  mayStart(connection: Connection, buffer: Buffer, start: number, sizeBytes: number): boolean {
    if (sizeBytes <= LARGE_REQUEST_BYTES || COUNTED_ELSEWHERE.has(buffer.readInt16BE(start))) return true
    return this.#options.making.mayStart(connection, sizeBytes)
  }

  onAnswersShed(connection: Connection): void {
    this.#refuse(connection, 'answers-unread', 'its answers were not read, and others need the memory')
  }

  onFrameShed(connection: Connection): void {
    this.#refuse(
      connection,
      'slow-frame',
      'its request was begun long ago, could not be started yet, and others need the memory',
    )
  }

  onFrameRefused(connection: Connection): void {
    this.#refuse(connection, 'frame-without-room', 'there is no memory for what it sent (queued.max.request.bytes)')
  }

  onConnectionClosed(connection: Connection): void {
    this.#options.onClosed(connection)
  }

  onBadFrame(connection: Connection, sizeBytes: number): void {
    const limit = this.#options.maxRequestBytes
    this.#refuse(
      connection,
      'bad-frame',
      `frame of ${sizeBytes} bytes; allowed are 8 to ${limit} (socket.request.max.bytes)`,
    )
  }

  onEncodeFailed(connection: Connection, error: unknown): void {
    // An answer that quotes what the client sent may exceed what a string can hold: the client's doing, not a fault of ours.
    if (error instanceof StringTooLongError) this.#refuse(connection, 'unanswerable', error.message)
    else this.#handlerFailed(connection, -1, error)
  }

  dispatch(connection: Connection, buffer: Buffer, start: number, end: number, mayKeep: boolean): ResponseSlot | null {
    const apiKey = buffer.readInt16BE(start)
    const apiVersion = buffer.readInt16BE(start + 2)
    const raw = this.#raw[apiKey]
    try {
      if (raw !== undefined) {
        if (apiVersion < raw.minVersion || apiVersion > raw.maxVersion)
          return this.#unsupported(connection, apiKey, apiVersion)
        const reader = this.#reader.reset(buffer, start, end)
        readRequestHeader(reader, this.#header)
        this.#options.metrics.onRequest(apiKey, apiVersion, end - start)
        return raw.start(reader, this.#header, connection)
      }
      const handler = this.#handlers[apiKey]
      if (handler === undefined) return this.#unsupported(connection, apiKey, apiVersion)
      if (apiVersion < handler.minVersion || apiVersion > handler.maxVersion) {
        if (apiKey === ApiKey.API_VERSIONS) return this.#unsupportedApiVersions(handler, buffer.readInt32BE(start + 4))
        return this.#unsupported(connection, apiKey, apiVersion)
      }
      this.#options.metrics.onRequest(apiKey, apiVersion, end - start)
      return this.#start(
        handler,
        connection,
        mayKeep ? buffer.subarray(start, end) : copyOf(buffer, start, end),
        mayKeep,
      )
    } catch (error) {
      if (error instanceof MalformedMessageError) {
        this.#refuse(connection, 'malformed', `${nameOf(apiKey)} version ${apiVersion}: ${error.message}`)
        return null
      }
      return this.#handlerFailed(connection, apiKey, error)
    }
  }

  #start(handler: ApiHandler, connection: Connection, bytes: Buffer, isFrame: boolean): ResponseSlot | null {
    const reader = new Reader(bytes, 0, bytes.length, MAX_REQUEST_ELEMENTS, MAX_NAME_BYTES)
    const header: RequestHeader = { apiKey: 0, apiVersion: 0, correlationId: 0, clientId: '' }
    readRequestHeader(reader, header)
    const request = handler.decodeRequest(reader, header.apiVersion)
    // Kafka never looks behind a request, and librdkafka 2.15 relies on it: it counts the topics of "all topics" in Metadata v13 with
    // four bytes instead of one.
    if (header.apiKey !== ApiKey.METADATA) reader.expectEnd()
    const slot = new GeneralSlot(handler, header, connection, this.#options.clock.monotonicMs(), this.#options.making)
    // What could not be decoded is free at once instead.
    if (isFrame) connection.onFrameTaken()
    if (!COUNTED_ELSEWHERE.has(header.apiKey)) slot.countRequest(isFrame ? bytes.buffer.byteLength : bytes.length)
    let answer: ReturnType<typeof handler.handle>
    try {
      answer = handler.handle(request, slot)
    } catch (error) {
      slot.abandon()
      throw error
    }
    if (answer instanceof Promise) {
      answer.then(
        (response) => this.#complete(slot, connection, response),
        (error: unknown) => {
          this.#handlerFailed(connection, header.apiKey, error)
          connection.close()
        },
      )
    } else {
      this.#complete(slot, connection, answer)
    }
    return slot
  }

  #complete(slot: GeneralSlot, connection: Connection, response: unknown): void {
    this.#options.metrics.onAnswered(slot.apiKey, this.#options.clock.monotonicMs() - slot.startedMs)
    const lists = response === null ? null : longListsOf(slot.apiKey, slot.apiVersion, response)
    if (lists !== null) {
      this.#encodeLater(slot, connection, response as object, lists)
      return
    }
    slot.response = response
    slot.silent = response === null
    if (slot.silent) slot.endMaking()
    slot.complete()
  }

  /** The answer is ready once its pieces are. */
  #encodeLater(slot: GeneralSlot, connection: Connection, response: object, lists: ListPath): void {
    if (slot.abandoned) return
    const encoded = this.#longAnswers.encode(response, lists, {
      encode: (writer, part) => slot.encodeBody(writer, part),
      nextTurn: this.#options.nextTurn,
      isGone: watch(slot),
      onPiece(sizeBytes) {
        connection.takeAnswerBytes(sizeBytes)
        slot.holdAnswerBytes(sizeBytes)
      },
    })
    encoded.then(
      (pieces) => {
        if (pieces === null) return
        slot.pieces = pieces
        slot.endMaking()
        slot.complete()
      },
      (error: unknown) => {
        this.onEncodeFailed(connection, error)
        connection.close()
      },
    )
  }

  #unsupportedApiVersions(handler: ApiHandler, correlationId: number): ResponseSlot {
    const slot = new UnsupportedApiVersionsSlot(handler, correlationId)
    slot.ready = true
    return slot
  }

  #unsupported(connection: Connection, apiKey: number, apiVersion: number): null {
    this.#refuse(connection, 'unsupported', `${nameOf(apiKey)} version ${apiVersion} is not served`)
    return null
  }

  /** The handler threw what it should not. A broken invariant stops the broker; anything else costs the client its connection. */
  #handlerFailed(connection: Connection, apiKey: number, error: unknown): null {
    const failure = error instanceof Error ? error : new Error(String(error))
    if (failure instanceof AssertionError) {
      this.#options.onFatal(failure)
      return null
    }
    this.#options.metrics.onHandlerError(apiKey)
    this.#options.logger.error('request failed', {
      api: nameOf(apiKey),
      clientAddress: connection.context.clientAddress,
      error: failure.stack ?? failure.message,
    })
    return null
  }

  #refuse(connection: Connection, kind: string, reason: string): void {
    this.#options.metrics.onRefused(kind)
    if (!this.#options.metrics.mayLogRefusal(connection.context.clientAddress, this.#options.clock.monotonicMs()))
      return
    this.#options.logger.warn('connection closed: bad request', {
      clientAddress: connection.context.clientAddress,
      clientPort: connection.context.clientPort,
      reason,
    })
  }
}

/** Handlers may answer much later and may keep what they decoded; the socket's buffer is reused at once. */
function copyOf(buffer: Buffer, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafe(end - start)
  buffer.copy(bytes, 0, start, end)
  return bytes
}

function nameOf(apiKey: number): string {
  return apis[apiKey]?.name ?? `API key ${apiKey}`
}

/** Slot and request context in one: there is one of each per request. */
class GeneralSlot extends ResponseSlot implements RequestContext {
  readonly #handler: ApiHandler
  readonly #connection: Connection
  readonly #header: RequestHeader
  readonly startedMs: number
  response: unknown = null
  /** The encoded body, if it was encoded before its time. */
  pieces: readonly Buffer[] | null = null
  #onAbandoned: (() => void) | null = null
  #abandoned = false
  readonly #allInMaking: AnswersInMaking
  /** Null: nothing of this answer is counted, as of nearly all. */
  #making: AnswerInMaking | null = null

  /** The client is gone. */
  get abandoned(): boolean {
    return this.#abandoned
  }

  constructor(
    handler: ApiHandler,
    header: RequestHeader,
    connection: Connection,
    startedMs: number,
    allInMaking: AnswersInMaking,
  ) {
    super(false)
    this.#allInMaking = allInMaking
    this.#handler = handler
    this.#header = header
    this.#connection = connection
    this.startedMs = startedMs
  }

  get apiKey(): number {
    return this.#header.apiKey
  }

  get apiVersion(): number {
    return this.#header.apiVersion
  }

  get correlationId(): number {
    return this.#header.correlationId
  }

  get clientId(): string {
    return this.#header.clientId
  }

  get connection(): Connection['context'] {
    return this.#connection.context
  }

  onAbandoned(callback: () => void): void {
    if (this.#abandoned) callback()
    else this.#onAbandoned = callback
  }

  holdAnswerBytes(sizeBytes: number): void {
    // Read for a client that has gone meanwhile.
    if (this.#abandoned) this.#connection.releaseAnswerBytes(sizeBytes)
    else this.copiedBytes += sizeBytes
  }

  countRequest(sizeBytes: number): void {
    this.#making = this.#allInMaking.begin(sizeBytes)
  }

  nextSlice(nextTurn: NextTurn): Promise<void> {
    if (this.#abandoned) return nextTurn()
    this.#making ??= this.#allInMaking.open()
    return this.#making.next(nextTurn)
  }

  growAnswer(elementCount: number): void {
    if (this.#abandoned) return
    this.#making ??= this.#allInMaking.open()
    this.#making.grow(elementCount)
  }

  /** The answer is bytes now, or not wanted. */
  endMaking(): void {
    this.#making?.end()
  }

  override abandon(): void {
    super.abandon()
    this.#abandoned = true
    this.pieces = null
    this.response = null
    this.endMaking()
    const copiedBytes = this.takeCopiedBytes()
    if (copiedBytes > 0) this.#connection.releaseAnswerBytes(copiedBytes)
    const callback = this.#onAbandoned
    this.#onAbandoned = null
    if (callback !== null && !this.ready) callback()
  }

  encodeBody(writer: Writer, response: unknown): void {
    this.#handler.encodeResponse(writer, response, this.#header.apiVersion)
  }

  encode(writer: Writer): void {
    const { pieces } = this
    const version = this.#header.apiVersion
    writer.beginFrame()
    writer.int32(this.#header.correlationId)
    if ((apis[this.#handler.apiKey]?.responseHeaderVersion(version) ?? 0) > 0) writer.unsignedVarint(0)
    if (pieces === null) this.encodeBody(writer, this.response)
    else writer.splice(pieces, sizeOf(pieces))
    writer.endFrame()
    this.response = null
    this.pieces = null
    this.endMaking()
  }
}

function sizeOf(pieces: readonly Buffer[]): number {
  let sizeBytes = 0
  for (const { length } of pieces) sizeBytes += length
  return sizeBytes
}

/** KIP-511: a client that is too new learns in a body of version 0 which versions of ApiVersions are served. */
class UnsupportedApiVersionsSlot extends ResponseSlot {
  readonly #handler: ApiHandler
  readonly #correlationId: number

  constructor(handler: ApiHandler, correlationId: number) {
    super(false)
    this.#handler = handler
    this.#correlationId = correlationId
  }

  encode(writer: Writer): void {
    const { apiKey, minVersion, maxVersion } = this.#handler
    writer.beginFrame()
    writer.int32(this.#correlationId)
    const apiKeys = [{ apiKey, minVersion, maxVersion, unknownTaggedFields: null }]
    encodeApiVersionsResponse(
      writer,
      createApiVersionsResponse({ errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys }),
      0,
    )
    writer.endFrame()
  }
}
