/** A request for records, with or without an answer. */
export interface SentFetch {
  readonly sentMs: number
  /** Of which the session may give records: those that the member ever asked this node for. */
  readonly partitions: ReadonlySet<number>
}

/** A request may wait so long for a link that is cut and a node that is paused: no fault of a run lasts for half of it. */
const LATE_MS = 20_000

/** Requests that nobody heard the answer of: what they acquired nobody was told, and it was delivered all the same. */
export class LostFetches {
  readonly #open = new Set<SentFetch>()

  onSent(fetch: SentFetch): void {
    this.#open.add(fetch)
  }

  /** What it acquired is known. */
  onAnswered(fetch: SentFetch): void {
    this.#open.delete(fetch)
  }

  /** How many may have acquired records of the partition at this time or later. */
  countSince(partition: number, ms: number): number {
    let count = 0
    for (const { sentMs, partitions } of this.#open) if (partitions.has(partition) && sentMs + LATE_MS >= ms) count++
    return count
  }
}
