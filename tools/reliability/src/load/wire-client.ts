import { connect, type Socket } from 'node:net'
import { requestFrame } from '@millrace/broker/testing'
import { type ApiDefinition, decodeResponseHeader, Reader } from '@millrace/protocol'

/** The connection ended before the answer came. */
export class ConnectionLostError extends Error {}

interface Waiting {
  readonly correlationId: number
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

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    // 'close' follows and tells those who wait.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      for (const { onLost } of this.#waiting.splice(0))
        onLost(new ConnectionLostError('the broker closed the connection'))
    })
  }

  static open(port: number): Promise<WireClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new WireClient(socket))
      })
    })
  }

  get isOpen(): boolean {
    return !this.socket.destroyed
  }

  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    request: Request,
  ): Promise<Response> {
    const frame = requestFrame(api, version, request, 0, 'reliability')
    const reader = new Reader(await this.send(frame))
    decodeResponseHeader(reader, api.responseHeaderVersion(version))
    return api.decodeResponse(reader, version)
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
      this.#waiting.push({ correlationId, onAnswer: resolve, onLost: reject })
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
    const waiting = this.#waiting.shift()
    if (waiting?.correlationId === frame.readInt32BE(0)) {
      waiting.onAnswer(frame)
      return
    }
    waiting?.onLost(new Error(`answer ${frame.readInt32BE(0)} where ${waiting.correlationId} was due`))
    this.socket.destroy()
  }
}
