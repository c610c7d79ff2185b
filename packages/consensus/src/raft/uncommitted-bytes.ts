import type { LogIndex } from './types.ts'

/** Weight of what a leader appended and did not commit yet, so that a leader without a majority does not fill its memory (C19). */
export class UncommittedBytes {
  #entries: { readonly index: LogIndex; readonly bytes: number }[]
  /** Position of the first in `#entries` that is not committed. */
  #head: number
  #bytes: number

  constructor() {
    this.#entries = []
    this.#head = 0
    this.#bytes = 0
  }

  get bytes(): number {
    return this.#bytes
  }

  add(index: LogIndex, bytes: number): void {
    this.#entries.push({ index, bytes })
    this.#bytes += bytes
  }

  onCommitted(index: LogIndex): void {
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.index <= index) {
      this.#bytes -= this.#entries[this.#head]!.bytes
      this.#head++
    }
    // Dropped in bulk: each entry is moved at most once.
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}
