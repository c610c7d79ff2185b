import type { Clock, Random, Timers, Uuid } from '@millrace/base'

/** Who a transport is to its peers. */
export interface PeerIdentity {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: Uuid
}

/** PEM texts. Both sides of every connection present a certificate that `ca` vouches for. */
export interface PeerTls {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  readonly ca: string | Buffer
  /** The name that a node's certificate must hold. Absent: any certificate of `ca` will do, and a server's must fit the host dialled. */
  readonly nameOf?: (nodeId: number) => string
}

export interface WsTransportOptions {
  readonly identity: PeerIdentity
  /** Address to listen at; port 0: any free one. Null: this node only connects to others (it is in no voter set). */
  readonly listen: { readonly host: string; readonly port: number } | null
  /**
   * Known to all nodes of the cluster, at least {@link MIN_SECRET_BYTES} bytes: each side proves that it knows it (HMAC-SHA-256 over both
   * sides' random numbers). That is against strangers who connect, not against those who can change what is on the wire: use `tls` there.
   */
  readonly secret: Buffer | null
  readonly tls: PeerTls | null
  readonly timers: Timers
  readonly clock: Clock
  readonly random: Random
  /** Told of peers that were turned away, at most once per reason, address and minute. */
  readonly onRefused?: (reason: string, address: string) => void
  /** Told, as seldom, that a peer which knows this node turned it away: most often two processes were given one node id. */
  readonly onTurnedAway?: (reason: string, address: string) => void
  readonly limits?: Partial<TransportLimits>
}

export interface TransportLimits {
  /** Largest payload of a frame, both ways. */
  readonly maxFrameBytes: number
  /** Bytes waiting for one peer before `send` says no. */
  readonly maxQueueBytes: number
  /** Time from connecting to being known, bytes until then, and how many may be on their way there. */
  readonly handshakeTimeoutMs: number
  readonly maxHandshakeBytes: number
  readonly maxUnauthenticatedCount: number
  /** Incoming connections that are known. */
  readonly maxIncomingCount: number
  readonly pingIntervalMs: number
  /** Ping intervals in a row without a byte received after which a peer is `silent`. */
  readonly silentIntervalCount: number
  /** First and longest wait before connecting again; each is drawn from its upper half. */
  readonly minReconnectMs: number
  readonly maxReconnectMs: number
}

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  maxFrameBytes: 16 * 1024 * 1024,
  maxQueueBytes: 16 * 1024 * 1024,
  handshakeTimeoutMs: 5000,
  maxHandshakeBytes: 16 * 1024,
  maxUnauthenticatedCount: 64,
  maxIncomingCount: 1024,
  pingIntervalMs: 500,
  silentIntervalCount: 3,
  minReconnectMs: 20,
  maxReconnectMs: 1000,
}

export const MIN_SECRET_BYTES = 16
