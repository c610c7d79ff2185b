import { DiskError } from '@millrace/base'
import type { Segment } from './segment.ts'

/** Zeros written behind the data of a slow log, so that the syncs that follow need not convert extents (docs/adr/0002). */
const ZERO_TAIL_BYTES = 64 * 1024
const zeros = Buffer.alloc(ZERO_TAIL_BYTES)
/** A log that gets this much a second is extended with blocks that are allocated, not written. */
const FAST_BYTES_PER_SECOND = 1 << 20
/** Extents end where the file system's largest folios do. */
const ALIGNMENT_BYTES = 64 * 1024
const EXTENT_BYTES_MIN = 1 << 20
const EXTENT_BYTES_MAX = 64 << 20
/** Fewer writes a second are no sustained load: nothing is extended for them. */
const SUSTAINED_WRITES_PER_SECOND = 3
const PERIOD_MS = 1000

/** How fast a log is written to, counted in periods of a second. */
export class WriteRate {
  #periodStartMs: number
  #bytes: number
  #writeCount: number
  /** Of the larger of the current and the last whole period. */
  bytesPerSecond: number
  writesPerSecond: number

  constructor() {
    this.#periodStartMs = Number.NEGATIVE_INFINITY
    this.#bytes = 0
    this.#writeCount = 0
    this.bytesPerSecond = 0
    this.writesPerSecond = 0
  }

  onWrite(nowMs: number, sizeBytes: number): void {
    const elapsedMs = nowMs - this.#periodStartMs
    if (elapsedMs >= PERIOD_MS) {
      const fresh = elapsedMs < 2 * PERIOD_MS
      this.bytesPerSecond = fresh ? this.#bytes : 0
      this.writesPerSecond = fresh ? this.#writeCount : 0
      this.#periodStartMs = nowMs
      this.#bytes = 0
      this.#writeCount = 0
    }
    this.#bytes += sizeBytes
    this.#writeCount++
    if (this.#bytes > this.bytesPerSecond) this.bytesPerSecond = this.#bytes
    if (this.#writeCount > this.writesPerSecond) this.writesPerSecond = this.#writeCount
  }
}

/**
 * Zeros to write behind `writeBytes` at the end of a slow but steadily synced log whose file would have to grow; null if none are
 * due.
 */
export function zeroTail(
  segment: Segment,
  writeBytes: number,
  rate: WriteRate,
  segmentSizeMaxBytes: number,
): Buffer | null {
  const end = segment.writtenBytes + writeBytes
  if (end <= segment.fileBytes || segment.extending) return null
  if (rate.bytesPerSecond >= FAST_BYTES_PER_SECOND || rate.writesPerSecond < SUSTAINED_WRITES_PER_SECOND) return null
  const tailBytes = Math.min(ZERO_TAIL_BYTES - (end % 4096), segmentSizeMaxBytes - end)
  return tailBytes > 0 ? zeros.subarray(0, tailBytes) : null
}

/**
 * Starts extending the file of a fast log when half an extent is left. Extents grow with the rate. `onCut`: the segment was sealed
 * meanwhile and its file has been cut. `onError` gets a `DiskError`; a full disk shows here, ahead of the writes.
 */
export function maybeExtend(
  segment: Segment,
  rate: WriteRate,
  segmentSizeMaxBytes: number,
  onCut: () => void,
  onError: (error: DiskError) => void,
): void {
  if (segment.extending || rate.bytesPerSecond < FAST_BYTES_PER_SECOND) return
  let extentBytes = EXTENT_BYTES_MIN
  while (extentBytes < EXTENT_BYTES_MAX && extentBytes < rate.bytesPerSecond / 2) extentBytes *= 2
  if (segment.fileBytes - segment.writtenBytes > extentBytes / 2) return
  const from = segment.fileBytes
  const to = Math.min(Math.ceil((from + extentBytes) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES, segmentSizeMaxBytes)
  if (to <= from) return
  const file = segment.file()
  segment.extending = true
  segment.extension = file
    .extend(from, to)
    .finally(() => {
      segment.extending = false
    })
    .then(() => onExtended(segment, to, onCut))
    .catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error
      onError(error)
    })
}

function onExtended(segment: Segment, to: number, onCut: () => void): void {
  if (segment.fileBytes < to) segment.fileBytes = to
  // Sealed meanwhile: nothing would tell the zeros from its data if they stayed.
  if (segment.sealed && segment.isOpen && segment.trim()) onCut()
}
