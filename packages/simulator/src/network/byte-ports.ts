import type { AcceptedTransport, Connect, Listen, TransportEvents } from '@millrace/broker'
import type { Transport as ClientTransport, TransportChannel, TransportHandler } from '@millrace/client'
import { ConnectionError } from '@millrace/client'
import type { ProcessLoop } from '../world/process-loop.ts'
import type { SimulatedStream, StreamEnd, StreamUser } from './simulated-stream.ts'
import type { StreamNetwork } from './stream-network.ts'

/** Listening ports of a broker's process. */
export function listenOver(network: StreamNetwork, loop: ProcessLoop): Listen {
  return async ({ host, port, firstReadBuffer, onConnection }) => {
    const accepted = new Set<BrokerTransport>()
    const isBound = network.listen(loop, `${host}:${port}`, (stream) => {
      const address = `10.0.0.${stream.address.split(' ').at(-1)}`
      const transport = new BrokerTransport(stream, address, firstReadBuffer?.() ?? null)
      const events = onConnection(transport)
      if (events === null) return null
      transport.events = events
      accepted.add(transport)
      transport.onEnd = () => accepted.delete(transport)
      return transport
    })
    if (!isBound) throw Object.assign(new Error(`${host}:${port} is in use`), { code: 'EADDRINUSE' })
    return {
      port,
      stopAccepting: () => network.unlisten(`${host}:${port}`),
      destroyAll: () => {
        for (const transport of accepted) transport.destroy()
      },
    }
  }
}

/** A broker's own connections to other brokers. */
export function connectOver(network: StreamNetwork, loop: ProcessLoop): Connect {
  return ({ host, port, events }) =>
    new Promise((resolve, reject) => {
      let transport: BrokerTransport | null = null
      const user: StreamUser = {
        onOpen: () => {
          transport = new BrokerTransport(stream, host, null)
          transport.events = events
          stream.user = transport
          resolve(transport)
        },
        onData: () => undefined,
        onDrain: () => undefined,
        onClose: (why) => reject(Object.assign(new Error(`${host}:${port} ${why}`), { code: 'ECONNREFUSED' })),
      }
      const stream = network.connect(loop, `${host}:${port}`, user)
    })
}

/** Only who had so much under way is told that it is gone, as a socket tells. */
const DRAINED_FROM_BYTES = 16 * 1024

/** The byte stream as a broker sees it. */
class BrokerTransport implements AcceptedTransport, StreamUser {
  readonly remoteAddress: string
  readonly remotePort = 40_000
  events: TransportEvents | null = null
  onEnd: () => void = () => undefined
  readonly #stream: SimulatedStream
  #onTaken: (() => void)[] = []
  #readBuffer: Buffer | null

  constructor(stream: SimulatedStream, remoteAddress: string, firstReadBuffer: Buffer | null) {
    this.#stream = stream
    this.remoteAddress = remoteAddress
    this.#readBuffer = firstReadBuffer
  }

  get bufferedBytes(): number {
    return this.#stream.underWayBytes
  }

  get untakenBytes(): number {
    return this.#stream.underWayBytes
  }

  write(chunks: readonly Buffer[], _sizeBytes: number, onTaken?: (error?: Error | null) => void): void {
    this.#stream.write(Buffer.concat(chunks))
    if (onTaken !== undefined) this.#onTaken.push(onTaken)
    this.#stream.wantsDrain ||= onTaken !== undefined || this.#stream.underWayBytes > DRAINED_FROM_BYTES
  }

  pauseReading(): void {
    this.#stream.pauseReading()
  }

  resumeReading(): void {
    this.#stream.resumeReading()
  }

  destroy(): void {
    this.#stream.close()
  }

  end(): void {
    this.#stream.end()
  }

  onOpen(): void {
    // The connection stood when the broker was given it.
  }

  /** The buffer is shared, or the one that the broker named last: its contents are valid for the call only. */
  onData(chunk: Buffer): void {
    for (let start = 0; start < chunk.length && !this.#stream.isClosed; ) {
      if (!this.#stream.isReading) {
        this.#stream.putBack(chunk.subarray(start))
        return
      }
      const target = this.#readBuffer
      this.#readBuffer = null
      const buffer = target ?? Buffer.allocUnsafe(chunk.length - start)
      const sizeBytes = chunk.copy(buffer, 0, start)
      this.events?.onBytes(buffer, 0, sizeBytes)
      if (target === null) buffer.fill(0xff)
      this.#readBuffer = this.events?.nextReadBuffer() ?? null
      start += sizeBytes
    }
  }

  onDrain(): void {
    const taken = this.#onTaken
    this.#onTaken = []
    for (const onTaken of taken) onTaken()
    this.events?.onDrain()
  }

  onClose(): void {
    this.onEnd()
    this.events?.onClose(null)
  }
}

/** The transport of a client's process. */
export function clientTransport(network: StreamNetwork, loop: ProcessLoop): ClientTransport {
  return {
    open: ({ host, port }, handler) => {
      const stream = network.connect(loop, `${host}:${port}`, clientUser(handler, host, port))
      const channel: TransportChannel = {
        write: (buffers) => {
          stream.write(Buffer.concat(buffers))
          const isFull = stream.underWayBytes >= CLIENT_BUFFER_BYTES
          stream.wantsDrain ||= isFull
          return !isFull
        },
        close: () => stream.close(),
      }
      return channel
    },
  }
}

const CLIENT_BUFFER_BYTES = 256 * 1024

function clientUser(handler: TransportHandler, host: string, port: number): StreamUser {
  return {
    onOpen: () => handler.onOpen(),
    onData: (chunk) => handler.onData(chunk),
    onDrain: () => handler.onDrain(),
    onClose: (why) => handler.onClose(why === null ? null : errorOf(why, host, port)),
  }
}

function errorOf(why: Exclude<StreamEnd, null>, host: string, port: number): ConnectionError {
  return new ConnectionError(why === 'refused' ? 'CONNECTION_FAILED' : 'CONNECTION_CLOSED', host, port, why)
}
