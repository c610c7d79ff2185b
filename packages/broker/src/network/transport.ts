/**
 * The byte stream under a connection, as a port: real sockets implement it in `tcp-listener.ts`, tests and the simulator in
 * memory. A transport reports through {@link TransportEvents}, never from inside a call into it.
 */
export interface Transport {
  readonly remoteAddress: string
  readonly remotePort: number
  /** Bytes handed to `write` that the peer's side has not taken yet. */
  readonly bufferedBytes: number
  /**
   * The same in finer steps where there is a difference: it falls while a large write is on its way. For those who want to know whether
   * a peer reads at all; it costs a call into the system's library.
   */
  readonly untakenBytes: number
  /**
   * Sends the chunks in order, as one write where the system can. Their memory belongs to the transport until sent. `onTaken` is
   * called once the system has taken all of them; never, or with the error, if the connection closes first.
   */
  write(chunks: readonly Buffer[], sizeBytes: number, onTaken?: (error?: Error | null) => void): void
  pauseReading(): void
  resumeReading(): void
  /** Closes now; what was not sent is dropped. `onClose` follows. */
  destroy(): void
  /** Sends what is buffered, then closes. */
  end(): void
}

export interface TransportEvents {
  /** Bytes `[start, end)` arrived. The buffer is shared by all connections: it is valid only during the call. */
  onBytes(buffer: Buffer, start: number, end: number): void
  /**
   * Where the next bytes should be put, so that they need not be copied; `onBytes` then names this buffer, from 0. Null: into the shared
   * one. Asked after each `onBytes`; the answer holds until the next one.
   */
  nextReadBuffer(): Buffer | null
  /** `bufferedBytes` fell to zero after much was buffered (for a socket: more than its high-water mark). */
  onDrain(): void
  /** The peer sends no more, but may still read. Its listener ends the transport when it is done with what arrived. */
  onEnd(): void
  /** Last event. `error` is null for an orderly end. */
  onClose(error: Error | null): void
}

/** A transport whose events can be handed to another listener, once the first byte told the protocol. */
export interface AcceptedTransport extends Transport {
  events: TransportEvents | null
}

export interface ListenOptions {
  host: string
  /** 0 lets the system choose. */
  port: number
  backlog: number
  /** Where the first bytes of a connection that is accepted now should be put, as `nextReadBuffer` says of later ones. */
  firstReadBuffer?(): Buffer | null
  /** A client connected; gives who listens to it, or null to refuse it. */
  onConnection(transport: AcceptedTransport): TransportEvents | null
  onError(error: Error): void
}

/** A bound port. */
export interface Listener {
  readonly port: number
  /** Stops accepting; connections live on until `destroyAll`. */
  stopAccepting(): void
  destroyAll(): void
}

/** Binds a port; rejects with the system's error. `TcpListener.listen`, or ports in memory for tests and the simulator. */
export type Listen = (options: ListenOptions) => Promise<Listener>

export interface ConnectOptions {
  host: string
  port: number
  /** Hears of everything from the moment the connection stands. */
  events: TransportEvents
}

/** Connects to a port of another node; rejects with the system's error. `connectTcp`, or in memory for tests and the simulator. */
export type Connect = (options: ConnectOptions) => Promise<Transport>
