/** What became of a delivered record: done; to be delivered again; never again; still being worked on, the lock shall begin anew. */
export type AcknowledgeType = 'accept' | 'release' | 'reject' | 'renew'

/** The protocol's numbers (KIP-932, KIP-1222). A gap is an offset that was acquired and holds no record. */
const NUMBERS = { gap: 0, accept: 1, release: 2, reject: 3, renew: 4 } as const

/** A run of offsets as requests name it: one type for all, or one for each. */
export interface AcknowledgementRun {
  firstOffset: number
  lastOffset: number
  acknowledgeTypes: number[]
}

/** Acknowledgements of one partition that are to be sent together. */
export class Acknowledgements {
  readonly #types = new Map<number, AcknowledgeType | 'gap'>()

  get isEmpty(): boolean {
    return this.#types.size === 0
  }

  /** Offsets of records, without gaps, ascending. */
  get offsets(): number[] {
    return [...this.#types]
      .filter(([, type]) => type !== 'gap')
      .map(([offset]) => offset)
      .sort((a, b) => a - b)
  }

  get hasRenewals(): boolean {
    for (const type of this.#types.values()) if (type === 'renew') return true
    return false
  }

  add(offset: number, type: AcknowledgeType | 'gap'): void {
    this.#types.set(offset, type)
  }

  [Symbol.iterator](): IterableIterator<[number, AcknowledgeType | 'gap']> {
    return this.#types.entries()
  }

  typeOf(offset: number): AcknowledgeType | 'gap' | null {
    return this.#types.get(offset) ?? null
  }

  /** Runs of neighbours, ascending, each as short as the protocol allows. */
  runs(): AcknowledgementRun[] {
    const runs: AcknowledgementRun[] = []
    for (const [offset, type] of [...this.#types].sort(([a], [b]) => a - b)) {
      const last = runs.at(-1)
      if (last !== undefined && last.lastOffset === offset - 1) {
        last.lastOffset = offset
        last.acknowledgeTypes.push(NUMBERS[type])
      } else {
        runs.push({ firstOffset: offset, lastOffset: offset, acknowledgeTypes: [NUMBERS[type]] })
      }
    }
    for (const run of runs) {
      if (new Set(run.acknowledgeTypes).size === 1) run.acknowledgeTypes.length = 1
    }
    return runs
  }
}
