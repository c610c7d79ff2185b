import { writeSync } from 'node:fs'
import { unblocked } from './unblocked-descriptor.ts'

/** Where log lines go. `write` takes one whole line, and neither throws for what is wrong with the other end nor waits for it. */
export interface LogOutput {
  write(line: string): void
  /** The process is about to end: writes what waits, on this thread, as long as the other end takes it. */
  flush(): void
}

export interface DescriptorOutputOptions {
  /** Gives how many of the bytes were taken, or throws a system error as `fs.writeSync` does. Must not wait for room. */
  writeBytes(bytes: Buffer): number
  /** Calls back when there may be room again. What is to be called must not keep the process alive. */
  retryLater(callback: () => void): void
  /** Lets time pass on this thread. */
  pause(ms: number): void
  /** Bytes of lines that wait for room; more are lost. */
  maxWaitingBytes: number
}

const STANDARD_ERROR = 2
/** Some thousands of lines: what a reader that falls behind for a moment leaves. */
const WAITING_BYTES_MAX = 1 << 20
/** A full pipe is tried again after this long. Its 64 KiB then make more than a megabyte a second. */
const RETRY_MS = 20
/** Lines that follow each other share a call, but no more than a pipe takes as a whole: others may write to it too. */
const PIECE_BYTES_MAX = 4096
/** How long an end that takes nothing, and one that takes a little, keeps the process from ending. */
const FLUSH_STALL_MS = 250
const FLUSH_MS_MAX = 2000
const FLUSH_PAUSE_MS = 5

/**
 * Log lines in the order logged, to a descriptor that does not wait for room. A broker neither dies of its log nor stops for it: a pipe may
 * be full, since whoever should read it does not, its reader may be gone, a file's disk may be full. Lines then wait, up to a bound; what
 * comes after that is lost, and their number is told once there is room again.
 */
export class DescriptorOutput implements LogOutput {
  readonly #options: DescriptorOutputOptions
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #lostCount = 0
  #isRetrying = false

  constructor(options: DescriptorOutputOptions) {
    this.#options = options
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    // A line that is alone is taken whatever its size.
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes.length > this.#options.maxWaitingBytes) {
      this.#lostCount++
      // Nobody tells when a disk has room again, or a reader is back.
      if (!this.#isRetrying) this.#drain()
      return
    }
    this.#tellLoss()
    this.#add(bytes)
    if (!this.#isRetrying) this.#drain()
  }

  flush(): void {
    let stalledMs = 0
    for (let pausedMs = 0; pausedMs < FLUSH_MS_MAX && stalledMs < FLUSH_STALL_MS; pausedMs += FLUSH_PAUSE_MS) {
      const before = this.#waitingBytes
      if (this.#writeWaiting() !== 'full') return
      stalledMs = this.#waitingBytes < before ? 0 : stalledMs + FLUSH_PAUSE_MS
      this.#options.pause(FLUSH_PAUSE_MS)
    }
  }

  #drain(): void {
    // Any other failure is tried again with the next line.
    if (this.#writeWaiting() !== 'full') return
    this.#isRetrying = true
    this.#options.retryLater(() => {
      this.#isRetrying = false
      this.#drain()
    })
  }

  #writeWaiting(): 'done' | 'full' | 'failed' {
    try {
      while (this.#waiting.length > 0) {
        const count = this.#options.writeBytes(this.#joinFirst())
        if (count === 0) return 'full'
        this.#take(count)
        if (this.#waiting.length === 0) this.#tellLoss()
      }
      return 'done'
    } catch (error) {
      const { errno, code } = error as NodeJS.ErrnoException
      if (typeof errno !== 'number') throw error
      return code === 'EAGAIN' || code === 'EINTR' ? 'full' : 'failed'
    }
  }

  /** The first lines that wait, as one buffer, which stays the first. */
  #joinFirst(): Buffer {
    let count = 0
    let sizeBytes = 0
    for (; count < this.#waiting.length; count++) {
      if (count > 0 && sizeBytes + this.#waiting[count]!.length > PIECE_BYTES_MAX) break
      sizeBytes += this.#waiting[count]!.length
    }
    if (count === 1) return this.#waiting[0]!
    const joined = Buffer.concat(this.#waiting.slice(0, count))
    this.#waiting.splice(0, count, joined)
    return joined
  }

  #take(count: number): void {
    const first = this.#waiting[0]!
    this.#waitingBytes -= count
    if (count < first.length) this.#waiting[0] = first.subarray(count)
    else this.#waiting.shift()
  }

  #add(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #tellLoss(): void {
    if (this.#lostCount === 0) return
    const line = JSON.stringify({ level: 'warn', time: Date.now(), lines: this.#lostCount, msg: 'log lines were lost' })
    this.#lostCount = 0
    this.#add(Buffer.from(`${line}\n`))
  }
}

/** Log lines on standard error. */
export function standardErrorOutput(): LogOutput {
  const descriptor = unblocked(STANDARD_ERROR)
  const clock = new Int32Array(new SharedArrayBuffer(4))
  return new DescriptorOutput({
    writeBytes: (bytes) => writeSync(descriptor, bytes),
    retryLater: (callback) => setTimeout(callback, RETRY_MS).unref(),
    pause: (ms) => Atomics.wait(clock, 0, 0, ms),
    maxWaitingBytes: WAITING_BYTES_MAX,
  })
}
