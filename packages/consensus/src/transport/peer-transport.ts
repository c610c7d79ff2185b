/** Channels of one connection between two nodes: consensus, requests to the active controller, and who votes first. */
export const PeerChannel = { RAFT: 0, CONTROLLER: 1, FIRST_VOTERS: 2 } as const
export type PeerChannel = (typeof PeerChannel)[keyof typeof PeerChannel]

/** Why a peer cannot be reached: its process is gone, nobody listens, or it is silent (`design.md` 4: early and late signs). */
export type PeerLoss = 'closed' | 'refused' | 'silent'

export interface PeerEvents {
  /** A whole frame. The bytes are the receiver's. Frames of one peer come in order; some may be lost when a connection is. */
  onMessage(from: number, channel: PeerChannel, payload: Buffer): void
  /** A connection stands, in either direction; told once until `onLost`. */
  onConnected(peer: number): void
  onLost(peer: number, why: PeerLoss): void
  /** At least half of a peer's queue has drained after a `send` was refused. */
  onWritable(peer: number): void
}

/**
 * Frames between nodes, real ones over `ws` (`ws-transport.ts`), simulated ones in `packages/simulator`. Never calls back from inside a
 * call into it.
 */
export interface PeerTransport {
  /** Who may be connected to, by node id. Others are disconnected. Nodes that are not listed may still connect to us (observers). */
  setPeers(peers: ReadonlyMap<number, { readonly host: string; readonly port: number }>): void
  /** False: the queue to the peer is full (bounded in bytes) or it is not connected; nothing was queued. */
  send(peer: number, channel: PeerChannel, payload: Buffer): boolean
  /** Ids of connected peers. */
  readonly connected: ReadonlySet<number>
  close(): Promise<void>
}
