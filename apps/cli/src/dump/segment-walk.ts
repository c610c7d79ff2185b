import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { BatchCursor, batchSizeOf, CorruptBatchError, LOG_OVERHEAD_BYTES, magicOf } from '@millrace/protocol'

const WINDOW_BYTES = 4 * 1024 * 1024
/** More is no batch: brokers take 2^31 - 1 at most, and a damaged length must not make us take so much memory. */
const MAX_BATCH_BYTES = 512 * 1024 * 1024

/** One batch in a segment file. */
export interface WalkedBatch {
  /** Position in the file. */
  position: number
  sizeBytes: number
  magic: number
  /** Holds the batch at `start`; valid until the next one is asked for. */
  buffer: Buffer
  start: number
}

/** How a walk over a segment ended. */
export interface WalkEnd {
  /** First byte that is part of no whole batch. */
  endPosition: number
  sizeBytes: number
  /**
   * `clean`: nothing is left. `preallocated`: zeros are left. `torn`: an incomplete batch is left. `damaged`: what is left cannot begin a
   * batch, so that what may come behind it cannot be told apart.
   */
  tail: 'clean' | 'preallocated' | 'torn' | 'damaged'
  /** What is wrong with a damaged tail. */
  damage: string | null
}

/**
 * Every batch of a segment file, in order, read in windows so that files of any size take little memory. To be iterated once; leaving the
 * loop early closes the file.
 */
export class SegmentWalk implements Iterable<WalkedBatch> {
  readonly #path: string
  /** How it ended; null while it has not. */
  end: WalkEnd | null = null

  constructor(path: string) {
    this.#path = path
  }

  *[Symbol.iterator](): Generator<WalkedBatch, void> {
    const descriptor = openSync(this.#path, 'r')
    try {
      this.end = yield* walkFile(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }
}

/** What is wrong with a batch, without the position in the window that it was read into. */
export function reasonOf(error: CorruptBatchError): string {
  const place = ` (batch at byte ${error.position})`
  return error.message.endsWith(place) ? error.message.slice(0, -place.length) : error.message
}

/**
 * Position of the first byte behind `position` that is not zero, or null. Only a hole is told: where a batch begins at `position` itself,
 * its log was written to meanwhile. Calls `onWindow` before each window; it may end the search.
 */
export async function findBehindZeros(
  path: string,
  position: number,
  onWindow: () => Promise<boolean>,
): Promise<number | null> {
  const descriptor = openSync(path, 'r')
  try {
    const { size: sizeBytes } = fstatSync(descriptor)
    const zeros = Buffer.alloc(Math.min(WINDOW_BYTES, sizeBytes - position))
    for (let at = position; at < sizeBytes; at += WINDOW_BYTES) {
      if (!(await onWindow())) return null
      const window = readWindow(descriptor, at, Math.min(WINDOW_BYTES, sizeBytes - at))
      if (window.equals(zeros.subarray(0, window.length))) continue
      const found = at + window.findIndex((byte) => byte !== 0)
      return found >= position + LOG_OVERHEAD_BYTES ? found : null
    }
    return null
  } finally {
    closeSync(descriptor)
  }
}

function* walkFile(descriptor: number): Generator<WalkedBatch, WalkEnd> {
  const { size: sizeBytes } = fstatSync(descriptor)
  const ended = (endPosition: number, tail: WalkEnd['tail'], damage: string | null = null): WalkEnd => {
    return { endPosition, sizeBytes, tail, damage }
  }
  let position = 0
  let windowBytes = WINDOW_BYTES
  while (position < sizeBytes) {
    const window = readWindow(descriptor, position, Math.min(windowBytes, sizeBytes - position))
    if (isPreallocated(window)) return ended(position, 'preallocated')
    const { usedBytes, damage } = yield* walkWindow(window, position)
    position += usedBytes
    if (damage !== null) return ended(position, 'damaged', damage)
    if (usedBytes > 0) {
      windowBytes = WINDOW_BYTES
      continue
    }
    const neededBytes = neededFor(window)
    if (position + neededBytes > sizeBytes) return ended(position, 'torn')
    if (neededBytes > MAX_BATCH_BYTES) return ended(position, 'damaged', `length: a batch of ${neededBytes} bytes`)
    windowBytes = neededBytes
  }
  return ended(position, 'clean')
}

/** The whole batches of a window; gives the bytes that they take, and what is wrong with what follows them. */
function* walkWindow(
  window: Buffer,
  filePosition: number,
): Generator<WalkedBatch, { usedBytes: number; damage: string | null }> {
  const cursor = new BatchCursor(window)
  let usedBytes = 0
  for (;;) {
    if (isPreallocated(window.subarray(usedBytes))) return { usedBytes, damage: null }
    try {
      if (!cursor.next()) return { usedBytes, damage: null }
    } catch (error) {
      if (!(error instanceof CorruptBatchError)) throw error
      return { usedBytes, damage: reasonOf(error) }
    }
    const { position: start, sizeInBytes: sizeBytes, magic } = cursor
    yield { position: filePosition + start, sizeBytes, magic, buffer: window, start }
    usedBytes = start + sizeBytes
  }
}

/** A length of zero begins the part of a segment that was made ahead and not written yet. */
function isPreallocated(bytes: Buffer): boolean {
  if (bytes.length < LOG_OVERHEAD_BYTES) return bytes.every((byte) => byte === 0)
  return bytes.readInt32BE(8) === 0 && bytes.readBigInt64BE(0) === 0n
}

/** Bytes of the batch that a window begins with and does not hold. */
function neededFor(window: Buffer): number {
  if (window.length < LOG_OVERHEAD_BYTES + 5 || magicOf(window, 0) < 0) return window.length + 1
  return batchSizeOf(window, 0)
}

function readWindow(descriptor: number, position: number, sizeBytes: number): Buffer {
  const window = Buffer.alloc(sizeBytes)
  let filled = 0
  while (filled < sizeBytes) {
    const count = readSync(descriptor, window, filled, sizeBytes - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return window.subarray(0, filled)
}
