import type { Disk, Offset } from '@millrace/base'
import { EntryFile } from './entry-file.ts'

const ENTRY_BYTES = 8

/**
 * `.index`: offset relative to the segment's base (int32) and position in the log file (int32), big-endian. An entry names the
 * last offset of a batch and the position where that batch starts. Offsets and positions strictly increase.
 */
export class OffsetIndex {
  readonly file: EntryFile
  readonly #baseOffset: Offset
  /** What the entry says that the last {@link positionFor} found; -1 if there was none. */
  foundOffset: Offset

  constructor(disk: Disk, path: string, baseOffset: Offset, isNew: boolean) {
    this.file = new EntryFile(disk, path, ENTRY_BYTES, isNew)
    this.#baseOffset = baseOffset
    this.foundOffset = -1
  }

  /** Hot path, once every `index.interval.bytes`. */
  append(lastOffset: Offset, position: number): void {
    const slot = this.file.appendSlot()
    const bytes = this.file.heldBytes
    bytes.writeInt32BE(lastOffset - this.#baseOffset, slot)
    bytes.writeInt32BE(position, slot + 4)
  }

  isFull(indexSizeBytes: number): boolean {
    return this.file.count >= Math.floor(indexSizeBytes / ENTRY_BYTES)
  }

  /** Whether {@link positionFor} can tell without reading the file: an entry at or below the offset is in memory. */
  canLookUp(offset: Offset): boolean {
    const { firstHeld, count } = this.file
    return firstHeld === 0 || (count > firstHeld && this.#offsetAt(firstHeld) <= offset)
  }

  /** Position of the batch of the largest entry at or below `offset`, 0 if there is none. Only if {@link canLookUp}. */
  positionFor(offset: Offset): number {
    const slot = this.#largestAtMost(offset - this.#baseOffset, 0)
    this.foundOffset = slot < 0 ? -1 : this.#offsetAt(slot)
    return slot < 0 ? 0 : this.#positionAt(slot)
  }

  /**
   * Position of the last batch with an entry that starts at or below `position` and whose last offset is below `offset`; 0 if
   * none is in memory.
   */
  lastPositionBelow(position: number, offset: Offset): number {
    const slot = Math.min(this.#largestAtMost(position, 4), this.#largestAtMost(offset - 1 - this.#baseOffset, 0))
    this.foundOffset = slot < 0 ? -1 : this.#offsetAt(slot)
    return slot < 0 ? 0 : this.#positionAt(slot)
  }

  /** Last offset of the first entry at or past `position`, or -1. Loads the file. */
  offsetAtOrPast(position: number): Offset {
    this.file.loadNow()
    const slot = this.#largestAtMost(position - 1, 4) + 1
    return slot < this.file.count ? this.#offsetAt(slot) : -1
  }

  /** Last entry, or null. Reads at most that entry. */
  last(): { lastOffset: Offset; position: number } | null {
    const { count } = this.file
    const entry = count === 0 ? null : this.file.readEntry(count - 1)
    return entry === null
      ? null
      : { lastOffset: this.#baseOffset + entry.readInt32BE(0), position: entry.readInt32BE(4) }
  }

  /** Keeps the entries of batches that start before `position` and end before `offset`. */
  truncateTo(position: number, offset: Offset): void {
    this.file.loadNow()
    const slot = Math.min(this.#largestAtMost(position - 1, 4), this.#largestAtMost(offset - 1 - this.#baseOffset, 0))
    this.file.truncateTo(slot + 1)
  }

  /** Whether entries strictly increase and lie inside the segment. Loads the file. */
  isSound(logSizeBytes: number): boolean {
    this.file.loadNow()
    let lastOffset = -1
    let lastPosition = -1
    for (let slot = 0; slot < this.file.count; slot++) {
      const relativeOffset = this.#offsetAt(slot) - this.#baseOffset
      const position = this.#positionAt(slot)
      if (relativeOffset <= lastOffset || position <= lastPosition || position === 0 || position >= logSizeBytes)
        return false
      lastOffset = relativeOffset
      lastPosition = position
    }
    return true
  }

  /** Largest held slot whose field (0: relative offset, 4: position) is at most `value`; -1 if none. */
  #largestAtMost(value: number, field: 0 | 4): number {
    const { firstHeld, count, heldBytes } = this.file
    let low = firstHeld
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (heldBytes.readInt32BE((middle - firstHeld) * ENTRY_BYTES + field) <= value) low = middle + 1
      else high = middle
    }
    return low === firstHeld ? -1 : low - 1
  }

  #offsetAt(slot: number): Offset {
    return this.#baseOffset + this.file.heldBytes.readInt32BE((slot - this.file.firstHeld) * ENTRY_BYTES)
  }

  #positionAt(slot: number): number {
    return this.file.heldBytes.readInt32BE((slot - this.file.firstHeld) * ENTRY_BYTES + 4)
  }
}
