import { createConnection, type Socket } from 'node:net'
import { requestFrame } from '@millrace/broker/testing'
import { type ApiDefinition, decodeResponseHeader, Reader } from '@millrace/protocol'

/** The broker went away, or closed the connection, before it answered. */
export class ConnectionLostError extends Error {}

/** Waits for the answer that is next in turn. */
interface Waiter {
  onFrame(frame: Buffer): void
  onLost(error: Error): void
}

/** One connection to a broker: requests in, answers out in their order. Does not connect again. */
export class FrameClient {
  readonly #socket: Socket
  readonly #waiters: Waiter[] = []
  /** Of the frame that is arriving: what came of it, and how much is missing. */
  #chunks: Buffer[] = []
  #receivedBytes = 0
  #lost: Error | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('error', (error) => this.#lose(error))
    socket.on('close', () => this.#lose(new Error('closed')))
  }

  /** Rejects with the system's error if nobody listens. */
  static connect(port: number): Promise<FrameClient> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ host: '127.0.0.1', port })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new FrameClient(socket))
      })
    })
  }

  /** Resolves with the decoded answer. Rejects with `ConnectionLostError`; whether the broker did anything is then unknown. */
  call<Request, Response>(api: ApiDefinition<Request, Response>, version: number, request: Request): Promise<Response> {
    const frame = requestFrame(api, version, request, 1, 'recovery')
    return new Promise((resolve, reject) => {
      if (this.#lost !== null) {
        reject(new ConnectionLostError(this.#lost.message))
        return
      }
      this.#waiters.push({
        onFrame(answer) {
          const reader = new Reader(answer)
          decodeResponseHeader(reader, api.responseHeaderVersion(version))
          resolve(api.decodeResponse(reader, version))
        },
        onLost: (error) => reject(new ConnectionLostError(error.message)),
      })
      this.#socket.write(frame)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#receivedBytes += chunk.length
    while (this.#receivedBytes >= 4) {
      if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)]
      const frameBytes = 4 + this.#chunks[0]!.readInt32BE(0)
      if (this.#receivedBytes < frameBytes) return
      const received = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
      this.#chunks = received.length > frameBytes ? [received.subarray(frameBytes)] : []
      this.#receivedBytes -= frameBytes
      this.#waiters.shift()?.onFrame(received.subarray(4, frameBytes))
    }
  }

  #lose(error: Error): void {
    if (this.#lost !== null) return
    this.#lost = error
    for (const waiter of this.#waiters.splice(0)) waiter.onLost(error)
  }
}
