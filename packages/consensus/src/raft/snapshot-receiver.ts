import { mendDivergence } from './following.ts'
import type { ReplicaState } from './replica-state.ts'
import type { LogIndex, MessageOf, SnapshotPoint } from './types.ts'

/** Most bytes of a snapshot that a node collects in memory, unless its options say otherwise. */
export const DEFAULT_MAX_SNAPSHOT_BYTES = 512 * 1024 * 1024

interface Incoming {
  readonly point: SnapshotPoint
  readonly sizeBytes: number
  readonly chunks: Buffer[]
  receivedBytes: number
}

/** Collects a leader's snapshot, chunk after chunk (Raft section 7), and puts it in the place of the log once it is whole. */
export class SnapshotReceiver {
  readonly #state: ReplicaState
  #incoming: Incoming | null

  constructor(state: ReplicaState) {
    this.#state = state
    this.#incoming = null
  }

  /** Another leader sends its own. */
  reset(): void {
    this.#incoming = null
  }

  /** What is collected has nothing new any more: its memory goes. */
  onCommitted(commitIndex: LogIndex): void {
    if (this.#incoming !== null && this.#incoming.point.index <= commitIndex) this.#incoming = null
  }

  onChunk(message: MessageOf<'snapshotChunk'>): void {
    const state = this.#state
    const { snapshot: point, sizeBytes } = message
    if (point.index <= state.commitIndex) {
      // Nothing in it is new: the leader goes on from what is committed here.
      this.#incoming = null
      this.#acknowledge(message, state.commitIndex)
      return
    }
    const local = state.log.pointAt(point.index)
    if (local !== null && local.term === point.term) {
      this.#incoming = null
      // What a snapshot holds is committed: what differs from it here goes, and the snapshot comes.
      if (!local.chain.equals(point.chain)) {
        mendDivergence(state, point.index, point.index)
        this.#collect(message)
        return
      }
      // The entries up to its point are all here, and they are committed.
      state.commitIndex = point.index
      this.#acknowledge(message, point.index)
      return
    }
    if (sizeBytes > (state.options.maxSnapshotBytes ?? DEFAULT_MAX_SNAPSHOT_BYTES)) {
      state.counters.rejectedMessages++
      return
    }
    this.#collect(message)
  }

  #collect(message: MessageOf<'snapshotChunk'>): void {
    const { snapshot: point, sizeBytes, offset, data } = message
    if (this.#incoming === null || !isSame(this.#incoming, message)) {
      this.#incoming = { point, sizeBytes, chunks: [], receivedBytes: 0 }
    }
    const incoming = this.#incoming
    if (offset === incoming.receivedBytes && (data.length > 0 || sizeBytes === 0)) {
      incoming.chunks.push(data)
      incoming.receivedBytes += data.length
    }
    if (incoming.receivedBytes === sizeBytes && incoming.chunks.length > 0) {
      this.#incoming = null
      this.#install(incoming)
      this.#reply(message, sizeBytes)
    } else {
      this.#reply(message, incoming.receivedBytes === 0 ? -1 : incoming.receivedBytes)
    }
  }

  #install({ point, chunks, sizeBytes }: Incoming): void {
    const state = this.#state
    state.log.restore({ point, data: Buffer.concat(chunks, sizeBytes) })
    state.commitIndex = point.index
  }

  #reply(message: MessageOf<'snapshotChunk'>, nextOffset: number): void {
    const reply = { type: 'snapshotReply', snapshotIndex: message.snapshot.index, nextOffset } as const
    this.#state.send(message.from, reply)
  }

  #acknowledge(message: MessageOf<'snapshotChunk'>, index: number): void {
    const reply = { type: 'appendReply', success: true, index, hintIndex: 0, hintTerm: 0, readRound: 0 } as const
    this.#state.send(message.from, reply)
  }
}

function isSame({ point, sizeBytes }: Incoming, message: MessageOf<'snapshotChunk'>): boolean {
  return (
    point.index === message.snapshot.index &&
    point.chain.equals(message.snapshot.chain) &&
    sizeBytes === message.sizeBytes
  )
}
