/** How bytes travel from one place to another, in one direction. A pair of places has two of them. */
export class Link {
  readonly from: string
  readonly to: string
  /** Nothing arrives; what is sent waits, as the kernel's retransmissions would let it, and arrives after the cut ends. */
  isCut = false
  /** Added to the way of each byte. */
  delayMs = 0
  /** Bytes per second; 0: as fast as they come. */
  bytesPerSecond = 0
  readonly #watchers = new Set<() => void>()

  constructor(from: string, to: string) {
    this.from = from
    this.to = to
  }

  set(state: { isCut?: boolean; delayMs?: number; bytesPerSecond?: number }): void {
    this.isCut = state.isCut ?? this.isCut
    this.delayMs = state.delayMs ?? this.delayMs
    this.bytesPerSecond = state.bytesPerSecond ?? this.bytesPerSecond
    for (const watcher of [...this.#watchers]) watcher()
  }

  heal(): void {
    this.set({ isCut: false, delayMs: 0, bytesPerSecond: 0 })
  }

  /** Calls back after each change until the answer is called. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }
}
