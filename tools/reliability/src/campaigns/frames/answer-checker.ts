import {
  ApiKey,
  apis,
  type FetchResponse,
  MalformedMessageError,
  type ProduceRequest,
  Reader,
  readRequestHeader,
} from '@millrace/protocol'

const MAX_FRAME_BYTES = 100 * 1024 * 1024
const TLS_HANDSHAKE = 0x16

/**
 * Their answers may wait for time limits, and for others, that the request names; those about share groups' offsets, and the deletion of such
 * a group, for the coordinator of its state.
 */
const PATIENT: ReadonlySet<number> = new Set([
  ApiKey.FETCH,
  ApiKey.SHARE_FETCH,
  ApiKey.JOIN_GROUP,
  ApiKey.SYNC_GROUP,
  ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS,
  ApiKey.ALTER_SHARE_GROUP_OFFSETS,
  ApiKey.DELETE_SHARE_GROUP_OFFSETS,
  ApiKey.DELETE_GROUPS,
])

/** An answer that the broker may owe. */
interface Expected {
  readonly apiKey: number
  readonly version: number
  readonly correlationId: number
  /** A Produce that wants no answer; none must come. */
  readonly isSilent: boolean
}

/** Which versions of an API the broker serves. */
export type ServedVersions = ReadonlyMap<number, { readonly minVersion: number; readonly maxVersion: number }>

/**
 * Follows one connection from outside, whatever is sent on it: cuts the sent bytes into frames as the protocol says and holds each
 * answer against the request whose turn it is. An answer must have its correlation id, and decode to its last byte in its version.
 * It decides nothing about what should be refused: only that what comes back is right.
 */
export class AnswerChecker {
  /** What was wrong, one line each. */
  readonly complaints: string[] = []
  answeredCount = 0
  /** APIs and versions that were answered, as {@link answeredKey} writes them. */
  readonly answered = new Set<number>()
  /** Fetch sessions that were opened. */
  readonly sessionIds: number[] = []
  /** Frames that were sent whole. */
  frameCount = 0
  /** Some request gets no answer by design: Produce with acks 0, whose failure closes the connection without a word. */
  sentSilent = false
  /** Nothing after this point is answered: the bytes are no frames, or a request whose API or version has no answer. */
  isRefused = false
  readonly #served: ServedVersions
  #sent: Buffer = Buffer.alloc(0)
  #received: Buffer = Buffer.alloc(0)
  readonly #expected: Expected[] = []
  #isFirstByte = true

  constructor(served: ServedVersions) {
    this.#served = served
  }

  /** The API whose answer is due and does not come, unless it is one that may wait as long as the client says. */
  get overdueApi(): string | null {
    const first = this.#expected.find(({ isSilent }) => !isSilent)
    return first === undefined || PATIENT.has(first.apiKey) ? null : apis[first.apiKey]!.name
  }

  onSent(bytes: Buffer): void {
    if (this.isRefused || bytes.length === 0) return
    if (this.#isFirstByte && bytes[0]! >= TLS_HANDSHAKE) {
      this.isRefused = true
      return
    }
    this.#isFirstByte = false
    let buffer = this.#sent.length === 0 ? bytes : Buffer.concat([this.#sent, bytes])
    while (buffer.length >= 4 && !this.isRefused) {
      const sizeBytes = buffer.readInt32BE(0)
      if (sizeBytes < 8 || sizeBytes > MAX_FRAME_BYTES) this.isRefused = true
      else if (buffer.length < 4 + sizeBytes) break
      else {
        this.#onFrameSent(buffer)
        buffer = buffer.subarray(4 + sizeBytes)
      }
    }
    this.#sent = Buffer.from(buffer)
  }

  onReceived(bytes: Buffer): void {
    let buffer = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
    while (buffer.length >= 4) {
      const sizeBytes = buffer.readInt32BE(0)
      if (sizeBytes < 4) {
        this.complaints.push(`an answer of ${sizeBytes} bytes`)
        buffer = Buffer.alloc(0)
        break
      }
      if (buffer.length < 4 + sizeBytes) break
      this.#onAnswer(buffer.subarray(4, 4 + sizeBytes))
      buffer = buffer.subarray(4 + sizeBytes)
    }
    this.#received = Buffer.from(buffer)
  }

  /** The connection has ended: half an answer must not be left. */
  onClosed(): void {
    if (this.#received.length > 0) this.complaints.push(`${this.#received.length} bytes of an unfinished answer`)
  }

  #onFrameSent(frame: Buffer): void {
    this.frameCount++
    const apiKey = frame.readInt16BE(4)
    const version = frame.readInt16BE(6)
    const served = this.#served.get(apiKey)
    const isServed = served !== undefined && version >= served.minVersion && version <= served.maxVersion
    if (!isServed && apiKey !== ApiKey.API_VERSIONS) {
      this.isRefused = true
      return
    }
    const isSilent = apiKey === ApiKey.PRODUCE && wantsNoAnswer(frame, version)
    if (isSilent) this.sentSilent = true
    // KIP-511: a version of ApiVersions that is too new is answered in version 0.
    this.#expected.push({ apiKey, version: isServed ? version : 0, correlationId: frame.readInt32BE(8), isSilent })
  }

  #onAnswer(frame: Buffer): void {
    const correlationId = frame.readInt32BE(0)
    let expected = this.#expected.shift()
    while (expected?.isSilent === true) expected = this.#expected.shift()
    if (expected?.correlationId !== correlationId) {
      this.complaints.push(`an answer with correlation id ${correlationId}, not ${expected?.correlationId ?? 'any'}`)
      return
    }
    this.answeredCount++
    this.answered.add(answeredKey(expected.apiKey, expected.version))
    const api = apis[expected.apiKey]!
    try {
      const reader = new Reader(frame, 4)
      if (api.responseHeaderVersion(expected.version) > 0) reader.unknownTaggedFields()
      const response = api.decodeResponse(reader, expected.version)
      reader.expectEnd()
      if (expected.apiKey === ApiKey.FETCH) this.#noteSession(response as FetchResponse)
    } catch (error) {
      this.complaints.push(`the answer to ${api.name} ${expected.version} does not decode: ${String(error)}`)
    }
  }

  #noteSession({ sessionId }: FetchResponse): void {
    if (sessionId !== 0) this.sessionIds.push(sessionId)
  }
}

/** One number for an API and a version of it. */
export function answeredKey(apiKey: number, version: number): number {
  return apiKey * 100 + version
}

/**
 * Whether a Produce says that it wants no answer. One that cannot be read gets none either: it closes the connection, with a reason that
 * is logged.
 */
function wantsNoAnswer(bytes: Buffer, version: number): boolean {
  const frame = bytes.subarray(4, 4 + bytes.readInt32BE(0))
  try {
    const reader = new Reader(frame)
    readRequestHeader(reader)
    return (apis[ApiKey.PRODUCE]!.decodeRequest(reader, version) as ProduceRequest).acks === 0
  } catch (error) {
    if (error instanceof MalformedMessageError) return true
    throw error
  }
}
