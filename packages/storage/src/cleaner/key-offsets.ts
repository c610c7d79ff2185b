import { assert, type Offset } from '@millrace/base'
import { DIGEST_WORDS, KeyDigest } from './key-digest.ts'

/** Digest and offset of a key, as int32 words: the offset plus one, so that zero is an empty slot, in two halves. */
const SLOT_WORDS = DIGEST_WORDS + 2
export const SLOT_BYTES = SLOT_WORDS * 4
/** As Kafka's: a thread has no more, whatever it was given. */
const MEMORY_BYTES_MAX = 2 ** 31 - 1

/**
 * Newest offset of each key of the dirty part of a log, in a bounded piece of memory: a table of digests with open addressing. It takes
 * no more keys than the load factor allows and says so, and the clean ends there. The memory is taken when it is first needed, as much
 * of it as the log could need.
 */
export class KeyOffsets {
  readonly #digest: KeyDigest
  #table: Int32Array
  #slotCount: number
  #usedCount: number
  #maxCount: number
  /** The last offset that was put, or that is known to have no key of its own; -1 before. */
  latestOffset: Offset

  /** `secret`: 16 random bytes for the digests. */
  constructor(secret: Buffer) {
    this.#digest = new KeyDigest(secret)
    this.#table = new Int32Array(0)
    this.#slotCount = 0
    this.#usedCount = 0
    this.#maxCount = 0
    this.latestOffset = -1
  }

  /** Empties the table and gives it room for `recordCount` keys, within `memoryBytes` of which `loadFactor` may be used. */
  reset(memoryBytes: number, loadFactor: number, recordCount: number): void {
    const slotsMax = Math.max(2, Math.floor(Math.min(memoryBytes, MEMORY_BYTES_MAX) / SLOT_BYTES))
    this.#slotCount = Math.max(2, Math.min(slotsMax, Math.ceil(recordCount / loadFactor) + 1))
    // One slot stays empty, at which a search ends.
    this.#maxCount = Math.min(this.#slotCount - 1, Math.max(1, Math.floor(this.#slotCount * loadFactor)))
    const words = this.#slotCount * SLOT_WORDS
    // A table that was far larger than what is needed now, or that is too small, is given back first.
    if (this.#table.length < words || this.#table.length > slotsMax * SLOT_WORDS) {
      this.#table = new Int32Array(0)
      this.#table = new Int32Array(words)
    } else {
      this.#table.fill(0, 0, words)
    }
    this.#usedCount = 0
    this.latestOffset = -1
  }

  /** Gives the memory back. */
  release(): void {
    this.#table = new Int32Array(0)
    this.#slotCount = 0
    this.#usedCount = 0
    this.#maxCount = 0
  }

  get count(): number {
    return this.#usedCount
  }

  /** Bytes of memory that it holds. */
  get memoryBytes(): number {
    return this.#table.byteLength
  }

  /** How full it is of what it may take, 0 to 1. */
  get fill(): number {
    return this.#maxCount === 0 ? 0 : this.#usedCount / this.#maxCount
  }

  /** Notes that the key `bytes[start, end)` has a record at `offset`, above all before. False if it is full of other keys. Hot path. */
  put(bytes: Buffer, start: number, end: number, offset: Offset): boolean {
    const at = this.#find(bytes, start, end)
    const table = this.#table
    if (this.#isEmptyAt(at)) {
      if (this.#usedCount >= this.#maxCount) return false
      table.set(this.#digest.words, at)
      this.#usedCount++
    }
    const stored = offset + 1
    table[at + DIGEST_WORDS] = Math.floor(stored / 2 ** 32)
    table[at + DIGEST_WORDS + 1] = stored | 0
    this.latestOffset = offset
    return true
  }

  /** Newest offset of the key `bytes[start, end)`, -1 if it is not there. Hot path. */
  get(bytes: Buffer, start: number, end: number): Offset {
    if (this.#usedCount === 0) return -1
    const at = this.#find(bytes, start, end)
    return this.#table[at + DIGEST_WORDS]! * 2 ** 32 + (this.#table[at + DIGEST_WORDS + 1]! >>> 0) - 1
  }

  /** Position of the key's slot, or of the empty one where it would go. */
  #find(bytes: Buffer, start: number, end: number): number {
    assert(this.#slotCount > 0, 'the table has room')
    this.#digest.update(bytes, start, end)
    const table = this.#table
    const { words } = this.#digest
    const first = words[0]!
    let slot = (first >>> 0) % this.#slotCount
    for (;;) {
      const at = slot * SLOT_WORDS
      if (table[at] === first && table[at + 1] === words[1] && table[at + 2] === words[2] && table[at + 3] === words[3])
        return at
      if (this.#isEmptyAt(at)) return at
      slot = slot + 1 === this.#slotCount ? 0 : slot + 1
    }
  }

  #isEmptyAt(at: number): boolean {
    return this.#table[at + DIGEST_WORDS] === 0 && this.#table[at + DIGEST_WORDS + 1] === 0
  }
}
