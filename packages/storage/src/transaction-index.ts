import type { Disk, Offset, ProducerId } from '@millrace/base'
import { EntryFile } from './entry-file.ts'

const ENTRY_BYTES = 34

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

  constructor(disk: Disk, path: string, isNew: boolean) {
    this.file = new EntryFile(disk, path, ENTRY_BYTES, isNew)
  }

  append(transaction: AbortedTransaction): void {
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

  /** Keeps transactions whose marker lies below `offset`. */
  truncateTo(offset: Offset): void {
    this.file.loadNow()
    let count = this.file.count
    while (count > 0 && this.#at(count - 1).lastOffset >= offset) count--
    this.file.truncateTo(count)
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
