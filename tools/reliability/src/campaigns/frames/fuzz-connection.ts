import type { MemorySocket } from '@millrace/broker/testing'
import { AnswerChecker } from './answer-checker.ts'
import { isDocumentedReason } from './close-reasons.ts'
import { type Delivery, servedVersions } from './frame-source.ts'

/** What one connection brings a real loop in a turn: libuv reads a socket 32 times, 64 KiB each. */
export const MAX_TURN_BYTES = 32 * 64 * 1024
const WRONG_PROTOCOL = 'connection closed: wrong protocol'

/** One connection to the broker under test, and what it has sent and got. */
export class FuzzConnection {
  readonly address: string
  readonly checker = new AnswerChecker(servedVersions)
  /** All it has sent, for the corpus. */
  readonly sent: Buffer[] = []
  readonly #socket: MemorySocket
  readonly #received: Buffer[] = []
  readonly #unsent: Buffer[] = []
  #sound = true

  constructor(socket: MemorySocket, address: string) {
    this.#socket = socket
    this.address = address
    // Looked at later: what the checker does is no time of the broker's.
    socket.onBytes = (bytes) => this.#received.push(bytes)
  }

  get isClosed(): boolean {
    return this.#socket.isClosed
  }

  /** It has sent nothing wrong, is still open, and an answer is due that need not wait for anything. */
  get isOverdue(): boolean {
    return this.#sound && !this.isClosed && this.checker.overdueApi !== null
  }

  /** Sends in the pieces that the delivery says, as much as comes in one turn; what is left then is for {@link sendMore}. */
  send({ bytes, cuts, sound }: Delivery): void {
    this.sent.push(bytes)
    if (!sound) this.#sound = false
    const ends =
      cuts === 'every' ? Array.from(bytes, (_, at) => at + 1) : [...(cuts === 'none' ? [] : cuts), bytes.length]
    let start = 0
    for (const end of ends) {
      for (; start < end; start = Math.min(end, start + MAX_TURN_BYTES)) {
        this.#unsent.push(bytes.subarray(start, Math.min(end, start + MAX_TURN_BYTES)))
      }
    }
    this.sendMore()
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0 && !this.isClosed
  }

  /** What comes in the next turn. */
  sendMore(): void {
    let leftBytes = MAX_TURN_BYTES
    while (this.hasUnsent && this.#unsent[0]!.length <= leftBytes) {
      const piece = this.#unsent.shift()!
      leftBytes -= piece.length
      this.#socket.send(piece)
    }
  }

  /** Holds what came against what was sent before it. Call after each turn. */
  check(delivery: Delivery | null): void {
    if (delivery !== null) this.checker.onSent(delivery.bytes)
    for (const bytes of this.#received.splice(0)) this.checker.onReceived(bytes)
  }

  close(): void {
    this.#socket.close()
  }

  /** Call when all has come to rest. `reason` is what the broker logged of it, if anything. Returns what is wrong. */
  finish(reason: string | undefined): string[] {
    this.check(null)
    const complaints = [...this.checker.complaints]
    if (this.isClosed) {
      this.checker.onClosed()
      const complaint = this.#closeComplaint(reason)
      if (complaint !== null) complaints.push(complaint)
    } else if (this.isOverdue) {
      complaints.push(`${this.checker.overdueApi} is not answered`)
    }
    this.#socket.close()
    // The broker may know the socket a little longer: nothing that was sent over it is to be held by that.
    this.#socket.onBytes = () => undefined
    return complaints
  }

  #closeComplaint(reason: string | undefined): string | null {
    // Not Kafka's protocol, by its first byte.
    if (reason === WRONG_PROTOCOL)
      return this.checker.frameCount === 0 && this.checker.isRefused ? null : 'taken for another protocol'
    if (reason !== undefined) {
      return isDocumentedReason(reason, this.#sound) ? null : `closed for a reason that is none: ${reason}`
    }
    // Not Kafka's protocol is closed without a word to the client; a Produce that wants no answer fails that way.
    if (this.checker.isRefused || this.checker.sentSilent) return null
    return 'closed without a reason'
  }
}
