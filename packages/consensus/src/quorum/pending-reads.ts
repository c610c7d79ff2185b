import type { LogIndex } from '../raft/types.ts'

interface ConfirmedRead {
  readonly index: LogIndex
  readonly read: PendingRead
}

interface PendingRead {
  resolve(index: LogIndex): void
  reject(error: Error): void
}

/** Reads under way: first until a quorum has confirmed the leader, then until their index is applied. */
export class PendingReads {
  readonly #unconfirmed = new Map<number, PendingRead>()
  #confirmed: ConfirmedRead[] = []
  #nextToken = 1

  get count(): number {
    return this.#unconfirmed.size + this.#confirmed.length
  }

  /** The token to ask the core with, and what its answer will settle. */
  add(): { readonly token: number; readonly result: Promise<LogIndex> } {
    const token = this.#nextToken++
    const result = new Promise<LogIndex>((resolve, reject) => this.#unconfirmed.set(token, { resolve, reject }))
    return { token, result }
  }

  onConfirmed(token: number, index: LogIndex): void {
    const read = this.#unconfirmed.get(token)
    if (read === undefined) return
    this.#unconfirmed.delete(token)
    this.#confirmed.push({ index, read })
  }

  onRefused(token: number, error: Error): void {
    this.#unconfirmed.get(token)?.reject(error)
    this.#unconfirmed.delete(token)
  }

  onApplied(appliedIndex: LogIndex): void {
    if (this.#confirmed.length === 0) return
    const waiting: ConfirmedRead[] = []
    for (const pending of this.#confirmed) {
      if (pending.index <= appliedIndex) pending.read.resolve(pending.index)
      else waiting.push(pending)
    }
    this.#confirmed = waiting
  }

  rejectAll(error: Error): void {
    for (const read of this.#unconfirmed.values()) read.reject(error)
    for (const { read } of this.#confirmed) read.reject(error)
    this.#unconfirmed.clear()
    this.#confirmed = []
  }
}
