import { MetadataErrorCode } from '../metadata/controller/api-error.ts'
import { PeerChannel, type PeerTransport } from '../transport/peer-transport.ts'
import { encodeFrame, type RequestOutcome } from './peer-protocol.ts'

/** Requests of one node that are worked on, or whose answers wait for room in its queue. More are turned away. */
const MAX_PER_PEER = 1000

/** Bytes that wait for room in one node's queue. An answer beyond them is dropped, as with a connection that is lost. */
export const MAX_UNSENT_BYTES = 64 * 1024 * 1024

interface Asker {
  openCount: number
  unsent: Buffer[]
  unsentBytes: number
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
    if (asker === undefined) return true
    return asker.openCount + asker.unsent.length < MAX_PER_PEER && asker.unsentBytes < MAX_UNSENT_BYTES
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
    const queue = this.#asker(peer)
    if (queue.unsent.length >= MAX_PER_PEER || queue.unsentBytes + bytes.length > MAX_UNSENT_BYTES) return
    queue.unsent.push(bytes)
    queue.unsentBytes += bytes.length
  }

  onWritable(peer: number): void {
    const asker = this.#askers.get(peer)
    if (asker === undefined) return
    let sent = 0
    while (sent < asker.unsent.length && this.#transport.send(peer, PeerChannel.CONTROLLER, asker.unsent[sent]!)) {
      asker.unsentBytes -= asker.unsent[sent]!.length
      sent++
    }
    asker.unsent.splice(0, sent)
  }

  forget(peer: number): void {
    this.#askers.delete(peer)
  }

  #asker(peer: number): Asker {
    let asker = this.#askers.get(peer)
    if (asker === undefined) {
      asker = { openCount: 0, unsent: [], unsentBytes: 0 }
      this.#askers.set(peer, asker)
    }
    return asker
  }
}
