import type { Disk, Offset, TimestampMs } from '@millrace/base'
import { EntryFile } from './entry-file.ts'

const ENTRY_BYTES = 12

/**
 * `.timeindex`: timestamp (int64) and offset relative to the base (int32), big-endian: the largest timestamp of any batch so far
 * and the last offset of the batch where it first appeared. Timestamps strictly increase, offsets do not decrease.
 */
export class TimeIndex {
  readonly file: EntryFile
  readonly #baseOffset: Offset
  #lastTimestamp: TimestampMs
  #lastOffset: Offset
  #lastKnown: boolean

  constructor(disk: Disk, path: string, baseOffset: Offset, isNew: boolean) {
    this.file = new EntryFile(disk, path, ENTRY_BYTES, isNew)
    this.#baseOffset = baseOffset
    this.#lastTimestamp = -1
    this.#lastOffset = baseOffset
    this.#lastKnown = isNew
  }

  /** -1 if the index is empty. */
  get lastTimestamp(): TimestampMs {
    if (!this.#lastKnown) this.#readLast()
    return this.#lastTimestamp
  }

  get lastOffset(): Offset {
    if (!this.#lastKnown) this.#readLast()
    return this.#lastOffset
  }

  /** The next {@link maybeAppend} asks nothing of the disk. Throws `DiskError`. */
  prepareAppend(): void {
    if (!this.#lastKnown) this.#readLast()
    this.file.prepareAppend()
  }

  /** Adds the pair unless its timestamp is not above the last one. Hot path, once every `index.interval.bytes`. */
  maybeAppend(timestamp: TimestampMs, offset: Offset): void {
    if (timestamp <= this.lastTimestamp) return
    const slot = this.file.appendSlot()
    const bytes = this.file.heldBytes
    bytes.writeInt32BE(Math.floor(timestamp / 2 ** 32), slot)
    bytes.writeUInt32BE(timestamp % 2 ** 32, slot + 4)
    bytes.writeInt32BE(offset - this.#baseOffset, slot + 8)
    this.#lastTimestamp = timestamp
    this.#lastOffset = offset
  }

  /** One slot stays free for the closing entry. */
  isFull(indexSizeBytes: number): boolean {
    return this.file.count >= Math.floor(indexSizeBytes / ENTRY_BYTES) - 1
  }

  /** The last entry with a timestamp at or below `timestamp`, or null. The file must be loaded. */
  entryFor(timestamp: TimestampMs): { timestamp: TimestampMs; offset: Offset } | null {
    const { count, heldBytes, firstHeld } = this.file
    let low = firstHeld
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timestampAt(middle) <= timestamp) low = middle + 1
      else high = middle
    }
    if (low === firstHeld) return null
    const relativeOffset = heldBytes.readInt32BE((low - 1 - firstHeld) * ENTRY_BYTES + 8)
    return { timestamp: this.#timestampAt(low - 1), offset: this.#baseOffset + relativeOffset }
  }

  /** Keeps the entries of offsets below `offset`. */
  truncateTo(offset: Offset): void {
    this.file.loadNow()
    let count = this.file.count
    while (count > 0 && this.#baseOffset + this.file.heldBytes.readInt32BE((count - 1) * ENTRY_BYTES + 8) >= offset) {
      count--
    }
    this.file.truncateTo(count)
    this.#lastKnown = false
  }

  /** Drops all entries, whatever they are. */
  clear(): void {
    this.file.truncateTo(0)
    this.#lastKnown = false
  }

  /** Whether timestamps strictly increase and offsets stay inside `[base, endOffset)` and never decrease. Loads the file. */
  isSound(endOffset: Offset): boolean {
    this.file.loadNow()
    let lastTimestamp = -1
    let lastOffset = this.#baseOffset
    for (let slot = 0; slot < this.file.count; slot++) {
      const timestamp = this.#timestampAt(slot)
      const offset = this.#baseOffset + this.file.heldBytes.readInt32BE(slot * ENTRY_BYTES + 8)
      if (timestamp <= lastTimestamp || offset < lastOffset || offset >= endOffset) return false
      lastTimestamp = timestamp
      lastOffset = offset
    }
    return true
  }

  #timestampAt(slot: number): TimestampMs {
    const position = (slot - this.file.firstHeld) * ENTRY_BYTES
    const bytes = this.file.heldBytes
    return bytes.readInt32BE(position) * 2 ** 32 + bytes.readUInt32BE(position + 4)
  }

  #readLast(): void {
    const { count } = this.file
    const entry = count === 0 ? null : this.file.readEntry(count - 1)
    this.#lastKnown = true
    this.#lastTimestamp = entry === null ? -1 : entry.readInt32BE(0) * 2 ** 32 + entry.readUInt32BE(4)
    this.#lastOffset = entry === null ? this.#baseOffset : this.#baseOffset + entry.readInt32BE(8)
  }
}
