import type { ConnectionError } from '../errors/client-errors.ts'

/** Where a broker listens. */
export interface BrokerAddress {
  host: string
  port: number
}

/**
 * What a transport tells its user. Calls come from the event loop, never from inside a call of the user. `onClose` is the last
 * call, exactly one, whatever happened before; its error is null after `close()`.
 */
export interface TransportHandler {
  onOpen(): void
  /** `chunk` is borrowed: the next chunk may overwrite it once this returns. */
  onData(chunk: Buffer): void
  /** There is room again after a `write` that returned false. */
  onDrain(): void
  onClose(error: ConnectionError | null): void
}

/** One byte stream to one broker. */
export interface TransportChannel {
  /**
   * Sends the buffers in order. The channel owns them until they are sent: they must not change. Returns false when more is
   * waiting than the channel likes: `onDrain` follows once that is sent. Ignored after the end.
   */
  write(buffers: readonly Buffer[]): boolean
  /** Ends the stream now, dropping what was not sent. `onClose(null)` follows. */
  close(): void
}

/** Makes byte streams: TCP in Node; other transports (TLS, WebSocket, in-memory) have the same shape. */
export interface Transport {
  open(address: BrokerAddress, handler: TransportHandler): TransportChannel
}
