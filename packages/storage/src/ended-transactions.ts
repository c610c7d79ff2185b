import type { Offset } from '@millrace/base'

/** So many ends that have been passed stay in memory at least, before the others are moved up. */
const PASSED_MIN = 1_000

/** A transaction whose marker was appended. Offsets are inclusive. */
interface End {
  readonly firstOffset: Offset
  readonly lastOffset: Offset
}

/**
 * Ended transactions whose marker is not below the high watermark yet, for the smallest of their first offsets. Markers come in the order
 * of their offsets, so one that began no later than others before it also outlasts them: only it is kept, and what is left ascends by
 * both offsets. All is O(1), shared out over the transactions: while followers are away there may be hundreds of thousands.
 */
export class EndedTransactions {
  #ends: End[]
  /** Those before were passed. */
  #head: number

  constructor() {
    this.#ends = []
    this.#head = 0
  }

  get isEmpty(): boolean {
    return this.#head === this.#ends.length
  }

  /** -1: there is none. */
  get firstOffset(): Offset {
    return this.isEmpty ? -1 : this.#ends[this.#head]!.firstOffset
  }

  /** The marker lies behind those of all others. */
  add(end: End): void {
    const ends = this.#ends
    while (!this.isEmpty && ends[ends.length - 1]!.firstOffset >= end.firstOffset) ends.pop()
    ends.push(end)
  }

  /** Forgets those whose marker lies below `offset`. True if the first offset has changed. */
  passTo(offset: Offset): boolean {
    const headBefore = this.#head
    while (!this.isEmpty && this.#ends[this.#head]!.lastOffset < offset) this.#head++
    if (this.#head === headBefore) return false
    if (this.isEmpty) this.clear()
    else if (this.#head >= PASSED_MIN && this.#head * 2 >= this.#ends.length) {
      this.#ends = this.#ends.slice(this.#head)
      this.#head = 0
    }
    return true
  }

  clear(): void {
    this.#ends.length = 0
    this.#head = 0
  }
}
