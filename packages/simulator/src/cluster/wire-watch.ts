import type { Transport, TransportChannel } from '@millrace/client'
import { apis, decodeResponseHeader, Reader, readRequestHeader } from '@millrace/protocol'

/** Looks on at what a client sends and is told, as it stands on the wire: judges of a protocol need not believe the client. */
export interface WireWatcher {
  /** Whose requests and answers are decoded. */
  readonly apiKeys: ReadonlySet<number>
  /** A request leaves, to a node by its host's name. What this gives hears of the answer, if there is one; null: nobody does. */
  onRequest(apiKey: number, request: unknown, host: string): ((response: unknown) => void) | null
  /** A connection to a node is over, as far as the client knows. */
  onConnectionEnd?(host: string): void
}

/** An answer that is awaited, and how to read it. */
interface Awaited {
  readonly apiKey: number
  readonly version: number
  readonly onResponse: (response: unknown) => void
}

/** The transport as it was, with somebody looking on: at requests before they leave, at answers before the client sees them. */
export function watchedTransport(transport: Transport, watcher: WireWatcher): Transport {
  return {
    open: (address, handler) => {
      const awaited = new Map<number, Awaited>()
      const requests = new FrameSplitter((frame) => {
        const apiKey = frame.readInt16BE(0)
        if (!watcher.apiKeys.has(apiKey)) return
        const reader = new Reader(frame)
        const { requestApiVersion: version, correlationId } = readRequestHeader(reader)
        const request = apis[apiKey]!.decodeRequest(reader, version)
        const onResponse = watcher.onRequest(apiKey, request, address.host)
        if (onResponse !== null) awaited.set(correlationId, { apiKey, version, onResponse })
      })
      const responses = new FrameSplitter((frame) => {
        const one = awaited.get(frame.readInt32BE(0))
        if (one === undefined) return
        awaited.delete(frame.readInt32BE(0))
        const api = apis[one.apiKey]!
        const reader = new Reader(frame)
        decodeResponseHeader(reader, api.responseHeaderVersion(one.version))
        one.onResponse(api.decodeResponse(reader, one.version))
      })
      const channel = transport.open(address, {
        onOpen: () => handler.onOpen(),
        onData: (chunk) => {
          responses.push(chunk)
          handler.onData(chunk)
        },
        onDrain: () => handler.onDrain(),
        onClose: (error) => {
          watcher.onConnectionEnd?.(address.host)
          handler.onClose(error)
        },
      })
      const watched: TransportChannel = {
        write: (buffers) => {
          for (const buffer of buffers) requests.push(buffer)
          return channel.write(buffers)
        },
        close: () => {
          watcher.onConnectionEnd?.(address.host)
          channel.close()
        },
      }
      return watched
    },
  }
}

/** Cuts bytes into frames: int32 length, then so many bytes. */
export class FrameSplitter {
  readonly #onFrame: (frame: Buffer) => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame
  }

  /** The chunk may be used for something else afterwards. */
  push(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk])
    let start = 0
    while (bytes.length - start >= 4) {
      const end = start + 4 + bytes.readInt32BE(start)
      if (end > bytes.length) break
      this.#onFrame(bytes.subarray(start + 4, end))
      start = end
    }
    this.#rest = bytes.subarray(start)
  }
}
