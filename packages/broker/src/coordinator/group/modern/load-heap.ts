/** Loads are far below this many, and so are members: a load and a slot fit one safe integer. */
const SLOTS = 2 ** 26

/**
 * The least loaded (direction 1) or most loaded (-1) of some members, by slot; among equals the first. Entries are not moved when a load
 * changes: whoever changes it pushes the slot again, and entries of former loads are dropped when they come to the top.
 */
export class LoadHeap {
  readonly #loads: Float64Array
  readonly #direction: 1 | -1
  /** load × direction × SLOTS + slot */
  readonly #entries: number[] = []

  constructor(loads: Float64Array, direction: 1 | -1) {
    this.#loads = loads
    this.#direction = direction
  }

  push(slot: number): void {
    const entries = this.#entries
    const entry = this.#loads[slot]! * this.#direction * SLOTS + slot
    let position = entries.push(entry) - 1
    while (position > 0) {
      const parent = (position - 1) >> 1
      if (entries[parent]! <= entry) break
      entries[position] = entries[parent]!
      position = parent
    }
    entries[position] = entry
  }

  /** The slot at the top, which stays there; null: none is left. */
  top(): number | null {
    while (this.#entries.length > 0) {
      const entry = this.#entries[0]!
      const load = Math.floor(entry / SLOTS)
      const slot = entry - load * SLOTS
      if (load === this.#loads[slot]! * this.#direction) return slot
      this.pop()
    }
    return null
  }

  /** Takes the slot at the top away. */
  pop(): void {
    const entries = this.#entries
    const last = entries.pop()
    if (last === undefined || entries.length === 0) return
    let position = 0
    for (;;) {
      let child = position * 2 + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && entries[child + 1]! < entries[child]!) child++
      if (entries[child]! >= last) break
      entries[position] = entries[child]!
      position = child
    }
    entries[position] = last
  }
}
