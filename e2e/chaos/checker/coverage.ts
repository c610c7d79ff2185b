/** A set of offsets as half-open ranges; ranges that touch are one. */
export class Coverage {
  /** Rising, apart from each other. */
  #ranges: { from: number; to: number }[] = []
  #added: { from: number; to: number }[] = []

  /** Adds `[from, to)`. */
  add(from: number, to: number): void {
    if (to <= from) return
    const last = this.#added.at(-1)
    // Readers go forward, so most ranges go on where one ended.
    if (last !== undefined && last.from <= from && from <= last.to) last.to = Math.max(last.to, to)
    else this.#added.push({ from, to })
  }

  has(offset: number): boolean {
    this.#merge()
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ranges[middle]!.to <= offset) low = middle + 1
      else high = middle
    }
    const range = this.#ranges[low]
    return range !== undefined && range.from <= offset
  }

  #merge(): void {
    if (this.#added.length === 0) return
    const all = [...this.#ranges, ...this.#added].sort((left, right) => left.from - right.from)
    this.#ranges = []
    this.#added = []
    for (const { from, to } of all) {
      const last = this.#ranges.at(-1)
      if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
      else this.#ranges.push({ from, to })
    }
  }
}
