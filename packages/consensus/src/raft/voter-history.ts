import type { LogIndex, VoterSet } from './types.ts'

export interface VotersPoint {
  /** The entry that made them so; 0: bootstrap. */
  readonly index: LogIndex
  readonly voters: VoterSet
}

/**
 * Who votes, by position in the log. A set is in force from the moment its entry is appended, committed or not, and the one before is in
 * force again when the entry is cut off (Raft thesis 4.1, C13). Holds the sets since the newest snapshot.
 */
export class VoterHistory {
  /** By index, never empty. */
  #points: VotersPoint[]

  constructor(base: VotersPoint) {
    this.#points = [base]
  }

  get newest(): VotersPoint {
    return this.#points[this.#points.length - 1]!
  }

  append(point: VotersPoint): void {
    this.#points.push(point)
  }

  /** Forgets the sets of entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.#points.length > 1 && this.newest.index >= index) this.#points.pop()
  }

  /** The set in force at `index`; null if that is too long ago. */
  at(index: LogIndex): VotersPoint | null {
    return this.#points.findLast((point) => point.index <= index) ?? null
  }

  /** Forgets what only entries before `index` need. */
  compact(index: LogIndex): void {
    const first = this.#points.findLastIndex((point) => point.index <= index)
    if (first > 0) this.#points = this.#points.slice(first)
  }

  reset(base: VotersPoint): void {
    this.#points = [base]
  }
}
