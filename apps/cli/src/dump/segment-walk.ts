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
  /** `clean`: nothing is left. `preallocated`: zeros are left. `torn`: an incomplete batch is left. */
  tail: 'clean' | 'preallocated' | 'torn'
}

/**
 * Every batch of a segment file, in order, read in windows so that files of any size take little memory. Returns how it ended; throws
 * {@link CorruptBatchError}, its position being that in the file, where batches cannot be told apart any more.
 */
export function* walkSegment(path: string): Generator<WalkedBatch, WalkEnd> {
  const descriptor = openSync(path, 'r')
  try {
    const { size: sizeBytes } = fstatSync(descriptor)
    let position = 0
    let windowBytes = WINDOW_BYTES
    while (position < sizeBytes) {
      const window = readWindow(descriptor, position, Math.min(windowBytes, sizeBytes - position))
      if (isPreallocated(window)) return { endPosition: position, sizeBytes, tail: 'preallocated' }
      const usedBytes = yield* walkWindow(window, position)
      position += usedBytes
      if (usedBytes > 0) {
        windowBytes = WINDOW_BYTES
      } else {
        const neededBytes = neededFor(window)
        if (position + neededBytes > sizeBytes) return { endPosition: position, sizeBytes, tail: 'torn' }
        if (neededBytes > MAX_BATCH_BYTES)
          throw new CorruptBatchError('length', position, `a batch of ${neededBytes} bytes`)
        windowBytes = neededBytes
      }
    }
    return { endPosition: position, sizeBytes, tail: 'clean' }
  } finally {
    closeSync(descriptor)
  }
}

/** The whole batches of a window; gives the bytes that they take. */
function* walkWindow(window: Buffer, filePosition: number): Generator<WalkedBatch, number> {
  const cursor = new BatchCursor(window)
  let usedBytes = 0
  for (;;) {
    if (isPreallocated(window.subarray(usedBytes))) return usedBytes
    try {
      if (!cursor.next()) return usedBytes
    } catch (error) {
      if (!(error instanceof CorruptBatchError)) throw error
      throw new CorruptBatchError(error.failure, filePosition + usedBytes, error.message)
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
