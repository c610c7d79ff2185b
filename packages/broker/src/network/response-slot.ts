import type { Writer } from '@millrace/protocol'

/**
 * The place of one answer in the order of its connection. It is taken when the request is read and filled when the answer is
 * known; the connection sends filled slots from the front. The answer is encoded only then, into a writer shared by all.
 */
export abstract class ResponseSlot {
  /** The answer is known (or known to be none). */
  ready = false
  /** No bytes follow: Produce with acks 0. */
  silent = false
  /** True for Produce, which alone may start while an earlier request (also Produce) waits. */
  readonly pipelined: boolean
  /** Memory of the answers' budget that the answer takes besides what its encoding needs: records that came from the disk. */
  protected copiedBytes = 0
  /** Who is told when it becomes ready: its connection. */
  onReady: (() => void) | null = null

  constructor(pipelined: boolean) {
    this.pipelined = pipelined
  }

  /** Writes the whole frame, size prefix included. Called once, when `ready`. */
  abstract encode(writer: Writer): void

  /** Whoever calls it gives them back to the budget. */
  takeCopiedBytes(): number {
    const sizeBytes = this.copiedBytes
    this.copiedBytes = 0
    return sizeBytes
  }

  /** Called now and then while it waits: answers with a time-out when its time is over. Most slots have their own timers. */
  expire(_nowMs: number): void {
    // Nothing to do for those.
  }

  /** The connection closed before the answer was sent: stop waiting, free what is held. */
  abandon(): void {
    this.onReady = null
  }

  /** Fills the slot. May be called once, from anywhere. */
  complete(): void {
    if (this.ready) return
    this.ready = true
    const onReady = this.onReady
    this.onReady = null
    if (onReady !== null) onReady()
  }
}
