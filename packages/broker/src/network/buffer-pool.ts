import type { Timer, Timers } from '@millrace/base'

/** What nobody has used for so long is given back. */
const TRIM_MS = 30_000

/**
 * Reusable buffers for request frames that arrive in several pieces. Frames assembled in a reused buffer cost half the CPU of
 * fresh ones (0.45 against 0.95 s per GB with 1 MB frames), mostly page faults and garbage collection.
 *
 * Sizes are powers of two from 1 KiB to 512 MiB. Idle ones are kept as long as all together, in use or not, hold at most `maxBytes`, and
 * only if they were used within half a minute. Clients that begin large frames and go, again and again, then cost no collections: each
 * hundred megabytes of fresh buffers make V8 collect its whole heap several times.
 */
export class BufferPool {
  static readonly MIN_SIZE_BYTES = 1024
  readonly #idle: Buffer[][] = []
  /** All buffers hold at most so much, unless more are in use. */
  readonly maxBytes: number
  #idleBytes = 0
  #usedBytes = 0
  /** Least bytes that were idle since the last trim: so much was not needed. */
  #leastIdleBytes = 0
  readonly #timers: Timers
  #timer: Timer | null = null
  #stopped = false

  constructor(timers: Timers, maxBytes: number) {
    this.#timers = timers
    this.maxBytes = maxBytes
  }

  /** Bytes handed out and not returned: what unfinished request frames hold. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  get idleBytes(): number {
    return this.#idleBytes
  }

  /** A buffer of at least `sizeBytes`, contents undefined. */
  acquire(sizeBytes: number): Buffer {
    const slot = slotOf(sizeBytes)
    const size = BufferPool.MIN_SIZE_BYTES << slot
    this.#usedBytes += size
    const found = this.#idle[slot]?.pop()
    if (found === undefined) {
      this.#dropIdle(Math.max(0, this.maxBytes - this.#usedBytes))
      return Buffer.allocUnsafeSlow(size)
    }
    this.#idleBytes -= size
    if (this.#idleBytes < this.#leastIdleBytes) this.#leastIdleBytes = this.#idleBytes
    return found
  }

  /** Takes back a buffer from `acquire`; nothing may refer to it any more. */
  release(buffer: Buffer): void {
    this.#usedBytes -= buffer.length
    if (this.#stopped || this.#usedBytes + this.#idleBytes + buffer.length > this.maxBytes) return
    const slot = slotOf(buffer.length)
    while (this.#idle.length <= slot) this.#idle.push([])
    this.#idle[slot]!.push(buffer)
    this.#idleBytes += buffer.length
    this.#timer ??= this.#timers.setTimer(TRIM_MS, () => this.#trim())
  }

  /** No timer may outlive the broker: connections that close later give back what nobody will use again. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = null
    this.#dropIdle(0)
  }

  /** Leaves so much at most, by giving back the largest first. */
  #dropIdle(keptBytes: number): void {
    for (let slot = this.#idle.length - 1; slot >= 0 && this.#idleBytes > keptBytes; slot--) {
      const buffers = this.#idle[slot]!
      while (buffers.length > 0 && this.#idleBytes > keptBytes) {
        buffers.pop()
        this.#idleBytes -= BufferPool.MIN_SIZE_BYTES << slot
      }
    }
    if (this.#idleBytes < this.#leastIdleBytes) this.#leastIdleBytes = this.#idleBytes
  }

  /** Gives back what was idle all the time since the last time, and no more. */
  #trim(): void {
    let unusedBytes = this.#leastIdleBytes
    for (let slot = this.#idle.length - 1; slot >= 0; slot--) {
      const buffers = this.#idle[slot]!
      const sizeBytes = BufferPool.MIN_SIZE_BYTES << slot
      while (buffers.length > 0 && sizeBytes <= unusedBytes) {
        buffers.pop()
        unusedBytes -= sizeBytes
        this.#idleBytes -= sizeBytes
      }
    }
    this.#leastIdleBytes = this.#idleBytes
    this.#timer = this.#idleBytes > 0 ? this.#timers.setTimer(TRIM_MS, () => this.#trim()) : null
  }
}

function slotOf(sizeBytes: number): number {
  if (sizeBytes <= BufferPool.MIN_SIZE_BYTES) return 0
  return 32 - Math.clz32((sizeBytes - 1) >>> 10)
}
