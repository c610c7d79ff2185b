import type { LeaderEpoch, Offset } from '@millrace/base'
import { CorruptFileError, decodeTextCheckpoint, encodeTextCheckpoint, parseSafeInteger } from './text-checkpoint.ts'

/** Batches hold their epoch in 31 bits. */
const EPOCH_MAX = 0x7fffffff

/** End of an epoch: -1 and -1 if unknown. `endOffset` is exclusive. */
export interface EpochEnd {
  epoch: LeaderEpoch
  endOffset: Offset
}

/**
 * Which leader epoch starts at which offset; both columns strictly increase (R6). Saved as `leader-epoch-checkpoint`. The file may
 * lag by entries at or above the recovery point, which recovery reads from the batch headers again.
 */
export class LeaderEpochCache {
  #epochs: LeaderEpoch[]
  #startOffsets: Offset[]
  /** Entries in the file, and how many of them, from the first on, are still as they were. */
  #savedCount: number
  #keptCount: number
  /** Nobody knows what the file holds. */
  #isUnsaved: boolean

  constructor() {
    this.#epochs = []
    this.#startOffsets = []
    this.#savedCount = 0
    this.#keptCount = 0
    this.#isUnsaved = false
  }

  /**
   * Whether the file lacks something that a log up to `logEndOffset` needs, or has what it must not. An epoch without records is not
   * worth a write: a restarted leader gets a new one, and thousands of them do so at once.
   */
  needsSave(logEndOffset: Offset): boolean {
    if (this.#isUnsaved || this.#keptCount < this.#savedCount) return true
    return this.#keptCount < this.#epochs.length && this.#startOffsets[this.#keptCount]! < logEndOffset
  }

  get isEmpty(): boolean {
    return this.#epochs.length === 0
  }

  /** -1 if empty. */
  get latestEpoch(): LeaderEpoch {
    return this.#epochs.length === 0 ? -1 : this.#epochs[this.#epochs.length - 1]!
  }

  entries(): { epoch: LeaderEpoch; startOffset: Offset }[] {
    return this.#epochs.map((epoch, slot) => ({ epoch, startOffset: this.#startOffsets[slot]! }))
  }

  /** Ignored if `epoch` is the latest and does not start earlier; else replaces entries of this or a later epoch or start. */
  assign(epoch: LeaderEpoch, startOffset: Offset): void {
    const last = this.#epochs.length - 1
    if (last >= 0 && epoch === this.#epochs[last] && startOffset >= this.#startOffsets[last]!) return
    let count = this.#epochs.length
    while (count > 0 && (this.#epochs[count - 1]! >= epoch || this.#startOffsets[count - 1]! >= startOffset)) count--
    this.#keepFirst(count)
    this.#epochs.push(epoch)
    this.#startOffsets.push(startOffset)
  }

  /** Drops epochs that start at or past `endOffset`. */
  truncateFromEnd(endOffset: Offset): void {
    let count = this.#epochs.length
    while (count > 0 && this.#startOffsets[count - 1]! >= endOffset) count--
    this.#keepFirst(count)
  }

  /** Drops what ended before `startOffset`; the epoch that holds it then starts there. */
  truncateFromStart(startOffset: Offset): void {
    let slot = -1
    while (slot + 1 < this.#epochs.length && this.#startOffsets[slot + 1]! <= startOffset) slot++
    if (slot < 0 || (slot === 0 && this.#startOffsets[0] === startOffset)) return
    this.#epochs = this.#epochs.slice(slot)
    this.#startOffsets = this.#startOffsets.slice(slot)
    this.#startOffsets[0] = startOffset
    this.#keptCount = 0
  }

  /** Adds epochs that start before all others, of which one may be the first of these. False, and nothing changed, if they do not. */
  prepend(earlier: readonly { epoch: LeaderEpoch; startOffset: Offset }[]): boolean {
    const last = earlier.at(-1)
    if (last === undefined) return true
    const from = this.#epochs[0] === last.epoch ? 1 : 0
    const isBefore = from < this.#epochs.length ? last.epoch < this.#epochs[from]! : true
    const isBelow = this.isEmpty || last.startOffset < this.#startOffsets[0]!
    if (!isBefore || !isBelow) return false
    this.#epochs = [...earlier.map(({ epoch }) => epoch), ...this.#epochs.slice(from)]
    this.#startOffsets = [...earlier.map(({ startOffset }) => startOffset), ...this.#startOffsets.slice(from)]
    this.#keptCount = 0
    return true
  }

  clear(): void {
    this.#keepFirst(0)
  }

  /** Epoch of the record at `offset`, or -1. */
  epochAt(offset: Offset): LeaderEpoch {
    let slot = this.#epochs.length - 1
    while (slot >= 0 && this.#startOffsets[slot]! > offset) slot--
    return slot < 0 ? -1 : this.#epochs[slot]!
  }

  /** KIP-101: largest epoch known that is at most `epoch`, and where it ends. */
  endOffsetFor(epoch: LeaderEpoch, logEndOffset: Offset): EpochEnd {
    const count = this.#epochs.length
    if (epoch < 0 || count === 0 || epoch > this.#epochs[count - 1]!) return { epoch: -1, endOffset: -1 }
    if (epoch === this.#epochs[count - 1]) return { epoch, endOffset: logEndOffset }
    if (epoch < this.#epochs[0]!) return { epoch, endOffset: this.#startOffsets[0]! }
    let slot = count - 1
    while (this.#epochs[slot]! > epoch) slot--
    return { epoch: this.#epochs[slot]!, endOffset: this.#startOffsets[slot + 1]! }
  }

  /** What {@link encode} gave could not be written: it is not in the file, or not durably. */
  onSaveFailed(): void {
    this.#isUnsaved = true
  }

  /** File contents; the cache counts as saved from now on, unless {@link onSaveFailed} tells otherwise. */
  encode(): Buffer {
    this.#isUnsaved = false
    this.#savedCount = this.#epochs.length
    this.#keptCount = this.#savedCount
    return encodeTextCheckpoint(this.#epochs.map((epoch, slot) => `${epoch} ${this.#startOffsets[slot]}`))
  }

  /** Replaces the contents by those of a file. Throws `CorruptFileError` and leaves the cache empty. */
  decode(path: string, contents: Buffer): void {
    this.#keepFirst(0)
    const entries = decodeTextCheckpoint(path, contents, 2)
    let last = -1
    let lastStart = -1
    for (const [epochText, startText] of entries) {
      const epoch = parseSafeInteger(path, epochText!)
      const startOffset = parseSafeInteger(path, startText!)
      if (epoch <= last || startOffset <= lastStart || epoch > EPOCH_MAX) {
        this.#keepFirst(0)
        throw new CorruptFileError(path, 'entries do not increase, or are none')
      }
      this.#epochs.push(epoch)
      this.#startOffsets.push(startOffset)
      last = epoch
      lastStart = startOffset
    }
    this.#savedCount = this.#epochs.length
    this.#keptCount = this.#savedCount
  }

  #keepFirst(count: number): void {
    this.#keptCount = Math.min(this.#keptCount, count)
    this.#epochs.length = count
    this.#startOffsets.length = count
  }
}
