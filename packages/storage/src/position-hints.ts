import type { Offset } from '@millrace/base'

const HINT_COUNT = 16

/**
 * Remembers where in a file the last few writes and reads ended: the next read starts there nearly always, and needs no index then.
 * Allocates on first use, since most segments are never read.
 */
export class PositionHints {
  #offsets: Float64Array | null
  #positions: Float64Array | null
  #next: number

  constructor() {
    this.#offsets = null
    this.#positions = null
    this.#next = 0
  }

  /** The batch with base offset `offset` starts at `position`, or will. */
  add(offset: Offset, position: number): void {
    if (this.#offsets === null || this.#positions === null) {
      this.#offsets = new Float64Array(HINT_COUNT).fill(-1)
      this.#positions = new Float64Array(HINT_COUNT)
    }
    this.#offsets[this.#next] = offset
    this.#positions[this.#next] = position
    this.#next = (this.#next + 1) % HINT_COUNT
  }

  /** Position of the batch that starts with exactly this offset, -1 if not remembered. */
  find(offset: Offset): number {
    if (this.#offsets === null) return -1
    for (let slot = 0; slot < HINT_COUNT; slot++) if (this.#offsets[slot] === offset) return this.#positions![slot]!
    return -1
  }

  clear(): void {
    this.#offsets = null
    this.#positions = null
    this.#next = 0
  }
}
