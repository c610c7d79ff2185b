const INITIAL_SIZE_BYTES = 64 * 1024

/** Largest buffer that is kept for the next use. */
const MAX_KEPT_SIZE_BYTES = 4 * 1024 * 1024

let kept: Buffer | null = null

/**
 * Bytes collected while a compressed stream is read or written. It grows with what was really produced, twofold, never beyond `limit`.
 * Synchronous users share one buffer ({@link withOutputArea}), so that expanding many batches does not allocate for each step.
 */
export class OutputArea {
  bytes: Buffer
  length: number
  readonly limit: number

  constructor(bytes: Buffer, limit: number) {
    this.bytes = bytes
    this.length = 0
    this.limit = limit
  }

  /** How many more bytes the limit allows. */
  get room(): number {
    return this.limit - this.length
  }

  /** Makes `sizeBytes` (at most `room`) writable behind `length`. `bytes` may be another buffer afterwards. */
  reserve(sizeBytes: number): void {
    const needed = this.length + sizeBytes
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.limit, 2 * this.bytes.length)))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }

  /** Appends `source[start, end)`, which must fit into `room`. */
  append(source: Buffer, start: number, end: number): void {
    this.reserve(end - start)
    source.copy(this.bytes, this.length, start, end)
    this.length += end - start
  }

  /** What was collected, as a buffer of its own. */
  copy(): Buffer {
    const result = Buffer.allocUnsafe(this.length)
    this.bytes.copy(result, 0, 0, this.length)
    return result
  }
}

/** An area of its own, for work that goes on over several turns of the event loop. */
export function createOutputArea(limit: number): OutputArea {
  return new OutputArea(Buffer.allocUnsafeSlow(Math.min(limit, INITIAL_SIZE_BYTES)), limit)
}

/** Runs `work` with the shared area. `work` must be synchronous, not nested, and copy what it keeps. */
export function withOutputArea<T>(limit: number, work: (area: OutputArea) => T): T {
  const area = new OutputArea(kept ?? Buffer.allocUnsafeSlow(INITIAL_SIZE_BYTES), limit)
  kept = null
  try {
    return work(area)
  } finally {
    if (area.bytes.length <= MAX_KEPT_SIZE_BYTES) kept = area.bytes
  }
}
