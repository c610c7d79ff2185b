import type { Disk, Offset, ProducerId } from '@millrace/base'
import { EntryFile } from './entry-file.ts'

const ENTRY_BYTES = 34
/** Of so many entries the smallest first offset is known, and a reader below it need not look at them. */
const BLOCK_ENTRIES = 256

/** One aborted transaction of a partition. Both offsets are inclusive: first data record, abort marker. */
export interface AbortedTransaction {
  producerId: ProducerId
  firstOffset: Offset
  lastOffset: Offset
  /** First offset of the oldest transaction of another producer still open at the marker, else marker + 1. */
  lastStableOffset: Offset
}

/**
 * `.txnindex`: version int16 = 0, producer id, first offset, last offset, last stable offset (int64 each), big-endian. Aborted
 * transactions with data only, in order of their markers; the file exists only if there is one.
 */
export class TransactionIndex {
  readonly file: EntryFile
  /** Entries that recovery has confirmed so far; -1: none is under way. */
  #confirmedCount: number
  /** Smallest first offset of each block, of the first `#summedCount` entries: found when first asked for, and kept without the entries. */
  #blockFirsts: Offset[]
  #summedCount: number

  constructor(disk: Disk, path: string, isNew: boolean) {
    this.file = new EntryFile(disk, path, ENTRY_BYTES, isNew)
    this.#confirmedCount = -1
    this.#blockFirsts = []
    this.#summedCount = 0
  }

  /**
   * Recovery is about to append what it finds from `offset` on. Entries that it finds again stay as they are: the durable mark's
   * fingerprint counts them, and a rewritten file might be lost in the next crash.
   */
  beginRecovery(offset: Offset): void {
    this.file.loadNow()
    this.#confirmedCount = this.#countBelow(offset)
  }

  endRecovery(): void {
    if (this.#confirmedCount < 0) return
    this.#cutTo(this.#confirmedCount)
    this.file.syncFound()
    this.#confirmedCount = -1
  }

  append(transaction: AbortedTransaction): void {
    if (this.#confirmedCount >= 0) {
      if (this.#confirmedCount < this.file.count && isSame(this.#at(this.#confirmedCount), transaction)) {
        this.#confirmedCount++
        return
      }
      this.endRecovery()
    }
    const slot = this.file.appendSlot()
    const bytes = this.file.heldBytes
    bytes.writeInt16BE(0, slot)
    bytes.writeBigInt64BE(BigInt(transaction.producerId), slot + 2)
    bytes.writeBigInt64BE(BigInt(transaction.firstOffset), slot + 10)
    bytes.writeBigInt64BE(BigInt(transaction.lastOffset), slot + 18)
    bytes.writeBigInt64BE(BigInt(transaction.lastStableOffset), slot + 26)
  }

  all(): AbortedTransaction[] {
    this.file.loadNow()
    const transactions: AbortedTransaction[] = []
    for (let slot = 0; slot < this.file.count; slot++) transactions.push(this.#at(slot))
    return transactions
  }

  /**
   * Transactions whose marker lies at or above `offset`, in order of their markers, one after the other: a reader stops where the rest
   * is none of its business. Finds the first by halving, since markers increase. Where many in a row begin at or above `endOffset`, as
   * behind a transaction that was open for long, only the last of them is given, by which the reader sees whether to go on.
   */
  *from(offset: Offset, endOffset: Offset): Generator<AbortedTransaction> {
    this.#sumUp()
    const { count } = this.file
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#lastOffsetAt(middle) < offset) low = middle + 1
      else high = middle
    }
    for (let slot = low; slot < count; slot++) {
      const block = Math.floor(slot / BLOCK_ENTRIES)
      if (this.#blockFirsts[block]! >= endOffset) slot = Math.min(count, (block + 1) * BLOCK_ENTRIES) - 1
      yield this.#at(slot)
    }
  }

  /** Takes what was appended since the last time into account; all of it stays true until entries are cut off. */
  #sumUp(): void {
    const countBefore = this.file.count
    this.file.loadNow()
    const { count } = this.file
    // The file was cut under us, and its entries moved.
    if (count < countBefore || count < this.#summedCount) this.#forgetBlocks()
    for (let slot = this.#summedCount; slot < count; slot++) {
      const block = Math.floor(slot / BLOCK_ENTRIES)
      const firstOffset = this.#firstOffsetAt(slot)
      const least = this.#blockFirsts[block]
      if (least === undefined || firstOffset < least) this.#blockFirsts[block] = firstOffset
    }
    this.#summedCount = count
  }

  #forgetBlocks(): void {
    this.#blockFirsts = []
    this.#summedCount = 0
  }

  #cutTo(count: number): void {
    if (count < this.#summedCount) this.#forgetBlocks()
    this.file.truncateTo(count)
  }

  /** Keeps transactions whose marker lies below `offset`, up to the first that cannot be one: zeros of what a crash took. */
  truncateTo(offset: Offset): void {
    this.file.loadNow()
    this.#cutTo(this.#countBelow(offset))
  }

  #countBelow(offset: Offset): number {
    let count = 0
    let lastOffset = -1
    while (count < this.file.count) {
      const transaction = this.#at(count)
      const isSound = transaction.lastOffset > lastOffset && transaction.firstOffset < transaction.lastOffset
      if (!isSound || transaction.lastOffset >= offset) break
      lastOffset = transaction.lastOffset
      count++
    }
    return count
  }

  /** Whether markers strictly increase inside `[baseOffset, endOffset)`. */
  isSound(baseOffset: Offset, endOffset: Offset): boolean {
    let lastOffset = baseOffset - 1
    for (const transaction of this.all()) {
      if (transaction.lastOffset <= lastOffset || transaction.lastOffset >= endOffset) return false
      if (transaction.firstOffset > transaction.lastOffset) return false
      lastOffset = transaction.lastOffset
    }
    return true
  }

  #firstOffsetAt(slot: number): Offset {
    const position = slot * ENTRY_BYTES + 10
    return this.file.heldBytes.readInt32BE(position) * 2 ** 32 + this.file.heldBytes.readUInt32BE(position + 4)
  }

  #lastOffsetAt(slot: number): Offset {
    return Number(this.file.heldBytes.readBigInt64BE(slot * ENTRY_BYTES + 18))
  }

  #at(slot: number): AbortedTransaction {
    const position = slot * ENTRY_BYTES
    const bytes = this.file.heldBytes
    return {
      producerId: Number(bytes.readBigInt64BE(position + 2)),
      firstOffset: Number(bytes.readBigInt64BE(position + 10)),
      lastOffset: Number(bytes.readBigInt64BE(position + 18)),
      lastStableOffset: Number(bytes.readBigInt64BE(position + 26)),
    }
  }
}

function isSame(left: AbortedTransaction, right: AbortedTransaction): boolean {
  return (
    left.producerId === right.producerId &&
    left.firstOffset === right.firstOffset &&
    left.lastOffset === right.lastOffset &&
    left.lastStableOffset === right.lastStableOffset
  )
}
