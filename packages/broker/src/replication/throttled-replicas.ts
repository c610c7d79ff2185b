/** The replicas that `leader.replication.throttled.replicas` or its twin of followers names for one topic. */
export class ThrottledReplicas {
  readonly #isAll: boolean
  readonly #pairs: ReadonlySet<string>

  /** `items`: a `*`, or pairs `partition:broker`. */
  constructor(items: readonly string[]) {
    this.#isAll = items.includes('*')
    this.#pairs = new Set(items)
  }

  has(partition: number, brokerId: number): boolean {
    return this.#isAll || (this.#pairs.size > 0 && this.#pairs.has(`${partition}:${brokerId}`))
  }
}
