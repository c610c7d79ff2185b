import { connect, type Socket } from 'node:net'
import { requestFrame } from '@millrace/broker/testing'
import { type ApiDefinition, decodeResponseHeader, Reader } from '@millrace/protocol'

/** The connection ended before the answer came. */
export class ConnectionLostError extends Error {}

/** Far beyond what any answer may take: one that does not come at all is an error, not a campaign without an end. */
const ANSWER_MAX_MS = 120_000

interface Waiting {
  readonly correlationId: number
  readonly timer: NodeJS.Timeout
  onAnswer(frame: Buffer): void
  onLost(error: Error): void
}

/** One TCP connection that speaks the protocol, with the generated codecs and nothing else: answers come in the order of requests. */
export class WireClient {
  readonly socket: Socket
  readonly #waiting: Waiting[] = []
  readonly #chunks: Buffer[] = []
  #chunkBytes = 0
  #nextCorrelationId = 1
  readonly #answerMaxMs: number
  /** Why this side gave the connection up, if it did. */
  #reason: Error | null = null

  private constructor(socket: Socket, answerMaxMs: number) {
    this.socket = socket
    this.#answerMaxMs = answerMaxMs
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    // 'close' follows and tells those who wait.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      const error = this.#reason ?? new ConnectionLostError('the broker closed the connection')
      for (const { onLost, timer } of this.#waiting.splice(0)) {
        clearTimeout(timer)
        onLost(error)
      }
    })
  }

  /** Rejects with the system's error if nobody listens. */
  static open(port: number, answerMaxMs = ANSWER_MAX_MS): Promise<WireClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new WireClient(socket, answerMaxMs))
      })
    })
  }

  get isOpen(): boolean {
    return !this.socket.destroyed
  }

  /**
   * Resolves with the answer, decoded to its last byte. Rejects with {@link ConnectionLostError} (whether the broker did anything is then
   * unknown), or with an error if no answer comes in time, or a wrong one.
   */
  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    request: Request,
  ): Promise<Response> {
    const frame = requestFrame(api, version, request, 0, 'reliability')
    const reader = new Reader(await this.send(frame))
    decodeResponseHeader(reader, api.responseHeaderVersion(version))
    const response = api.decodeResponse(reader, version)
    reader.expectEnd()
    return response
  }

  /** Sends a frame that was encoded before, with the next correlation id put into it; gives the answer's bytes behind its size. */
  send(frame: Buffer): Promise<Buffer> {
    const correlationId = this.#nextCorrelationId++
    frame.writeInt32BE(correlationId, 8)
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new ConnectionLostError('the connection is closed'))
        return
      }
      const timer = setTimeout(() => this.#onLate(correlationId), this.#answerMaxMs)
      this.#waiting.push({ correlationId, timer, onAnswer: resolve, onLost: reject })
      this.socket.write(frame)
    })
  }

  close(): void {
    this.socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#chunkBytes += chunk.length
    while (this.#chunkBytes >= 4) {
      if (this.#chunks[0]!.length < 4) this.#join()
      const end = 4 + this.#chunks[0]!.readInt32BE(0)
      if (this.#chunkBytes < end) return
      this.#join()
      const [bytes] = this.#chunks
      this.#chunks[0] = bytes!.subarray(end)
      this.#chunkBytes -= end
      this.#onFrame(bytes!.subarray(4, end))
    }
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks.splice(0, this.#chunks.length, Buffer.concat(this.#chunks))
  }

  #onFrame(frame: Buffer): void {
    const [waiting] = this.#waiting
    if (waiting?.correlationId !== frame.readInt32BE(0)) {
      this.#giveUp(new Error(`answer ${frame.readInt32BE(0)} where ${waiting?.correlationId ?? 'none'} was due`))
      return
    }
    this.#waiting.shift()
    clearTimeout(waiting.timer)
    waiting.onAnswer(frame)
  }

  /** Where this process held its own loop, the answer may lie in the socket: it is read before anything is said. */
  #onLate(correlationId: number): void {
    setImmediate(() => {
      if (!this.#waiting.some((waiting) => waiting.correlationId === correlationId)) return
      this.#giveUp(new Error(`no answer within ${this.#answerMaxMs} ms`))
    })
  }

  /** Ends the connection; all who wait are told the reason. */
  #giveUp(reason: Error): void {
    this.#reason ??= reason
    this.socket.destroy()
  }
}
