import { MetadataErrorCode } from '../metadata/controller/api-error.ts'
import { PeerChannel, type PeerTransport } from '../transport/peer-transport.ts'
import { encodeFrame, type RequestOutcome } from './peer-protocol.ts'

/** Requests of one node that are worked on, or whose answers wait for room in its queue. More are turned away. */
const MAX_PER_PEER = 1000

interface Asker {
  openCount: number
  unsent: Buffer[]
}

/** Answers to other nodes. They wait here while a node's queue is full, and go with its connection: it asks again then. */
export class AnswerQueue {
  readonly #transport: PeerTransport
  readonly #askers = new Map<number, Asker>()

  constructor(transport: PeerTransport) {
    this.#transport = transport
  }

  /** Whether the node may ask for one more thing. */
  admit(peer: number): boolean {
    const asker = this.#askers.get(peer)
    return asker === undefined || asker.openCount + asker.unsent.length < MAX_PER_PEER
  }

  begin(peer: number): void {
    this.#asker(peer).openCount++
  }

  end(peer: number, id: number, outcome: RequestOutcome): void {
    const asker = this.#askers.get(peer)
    // Its connection was lost meanwhile: the count has begun anew.
    if (asker !== undefined && asker.openCount > 0) asker.openCount--
    this.answer(peer, id, outcome)
  }

  answer(peer: number, id: number, outcome: RequestOutcome): void {
    const bytes = encodeFrame({ kind: 'answer', id, outcome })
    if (bytes !== null) {
      this.send(peer, bytes)
      return
    }
    const failed = { status: 'failed', errorCode: MetadataErrorCode.UNKNOWN_SERVER_ERROR } as const
    this.send(peer, encodeFrame({ kind: 'answer', id, outcome: { ...failed, message: 'the answer is too large' } })!)
  }

  send(peer: number, bytes: Buffer): void {
    const asker = this.#askers.get(peer)
    const waits = asker !== undefined && asker.unsent.length > 0
    if (!waits && this.#transport.send(peer, PeerChannel.CONTROLLER, bytes)) return
    if (!this.#transport.connected.has(peer)) return
    const { unsent } = this.#asker(peer)
    if (unsent.length < MAX_PER_PEER) unsent.push(bytes)
  }

  onWritable(peer: number): void {
    const asker = this.#askers.get(peer)
    if (asker === undefined) return
    let sent = 0
    while (sent < asker.unsent.length && this.#transport.send(peer, PeerChannel.CONTROLLER, asker.unsent[sent]!)) sent++
    asker.unsent.splice(0, sent)
  }

  forget(peer: number): void {
    this.#askers.delete(peer)
  }

  #asker(peer: number): Asker {
    let asker = this.#askers.get(peer)
    if (asker === undefined) {
      asker = { openCount: 0, unsent: [] }
      this.#askers.set(peer, asker)
    }
    return asker
  }
}
