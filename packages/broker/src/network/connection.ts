import type { Writer } from '@millrace/protocol'
import type { ConnectionContext } from '../handlers/handler.ts'
import type { AnswerHolder } from './answer-budget.ts'
import type { AnswerStarter } from './answers-in-making.ts'
import type { ConnectionShares } from './connection-shares.ts'
import { FrameAssembly } from './frame-assembly.ts'
import type { BudgetHolder } from './request-budget.ts'
import type { ResponseSlot } from './response-slot.ts'
import type { Transport, TransportEvents } from './transport.ts'
import type { Turn } from './turn.ts'

/** Answers waiting on one connection before it is no longer read (`reliability.md`, 6.2); Produce may have more, its data is stored. */
const MAX_WAITING_REQUESTS = 64
const MAX_WAITING_PRODUCES = 1024
/** Bytes kept of requests that may not start yet; above, the socket is not read. */
const MAX_BLOCKED_BYTES = 64 * 1024
/** Read at once while memory for frames is short: what is not a whole frame has to be kept. */
const SMALL_READ_BYTES = 16 * 1024
/** Unsent answer bytes above which no further request of this connection starts (`reliability.md`, 6.2). */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024

export interface RequestDispatcher {
  /** Largest frame accepted now, for this connection (smaller before authentication). */
  maxFrameBytes(connection: Connection): number
  /** API key of the frame at `start`, for the order rule. The frame has at least 8 bytes. */
  isPipelined(buffer: Buffer, start: number): boolean
  /** Its answer may be large: it starts only when all before it have been sent, so that such answers do not pile up. */
  startsAlone(buffer: Buffer, start: number): boolean
  /** Whether there is memory for what a request of that size becomes; otherwise the connection is told when it may ask again. */
  mayStart(connection: Connection, buffer: Buffer, start: number, sizeBytes: number): boolean
  /**
   * Starts the request in `buffer[start, end)` (header and body). The bytes are valid during the call only. Null: the connection
   * must close (the dispatcher has counted and logged why).
   */
  /** `mayKeep`: the buffer holds nothing but this request, and may be kept: {@link Connection.onFrameTaken} is called then. */
  dispatch(connection: Connection, buffer: Buffer, start: number, end: number, mayKeep: boolean): ResponseSlot | null
  /** A frame of impossible size arrived. */
  onBadFrame(connection: Connection, sizeBytes: number): void
  /** An answer could not be encoded: a bug of ours. The connection closes. */
  onEncodeFailed(connection: Connection, error: unknown): void
  /** It is closed because its peer left its answers lying while others need the memory. */
  onAnswersShed(connection: Connection): void
  /** It is closed because its frame was begun long ago, could not be started yet, and others need the memory. */
  onFrameShed(connection: Connection): void
  /** It is closed because there is no memory for what it sent, however much was made. */
  onFrameRefused(connection: Connection): void
  onConnectionClosed(connection: Connection): void
}

/** Shared, like the listener's: bytes are used before the next read. */
const smallReadBuffer = Buffer.allocUnsafeSlow(SMALL_READ_BYTES)

/**
 * One client: bytes in, frames out, answers back in order. Requests run one at a time, as in Kafka, except that Produce may
 * follow Produce: appends happen in order at once, and only their answers wait.
 */
export class Connection implements TransportEvents, BudgetHolder, AnswerHolder, AnswerStarter {
  readonly context: ConnectionContext
  readonly transport: Transport
  readonly #dispatcher: RequestDispatcher
  readonly #turn: Turn
  readonly #shares: ConnectionShares
  readonly #writer: Writer
  readonly #flush: () => void
  readonly #endRest: () => void
  readonly #moveOn: () => void
  readonly #onSlotReady: () => void

  /** Answers in request order; `#head` is the first one not sent. */
  #slots: ResponseSlot[] = []
  #head = 0
  /** Slots that are not ready. */
  #pending = 0
  /** Whether all pending slots are Produce. */
  #pendingPipelined = true

  /** Bytes of an incomplete frame, or of frames that may not start yet. */
  readonly #assembly: FrameAssembly

  #flushRequested = false
  #readingPaused = false
  /** Its incomplete frame must not grow until there is room again. */
  #overBudget = false
  /** Its incomplete frame moves to larger memory, a piece in each turn. */
  #moving = false
  /** It has read its share of this turn. */
  #resting = false
  #turnNumber = -1
  #turnBytes = 0
  #closed = false
  /** Nothing is read any more; the connection ends once what was started before has been answered. */
  #ending = false
  #dispatching = false
  /** The peer sends no more. */
  peerEnded = false
  /** Bytes received so far: tells the idle and stalled-frame checks whether anything moved. */
  receivedBytes = 0
  /** Frames that were complete: a client that sends many small ones, slowly, does not dawdle over one. */
  receivedFrames = 0
  /** Bytes of answers handed to the transport so far. */
  writtenBytes = 0

  constructor(
    context: ConnectionContext,
    transport: Transport,
    dispatcher: RequestDispatcher,
    turn: Turn,
    shares: ConnectionShares,
    writer: Writer,
  ) {
    this.context = context
    this.transport = transport
    this.#dispatcher = dispatcher
    this.#turn = turn
    this.#shares = shares
    this.#writer = writer
    this.#assembly = new FrameAssembly(shares.requests)
    this.#flush = () => this.#sendReady()
    this.#endRest = () => {
      this.#resting = false
      this.#continue()
    }
    this.#moveOn = () => {
      if (this.#closed || !this.#moving) return
      this.#moving = false
      this.#makeRoom()
      if (!this.#moving) this.#continue()
    }
    this.#onSlotReady = () => this.#slotBecameReady()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Requests that were started and not answered yet. */
  get waitingRequests(): number {
    return this.#slots.length - this.#head
  }

  /** The peer began a frame and has not finished it, though it could: while reading is paused it is not to blame. */
  get hasPartialFrame(): boolean {
    return this.#assembly.buffer !== null && !this.#readingPaused && !this.#assembly.hasWholeFrame
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#closed || this.#ending) return
    this.receivedBytes += end - start
    this.#keepToShare(end - start)
    if (this.#assembly.buffer !== null) {
      if (this.#keep(buffer, start, end)) this.#drainAssembly()
      return
    }
    const consumed = this.#startFrames(buffer, start, end)
    if (consumed < end && !this.#closed) {
      if (!this.#keep(buffer, consumed, end)) return
      this.#keepToBudget()
    }
    this.#pauseIfBlocked()
  }

  nextReadBuffer(): Buffer | null {
    const target = this.#closed || this.#ending ? null : this.#assembly.target()
    return target ?? (this.#shares.requests.isFull ? smallReadBuffer : null)
  }

  /** The broker's memory for incomplete requests has room again, or it is this one's turn. */
  onBudgetFreed(): void {
    this.#overBudget = false
    if (!this.#closed) this.#continue()
  }

  onRoomForAnswer(): void {
    if (!this.#closed) this.#continue()
  }

  get frameBytes(): number {
    return this.#assembly.heldBytes
  }

  get growthBytes(): number {
    return this.#assembly.growthBytes
  }

  get isLarge(): boolean {
    return this.#assembly.isLarge
  }

  /** See `RequestDispatcher.dispatch`. */
  onFrameTaken(): void {
    this.#assembly.onTaken()
  }

  onFrameShed(): void {
    this.#dispatcher.onFrameShed(this)
    this.close()
  }

  onDrain(): void {
    if (this.#closed) return
    this.settleAnswers()
    this.#continue()
  }

  /**
   * The peer has ended its side. Whole frames that arrived are still done, and answered, as Kafka does: a producer that wants no
   * acknowledgements sends its records and goes.
   */
  onEnd(): void {
    if (this.#closed) return
    this.peerEnded = true
    this.#endWhenDone()
  }

  /** Tells the budget what the socket still holds of answers, where no write of ours does. */
  settleAnswers(): void {
    const { answers } = this.#shares
    const held = answers.bytesOf(this)
    if (held > 0) answers.hold(this, Math.min(held, this.transport.bufferedBytes))
  }

  onAnswersShed(): void {
    this.#dispatcher.onAnswersShed(this)
    this.close()
  }

  /** An answer of this connection is made in memory, piece by piece: so much of the answers' budget until it is sent. */
  takeAnswerBytes(sizeBytes: number): void {
    this.#shares.answers.take(sizeBytes)
  }

  /** An answer of this connection takes so much memory until it is sent: of the answers' budget, which gave it. */
  releaseAnswerBytes(sizeBytes: number): void {
    this.#shares.answers.release(sizeBytes)
  }

  onClose(_error: Error | null): void {
    if (this.#closed) return
    this.#closed = true
    for (let i = this.#head; i < this.#slots.length; i++) this.#slots[i]!.abandon()
    this.#shares.waiting.count -= this.#slots.length - this.#head
    this.#slots = []
    this.#head = 0
    this.#releaseAssembly()
    this.#shares.making.forget(this)
    this.#shares.answers.hold(this, 0)
    this.#dispatcher.onConnectionClosed(this)
  }

  /** Lets waiting answers time out. Returns whether some still wait. */
  expireSlots(nowMs: number): boolean {
    if (this.#pending === 0) return false
    for (let i = this.#head; i < this.#slots.length; i++) this.#slots[i]!.expire(nowMs)
    return this.#pending > 0
  }

  /** Closes at once. What was not sent is dropped; Kafka's answer to whatever it cannot answer. */
  close(): void {
    if (!this.#closed) this.transport.destroy()
  }

  /** Starts complete frames of `buffer[start, end)` while the order rule allows; returns the position of the first byte not used. */
  #startFrames(buffer: Buffer, start: number, end: number): number {
    let position = start
    this.#dispatching = true
    while (end - position >= 4) {
      const size = buffer.readInt32BE(position)
      if (size < 8 || size > this.#dispatcher.maxFrameBytes(this)) {
        this.#dispatcher.onBadFrame(this, size)
        this.#endAfterAnswers()
        return end
      }
      if (end - position - 4 < size) break
      const isPipelined = this.#dispatcher.isPipelined(buffer, position + 4)
      if (!this.#mayStart(isPipelined)) break
      if (this.waitingRequests > 0 && this.#dispatcher.startsAlone(buffer, position + 4)) break
      if (!isPipelined && !this.#dispatcher.mayStart(this, buffer, position + 4, size)) break
      // A large frame that is all there is in the assembly: copying it would hold the loop.
      const mayKeep = this.#assembly.isLarge && buffer === this.#assembly.buffer && position === 0 && end === 4 + size
      const slot = this.#dispatcher.dispatch(this, buffer, position + 4, position + 4 + size, mayKeep)
      position += 4 + size
      this.receivedFrames++
      if (slot === null) {
        this.#endAfterAnswers()
        return end
      }
      this.#enqueue(slot)
    }
    this.#dispatching = false
    return position
  }

  /**
   * A request has no answer but the end of the connection. Requests before it in the same bytes have theirs: Kafka would not have read
   * on before it had sent them.
   */
  #endAfterAnswers(): void {
    this.#dispatching = false
    if (this.#head === this.#slots.length) this.close()
    else this.#ending = true
  }

  #mayStart(pipelined: boolean): boolean {
    if (this.transport.bufferedBytes > MAX_OUTPUT_BYTES) return false
    if (this.#shares.waiting.isFull && this.#slots.length > this.#head) return false
    if (this.#pending > 0) return pipelined && this.#pendingPipelined && this.#pending < MAX_WAITING_PRODUCES
    return this.#slots.length - this.#head < (pipelined ? MAX_WAITING_PRODUCES : MAX_WAITING_REQUESTS)
  }

  #enqueue(slot: ResponseSlot): void {
    if (slot.ready) {
      // Silent answers with nothing before them leave no trace.
      if (slot.silent && this.#slots.length === this.#head) return
      this.#slots.push(slot)
      this.#shares.waiting.count++
      this.#requestFlush()
      return
    }
    this.#slots.push(slot)
    this.#shares.waiting.count++
    this.#pendingPipelined = slot.pipelined && (this.#pending === 0 || this.#pendingPipelined)
    this.#pending++
    slot.onReady = this.#onSlotReady
  }

  #slotBecameReady(): void {
    this.#pending--
    this.#requestFlush()
  }

  #requestFlush(): void {
    if (this.#flushRequested) return
    this.#flushRequested = true
    this.#turn.afterFlush(this.#flush)
  }

  /** End of the turn: every answer that is ready and in order leaves, as one write. Then requests that waited may start. */
  #sendReady(): void {
    this.#flushRequested = false
    if (this.#closed) return
    const writer = this.#writer
    const slots = this.#slots
    const before = writer.position
    let copiedBytes = 0
    let head = this.#head
    while (head < slots.length && slots[head]!.ready) {
      const slot = slots[head]!
      copiedBytes += slot.takeCopiedBytes()
      if (!slot.silent && !this.#encode(slot)) {
        this.#shares.answers.release(copiedBytes)
        return
      }
      head++
    }
    this.#shares.waiting.count -= head - this.#head
    if (head === slots.length) {
      this.#slots.length = 0
      this.#head = 0
    } else if (head > 256 && head * 2 > slots.length) {
      this.#slots = slots.slice(head)
      this.#head = 0
    } else {
      this.#head = head
    }
    const sizeBytes = writer.sizeBytes
    if (sizeBytes > 0) {
      // The writer is empty between two connections: what it wrote is what its position moved. Spliced bytes are views or copies.
      const ownBytes = writer.position - before + copiedBytes
      this.writtenBytes += sizeBytes
      this.transport.write(writer.takeChunks(), sizeBytes)
      // What was read for an answer is the socket's from here on: counted as both, it could be too much all by itself.
      this.#shares.answers.release(copiedBytes)
      this.#holdUnsent(ownBytes)
    } else {
      this.#shares.answers.release(copiedBytes)
    }
    if (this.#ending && this.#slots.length === 0) this.transport.end()
    this.#continue()
  }

  /** What the peer did not take at once stays in memory: nearly always nothing. */
  #holdUnsent(ownBytes: number): void {
    const { answers } = this.#shares
    const unsent = this.transport.bufferedBytes
    if (unsent > 0) answers.hold(this, Math.min(unsent, answers.bytesOf(this) + ownBytes))
    else answers.hold(this, 0)
  }

  /** Writes the answer; false if it cannot be written: then the connection is closed, since what follows would be out of step. */
  #encode(slot: ResponseSlot): boolean {
    try {
      slot.encode(this.#writer)
      return true
    } catch (error) {
      this.#writer.abandonFrame()
      // Earlier answers of this turn go with the connection.
      this.#writer.takeChunks()
      this.#dispatcher.onEncodeFailed(this, error)
      this.close()
      return false
    }
  }

  /** Tries again to start what waits in the assembly, and reads on once it is small enough. */
  #continue(): void {
    if (this.#dispatching || this.#closed) return
    if (this.#assembly.buffer !== null) this.#drainAssembly()
    if (this.#readingPaused && !this.#closed && !this.#isBlocked()) {
      this.#readingPaused = false
      this.transport.resumeReading()
    }
    if (this.peerEnded) this.#endWhenDone()
  }

  #endWhenDone(): void {
    if (this.#closed || this.#ending || this.#assembly.hasWholeFrame) return
    // What is incomplete stays so.
    this.#releaseAssembly()
    if (this.#head === this.#slots.length) this.transport.end()
  }

  /** Bytes that are no whole frame, or must wait. False: there is no memory for them, and the connection closes. */
  #keep(buffer: Buffer, start: number, end: number): boolean {
    const { requests } = this.#shares
    const assembly = this.#assembly
    if (assembly.capacityBytes - assembly.end < end - start && requests.refuses(this)) {
      // At once: many sockets may be read before the first of them has closed.
      this.#releaseAssembly()
      this.#dispatcher.onFrameRefused(this)
      this.close()
      return false
    }
    assembly.append(buffer, start, end)
    return true
  }

  #drainAssembly(): void {
    const assembly = this.#assembly
    const consumed = this.#startFrames(assembly.buffer!, 0, assembly.end)
    if (this.#closed) return
    if (consumed === assembly.end) {
      this.#releaseAssembly()
    } else {
      if (consumed > 0) {
        assembly.consume(consumed)
        // A frame is done: whoever waits for room goes before the next one.
        this.#shares.requests.release(this)
      }
      this.#keepToBudget()
    }
    this.#pauseIfBlocked()
  }

  /** A frame that is complete will go by itself; one that grows needs room. */
  #keepToBudget(): void {
    const { requests } = this.#shares
    if (this.#assembly.hasWholeFrame) {
      this.#overBudget = false
      requests.onFrameWhole(this)
    } else {
      this.#overBudget = !requests.admit(this)
      if (!this.#overBudget && !this.#moving) this.#makeRoom()
    }
  }

  #makeRoom(): void {
    if (this.#assembly.makeRoom()) return
    this.#moving = true
    // The end of this turn, or of the next one where this is the end of a turn.
    this.#turn.afterFlush(this.#moveOn)
  }

  /** Complete frames wait for their turn and fill their allowance, or answers pile up unsent. */
  #isBlocked(): boolean {
    if (this.#overBudget || this.#moving || this.#resting || this.transport.bufferedBytes > MAX_OUTPUT_BYTES)
      return true
    return this.#assembly.end > MAX_BLOCKED_BYTES && this.#assembly.hasWholeFrame
  }

  /** Above its share of the turn the socket is not read until the others had theirs. */
  #keepToShare(sizeBytes: number): void {
    const { reads } = this.#turn
    if (this.#turnNumber !== reads.turnNumber) {
      this.#turnNumber = reads.turnNumber
      this.#turnBytes = 0
      reads.onReader()
    }
    this.#turnBytes += sizeBytes
    if (this.#turnBytes < reads.allowanceBytes || this.#resting) return
    this.#resting = true
    // Before the flush: what then starts may append, and this turn may already have a flush of ours to send its answer.
    this.#turn.beforeFlush(this.#endRest)
  }

  #pauseIfBlocked(): void {
    if (this.#readingPaused || this.#closed || !this.#isBlocked()) return
    this.#readingPaused = true
    this.transport.pauseReading()
  }

  #releaseAssembly(): void {
    if (this.#assembly.buffer === null) return
    this.#assembly.release()
    this.#overBudget = false
    this.#moving = false
    this.#shares.requests.release(this)
  }
}
