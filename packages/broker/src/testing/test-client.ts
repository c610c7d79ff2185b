import { type ApiDefinition, decodeResponseHeader, Reader, Writer, writeRequestHeader } from '@millrace/protocol'
import type { MemorySocket } from './memory-network.ts'

/** A request that waits for its answer. */
interface Outstanding {
  readonly correlationId: number
  readonly api: ApiDefinition
  readonly version: number
  resolve(response: unknown): void
  reject(error: Error): void
}

/** The broker closed the connection before it answered. */
export class ConnectionClosedError extends Error {}

/** Encodes a request with its header and size prefix. */
export function requestFrame<Request>(
  api: ApiDefinition<Request, unknown>,
  version: number,
  request: Request,
  correlationId = 1,
  clientId: string | null = 'test',
): Buffer {
  const writer = new Writer()
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
  return Buffer.from(writer.toBuffer())
}

/** A client made of the generated codecs: requests in, decoded answers out, in order. Answers that nobody waits for fail the test. */
export class TestClient {
  readonly socket: MemorySocket
  clientId: string | null = 'test'
  /** Whole answer frames so far, size prefix not included. */
  readonly frames: Buffer[] = []
  readonly #outstanding: Outstanding[] = []
  #received = Buffer.alloc(0)
  #nextCorrelationId = 1
  #matching = true

  constructor(socket: MemorySocket) {
    this.socket = socket
    socket.onBytes = (bytes) => this.#onBytes(bytes)
    socket.closed.then(() => {
      for (const request of this.#outstanding.splice(0)) request.reject(new ConnectionClosedError('connection closed'))
    })
  }

  get outstandingCount(): number {
    return this.#outstanding.length
  }

  /** Sends a request; resolves with its decoded answer, which was decoded to its last byte. */
  call<Request, Response>(api: ApiDefinition<Request, Response>, version: number, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const correlationId = this.#nextCorrelationId++
      const frame = requestFrame(api, version, request, correlationId, this.clientId)
      if (this.#matching)
        this.#outstanding.push({
          correlationId,
          api: api as ApiDefinition,
          version,
          resolve: (response) => resolve(response as Response),
          reject,
        })
      this.socket.send(frame)
    })
  }

  /** Sends a request that gets no answer. */
  post<Request>(api: ApiDefinition<Request, unknown>, version: number, request: Request): void {
    this.socket.send(requestFrame(api, version, request, this.#nextCorrelationId++, this.clientId))
  }

  /** From here on anything may come back: answers are collected, and no longer matched with requests. */
  expectNothing(): void {
    this.#matching = false
    for (const request of this.#outstanding.splice(0)) request.reject(new ConnectionClosedError('not awaited any more'))
  }

  close(): void {
    this.socket.close()
  }

  #onBytes(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    while (this.#received.length >= 4) {
      const end = 4 + this.#received.readInt32BE(0)
      if (this.#received.length < end) return
      const frame = this.#received.subarray(4, end)
      this.#received = this.#received.subarray(end)
      this.frames.push(frame)
      this.#onFrame(frame)
    }
  }

  #onFrame(frame: Buffer): void {
    if (!this.#matching) return
    const request = this.#outstanding.shift()
    if (request === undefined) return
    const reader = new Reader(frame)
    try {
      const header = decodeResponseHeader(reader, request.api.responseHeaderVersion(request.version))
      if (header.correlationId !== request.correlationId) throw new Error(`answer ${header.correlationId} out of order`)
      const response = request.api.decodeResponse(reader, request.version)
      reader.expectEnd()
      request.resolve(response)
    } catch (error) {
      request.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
