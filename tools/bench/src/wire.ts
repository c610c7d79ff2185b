import { connect, type Socket } from 'node:net'

/** A connection on which requests are answered in order. */
export class Wire {
  readonly #socket: Socket
  readonly #waiting: { resolve(response: Buffer): void; reject(error: Error): void }[]
  #chunks: Buffer[]
  #bytes: number
  /** Why nothing is answered any more. */
  #failure: Error | null = null

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#waiting = []
    this.#chunks = []
    this.#bytes = 0
    this.#socket.on('data', (chunk) => this.#onData(chunk))
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the broker closed the connection')))
  }

  /** The response without its length. */
  ask(frame: Buffer): Promise<Buffer> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    this.#socket.write(frame)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    while (this.#bytes >= 4) {
      if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)]
      const sizeBytes = 4 + this.#chunks[0]!.readInt32BE(0)
      if (this.#bytes < sizeBytes) return
      const all = Buffer.concat(this.#chunks)
      this.#chunks = all.length > sizeBytes ? [all.subarray(sizeBytes)] : []
      this.#bytes -= sizeBytes
      this.#waiting.shift()!.resolve(all.subarray(4, sizeBytes))
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
