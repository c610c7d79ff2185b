import type { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'

/** Why a stream is over: the other side ended it, nobody listens, or nothing is heard of it. Null: this side closed it. */
export type StreamEnd = 'closed' | 'refused' | 'silent' | null

/** What a stream tells its user; never from inside a call into it. `onClose` is the last call, and comes exactly once. */
export interface StreamUser {
  onOpen(): void
  onData(chunk: Buffer): void
  /** All that was written has arrived; only if it was wanted. */
  onDrain(): void
  onClose(why: StreamEnd): void
}

/** How long bytes take, and how connections fare. */
export interface StreamRates {
  readonly meanDelayMs: number
  /** Share of the connections over a cut link that are lost by it, with all that was under way. */
  readonly cutLoss: number
  /** After so long without a sign of life on a lost connection each side gives it up. */
  readonly silenceMs: number
}

/** What a stream asks of the network that it runs over. */
export interface StreamLinks {
  readonly world: World
  readonly random: RandomStream
  readonly rates: StreamRates
  delayMs(): number
  isCut(from: number, to: number): boolean
  forget(stream: SimulatedStream): void
}

/** One end of a connection. */
export class SimulatedStream {
  readonly loop: ProcessLoop
  /** Of the listener, for the end that connected. */
  readonly address: string
  user: StreamUser | null = null
  /** The user waits for all that it wrote to arrive: `onDrain` is called, once. */
  wantsDrain = false
  readonly #network: StreamLinks
  #peer: SimulatedStream | null = null
  #isClosed = false
  #isPeerLost = false
  #isReading = true
  /** Sent by this end and not taken by the other yet. */
  #underWay: Buffer[] = []
  #underWayBytes = 0
  #lastArrivalMs = 0
  /** Arrived while the user does not read. */
  #unread: Buffer[] = []

  constructor(network: StreamLinks, loop: ProcessLoop, address: string) {
    this.#network = network
    this.loop = loop
    this.address = address
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isReading(): boolean {
    return this.#isReading
  }

  /** Bytes written that the other side has not taken. */
  get underWayBytes(): number {
    return this.#underWayBytes
  }

  runsFrom(from: number, to: number): boolean {
    return this.loop.node === from && this.#peer?.loop.node === to
  }

  /** The chunk is the stream's from now on. */
  write(chunk: Buffer): void {
    if (this.#isClosed || chunk.length === 0) return
    this.#underWay.push(chunk)
    this.#underWayBytes += chunk.length
    if (this.#peer !== null) this.#scheduleArrival()
  }

  /** Ends the connection from this side, with or without what is still under way. */
  close(): void {
    if (this.#isClosed) return
    const peer = this.#peer
    this.#finish(null)
    if (peer !== null && !this.#isPeerLost) {
      peer.loop.after(this.#network.delayMs(), 'closed', () => {
        // Behind a cut link it is not even heard that the connection is over.
        if (this.#network.isCut(this.loop.node, peer.loop.node)) peer.losePeer()
        else peer.fail('closed')
      })
    }
  }

  /** Sends what was written, then closes. */
  end(): void {
    if (this.#isClosed) return
    if (this.#underWay.length === 0) this.close()
    else this.loop.after(this.#network.delayMs(), 'end', () => this.end())
  }

  pauseReading(): void {
    this.#isReading = false
  }

  /** The rest of a chunk, of which the user took no more before it stopped reading. */
  putBack(chunk: Buffer): void {
    this.#unread.unshift(chunk)
  }

  resumeReading(): void {
    if (this.#isReading) return
    this.#isReading = true
    this.loop.after(0, 'read on', () => this.#deliver())
  }

  /** The connection stands. */
  join(far: SimulatedStream): void {
    this.#peer = far
    far.#peer = this
    far.loop.after(0, 'open', () => far.user?.onOpen())
    this.loop.after(this.#network.delayMs(), 'open', () => {
      if (this.#isClosed) return
      this.user?.onOpen()
      this.resend()
    })
  }

  /** The connection is over, by no doing of this end's user. */
  fail(why: StreamEnd): void {
    if (!this.#isClosed) this.#finish(why)
  }

  /** What is under way, and what will be written, never arrives; after a silence each side notices. */
  losePeer(): void {
    if (this.#isPeerLost || this.#isClosed) return
    this.#isPeerLost = true
    this.#underWay = []
    const { random, rates } = this.#network
    this.loop.after(rates.silenceMs * random.real(0.5, 1.5), 'silence', () => this.fail('silent'))
    this.#peer?.losePeer()
  }

  /** The link has healed. */
  resend(): void {
    for (let count = this.#underWay.length; count > 0; count--) this.#scheduleArrival()
  }

  /** The process of this end has ended; its system closes the connection. */
  onProcessEnded(): void {
    const peer = this.#peer
    this.#isClosed = true
    this.user = null
    this.#network.forget(this)
    if (peer === null || this.#isPeerLost) return
    if (this.#network.isCut(this.loop.node, peer.loop.node)) peer.losePeer()
    else peer.loop.after(this.#network.delayMs(), 'closed', () => peer.fail('closed'))
  }

  #scheduleArrival(): void {
    const peer = this.#peer
    if (peer === null || this.#isPeerLost) return
    const { world } = this.#network
    // A stream keeps its order, whatever the single delays are.
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.nowMs + this.#network.delayMs())
    peer.loop.after(this.#lastArrivalMs - world.nowMs, 'bytes', () => this.#arrive(peer))
  }

  #arrive(peer: SimulatedStream): void {
    if (this.#isPeerLost || peer.#isClosed || this.#network.isCut(this.loop.node, peer.loop.node)) return
    const chunk = this.#underWay.shift()
    if (chunk === undefined) return
    this.#underWayBytes -= chunk.length
    peer.#unread.push(chunk)
    peer.#deliver()
    if (this.#underWay.length > 0 || this.#isClosed || !this.wantsDrain) return
    this.wantsDrain = false
    this.loop.after(0, 'drain', () => this.user?.onDrain())
  }

  #deliver(): void {
    while (this.#isReading && !this.#isClosed) {
      const chunk = this.#unread.shift()
      if (chunk === undefined) return
      this.user?.onData(chunk)
    }
  }

  #finish(why: StreamEnd): void {
    this.#isClosed = true
    this.#underWay = []
    this.#unread = []
    this.#network.forget(this)
    this.loop.after(0, 'close', () => this.user?.onClose(why))
  }
}
