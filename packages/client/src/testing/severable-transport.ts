import { ConnectionError } from '../errors/client-errors.ts'
import type { BrokerAddress, Transport, TransportChannel, TransportHandler } from '../network/transport.ts'

interface Breakable {
  break(): void
}

/** One client's way into the network, which can be cut: as the client's crash looks to everybody else, or a pause if it is mended. */
export class SeverableTransport implements Transport {
  readonly #network: Transport
  readonly #channels = new Set<TransportChannel>()
  #isCut = false

  constructor(network: Transport) {
    this.#network = network
  }

  open(address: BrokerAddress, handler: TransportHandler): TransportChannel {
    if (this.#isCut) {
      const { host, port } = address
      queueMicrotask(() => handler.onClose(new ConnectionError('CONNECTION_FAILED', host, port, 'cut off')))
      return { write: () => true, close: () => undefined }
    }
    const channel = this.#network.open(address, handler)
    this.#channels.add(channel)
    return channel
  }

  /** Breaks what is open, and nothing can be opened. What was written is on its way. */
  cut(): void {
    this.#isCut = true
    for (const channel of this.#channels) (channel as TransportChannel & Breakable).break()
    this.#channels.clear()
  }

  mend(): void {
    this.#isCut = false
  }
}
