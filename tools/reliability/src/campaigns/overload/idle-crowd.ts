import { connect, type Socket } from 'node:net'
import { requestFrame } from '@millrace/broker/testing'
import { apiVersionsApi, createApiVersionsRequest } from '@millrace/protocol'

/** How many may be on their way at once: more than a listener's backlog wait a second for the system's next try. */
const CONNECTING_AT_ONCE = 32

/** Opens a connection; null if it could not be. */
export function open(port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(socket))
    socket.on('error', () => {
      socket.destroy()
      resolve(null)
    })
  })
}

/** Thousands of clients that are there and say nothing. */
export class IdleCrowd {
  readonly #port: number
  readonly #sockets = new Set<Socket>()

  constructor(port: number) {
    this.#port = port
  }

  get openCount(): number {
    return this.#sockets.size
  }

  async gather(count: number): Promise<void> {
    let begun = 0
    const connectSome = async (): Promise<void> => {
      while (begun < count) {
        begun++
        await this.#join()
      }
    }
    await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, connectSome))
    if (this.#sockets.size < count) throw new Error(`${this.#sockets.size} of ${count} idle connections were accepted`)
  }

  async #join(): Promise<void> {
    const socket = await open(this.#port)
    if (socket === null) return
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const hello = requestFrame(
      apiVersionsApi,
      3,
      createApiVersionsRequest({ clientSoftwareName: 'idle', clientSoftwareVersion: '1' }),
    )
    await new Promise<void>((resolve) => {
      socket.once('data', () => resolve())
      socket.once('close', () => resolve())
      socket.write(hello)
    })
  }
}
