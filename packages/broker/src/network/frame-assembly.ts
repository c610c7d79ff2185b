import { LARGE_FRAME_BYTES, type RequestBudget } from './request-budget.ts'

/** The first guess of a frame's buffer: a declared size is believed only as far as bytes arrive. */
const INITIAL_BYTES = 1024 * 1024
/** With at least so much of a frame still to come, the socket reads into its buffer directly: a copy less, and larger reads. */
const DIRECT_READ_MIN_BYTES = 64 * 1024
/** How much of a large frame is moved to larger memory in one turn: tens of megabytes whose pages are new would hold the loop. */
export const MOVED_BYTES = 4 * 1024 * 1024
const SIZE_BYTES = 4

/** Bytes of one connection that are no whole frame yet, or frames that may not start yet. Their memory is that of the budget. */
export class FrameAssembly {
  readonly #budget: RequestBudget
  #buffer: Buffer | null = null
  #end = 0
  #isLarge = false
  /** Who handles its frame keeps the buffer. */
  #isTaken = false
  /** The rest of the buffer, while the socket reads into it. */
  #readTarget: Buffer | null = null
  /** Where a large frame is being moved to, and how much of it has been. */
  #larger: Buffer | null = null
  #movedBytes = 0

  constructor(budget: RequestBudget) {
    this.#budget = budget
  }

  /** Null: it is empty. What counts are the bytes before `end`. */
  get buffer(): Buffer | null {
    return this.#buffer
  }

  get end(): number {
    return this.#end
  }

  get capacityBytes(): number {
    return (this.#larger ?? this.#buffer)?.length ?? 0
  }

  /** All memory that it has of the budget: twice as much while a frame is being moved. */
  get heldBytes(): number {
    return (this.#buffer?.length ?? 0) + (this.#larger?.length ?? 0)
  }

  /** Its first frame says that it has more than `LARGE_FRAME_BYTES`. */
  get isLarge(): boolean {
    return this.#isLarge
  }

  /** Memory without which its large frame cannot go on; 0 while there is room in what it has. */
  get growthBytes(): number {
    const buffer = this.#buffer
    if (!this.#isLarge || buffer === null || this.#larger !== null || this.#end < buffer.length) return 0
    return Math.max(0, this.#nextCapacity(buffer) - buffer.length)
  }

  get hasWholeFrame(): boolean {
    return this.#end >= SIZE_BYTES && this.#end - SIZE_BYTES >= this.#buffer!.readInt32BE(0)
  }

  /**
   * Where the socket should read to; null: into any buffer, to be appended. Large frames are read into their own memory to its end, and
   * no further, so that they never need more before they were asked.
   */
  target(): Buffer | null {
    this.#readTarget = null
    const buffer = this.#buffer
    // Nothing but bytes from the socket changes an assembly that holds one incomplete frame: the answer stays right until then.
    if (buffer === null || this.#end < SIZE_BYTES || this.hasWholeFrame) return null
    const end = Math.min(frameBytes(buffer), buffer.length)
    const leastBytes = this.#isLarge ? 1 : DIRECT_READ_MIN_BYTES
    if (end - this.#end < leastBytes) return null
    this.#readTarget = buffer.subarray(this.#end, end)
    return this.#readTarget
  }

  /** Bytes arrived: in the `target`, or elsewhere. */
  append(buffer: Buffer, start: number, end: number): void {
    const needed = this.#end + end - start
    if (buffer === this.#readTarget) {
      this.#end = needed
      return
    }
    // What was on its way when the socket was told to wait.
    while (this.#larger !== null) this.#moveOn()
    const own = this.#buffer
    if (own === null) {
      this.#isLarge = end - start >= SIZE_BYTES && buffer.readInt32BE(start) + SIZE_BYTES > LARGE_FRAME_BYTES
      this.#buffer = this.#budget.acquire(this.#firstCapacity(buffer, start, end), this.#isLarge)
    } else if (needed > own.length) {
      this.#growTo(this.#end < SIZE_BYTES ? needed : Math.max(needed, this.#affordable(own)))
    }
    buffer.copy(this.#buffer!, this.#end, start, end)
    this.#end = needed
    this.#classify()
  }

  /** The first bytes were used. */
  consume(sizeBytes: number): void {
    this.#readTarget = null
    if (sizeBytes === this.#end) {
      this.release()
      return
    }
    if (sizeBytes === 0) return
    this.#buffer!.copy(this.#buffer!, 0, sizeBytes, this.#end)
    this.#end -= sizeBytes
    this.#classify()
  }

  /**
   * Room for more of a large frame that has filled its memory, of which the budget has been asked. What there is of it moves in pieces, one
   * a call. False: it is to be called again, in another turn, before anything more is read.
   */
  makeRoom(): boolean {
    if (this.growthBytes > 0) {
      this.#larger = this.#budget.acquire(this.#nextCapacity(this.#buffer!), this.#isLarge)
      this.#movedBytes = 0
    }
    if (this.#larger !== null) this.#moveOn()
    return this.#larger === null
  }

  /** Its one frame was decoded where it lies: the buffer is not the budget's any more once this is released, and not written to again. */
  onTaken(): void {
    this.#isTaken = true
  }

  release(): void {
    if (this.#buffer !== null && this.#isTaken) this.#budget.giveAway(this.#buffer, this.#isLarge)
    else if (this.#buffer !== null) this.#budget.giveBack(this.#buffer, this.#isLarge)
    this.#isTaken = false
    if (this.#larger !== null) this.#budget.giveBack(this.#larger, this.#isLarge)
    this.#buffer = null
    this.#larger = null
    this.#readTarget = null
    this.#end = 0
    this.#isLarge = false
  }

  /** Thousands that announce large frames and send nothing must not get a large buffer each. */
  #firstCapacity(buffer: Buffer, start: number, end: number): number {
    const arrived = end - start
    if (arrived < SIZE_BYTES || this.#budget.isTight) return arrived
    return Math.max(arrived, Math.min(SIZE_BYTES + buffer.readInt32BE(start), INITIAL_BYTES))
  }

  /** What the frame has next, in steps that double; never more than it says that it needs. */
  #nextCapacity(own: Buffer): number {
    return Math.min(frameBytes(own), Math.max(own.length * 2, INITIAL_BYTES))
  }

  /** The same as far as the budget has room: bytes that arrived elsewhere have to be kept in any case. */
  #affordable(own: Buffer): number {
    const wanted = this.#isLarge ? this.#nextCapacity(own) : Math.min(frameBytes(own), own.length * 2)
    return !this.#isLarge || this.#budget.hasRoomForLarge(wanted - own.length) ? wanted : 0
  }

  #moveOn(): void {
    const [own, larger] = [this.#buffer!, this.#larger!]
    const movedBytes = Math.min(this.#end, this.#movedBytes + MOVED_BYTES)
    own.copy(larger, this.#movedBytes, this.#movedBytes, movedBytes)
    this.#movedBytes = movedBytes
    if (movedBytes < this.#end) return
    this.#budget.giveBack(own, this.#isLarge)
    this.#buffer = larger
    this.#larger = null
  }

  #growTo(capacityBytes: number): void {
    const own = this.#buffer!
    const larger = this.#budget.acquire(capacityBytes, this.#isLarge)
    own.copy(larger, 0, 0, this.#end)
    this.#budget.giveBack(own, this.#isLarge)
    this.#buffer = larger
  }

  #classify(): void {
    const isLarge = this.#end >= SIZE_BYTES && frameBytes(this.#buffer!) > LARGE_FRAME_BYTES
    if (isLarge === this.#isLarge) return
    this.#isLarge = isLarge
    this.#budget.reclassify(this.#buffer!, isLarge)
  }
}

/** With its size field. */
function frameBytes(buffer: Buffer): number {
  return SIZE_BYTES + buffer.readInt32BE(0)
}
