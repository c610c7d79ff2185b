import type { BufferPool } from './buffer-pool.ts'

/** A connection that holds an incomplete frame. */
export interface BudgetHolder {
  /** It may be read again. Called outside of its own calls into the budget. */
  onBudgetFreed(): void
}

/**
 * Bounds the memory of incomplete request frames over all connections (`queued.max.request.bytes`). Above the bound a connection
 * that would grow its frame is not read, but for one: it alone goes on until its frame is complete, so the frames finish one after
 * the other and nobody waits for ever. That one is not allowed to dawdle: stalled frames close (`connection-watch.ts`).
 */
export class RequestBudget {
  readonly #pool: BufferPool
  readonly #maxBytes: number
  /** The one that may go on above the bound. */
  #privileged: BudgetHolder | null = null
  /** In the order in which they were stopped. */
  readonly #stopped = new Set<BudgetHolder>()

  constructor(pool: BufferPool, maxBytes: number) {
    this.#pool = pool
    this.#maxBytes = maxBytes
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Half of it is in use: nobody gets more than what has arrived. */
  get isTight(): boolean {
    return this.#pool.usedBytes > this.#maxBytes / 2
  }

  get isFull(): boolean {
    return this.#pool.usedBytes > this.#maxBytes
  }

  get stoppedCount(): number {
    return this.#stopped.size
  }

  /** After the holder's frame has grown and is still incomplete. False: it must not be read until `onBudgetFreed`. */
  admit(holder: BudgetHolder): boolean {
    if (this.#pool.usedBytes <= this.#maxBytes || this.#privileged === holder) return true
    if (this.#privileged === null) {
      this.#privileged = holder
      return true
    }
    this.#stopped.add(holder)
    return false
  }

  /** The holder gave its memory back. Lets others go on: all of them below the bound, else the next in line. */
  release(holder: BudgetHolder): void {
    this.#stopped.delete(holder)
    if (this.#privileged === holder) this.#privileged = null
    if (this.#stopped.size === 0) return
    if (this.#pool.usedBytes <= this.#maxBytes) {
      const freed = [...this.#stopped]
      this.#stopped.clear()
      for (const next of freed) next.onBudgetFreed()
      return
    }
    if (this.#privileged !== null) return
    const next = this.#stopped.values().next().value!
    this.#stopped.delete(next)
    this.#privileged = next
    next.onBudgetFreed()
  }
}
