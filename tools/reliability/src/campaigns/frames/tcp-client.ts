import { connect, type Socket } from 'node:net'
import { requestFrame } from '@millrace/broker/testing'
import { type ApiDefinition, Reader } from '@millrace/protocol'

interface Waiting {
  resolve(frame: Buffer): void
  reject(error: Error): void
}

/** One decent client of a real broker: one request at a time, its answer decoded to the last byte. */
export class TcpClient {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #waiting: Waiting | null = null
  #correlationId = 0

  static async connect(port: number): Promise<TcpClient> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new TcpClient(socket)
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#onBytes(bytes))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  /** Rejects if the connection ends, or no answer comes in time. */
  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    request: Request,
    timeoutMs = 10_000,
  ): Promise<Response> {
    const correlationId = ++this.#correlationId
    const answered = new Promise<Buffer>((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    const timer = setTimeout(() => this.#fail(new Error(`no answer to ${api.name} within ${timeoutMs} ms`)), timeoutMs)
    this.#socket.write(requestFrame(api, version, request, correlationId, 'neighbour'))
    const frame = await answered.finally(() => clearTimeout(timer))
    const reader = new Reader(frame)
    const answeredId = reader.int32()
    if (answeredId !== correlationId) throw new Error(`answer ${answeredId} to request ${correlationId}`)
    if (api.responseHeaderVersion(version) > 0) reader.unknownTaggedFields()
    const response = api.decodeResponse(reader, version)
    reader.expectEnd()
    return response
  }

  close(): void {
    this.#socket.destroy()
  }

  #onBytes(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    if (this.#received.length < 4) return
    const end = 4 + this.#received.readInt32BE(0)
    if (this.#received.length < end) return
    const frame = this.#received.subarray(4, end)
    this.#received = this.#received.subarray(end)
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve(frame)
  }

  #fail(error: Error): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.reject(error)
  }
}
