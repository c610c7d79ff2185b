import type { SimulatedDataPartition } from './simulated-data-partition.ts'

/** A transaction as its producer sees it: kept by the checker, never by the system. */
export class GhostTransaction {
  readonly name: string
  /** Records whose producer was told that they are stored. */
  readonly acknowledged = new Set<string>()
  /** What its producer was told of its end; null: it does not know. */
  outcome: 'committed' | 'aborted' | null = null
  #recordCount = 0

  constructor(name: string) {
    this.name = name
  }

  nextName(): string {
    return `${this.name}/${this.#recordCount++}`
  }
}

/** Holds what clients were told against what partitions hold (`reliability.md`, 1.5). */
export class TransactionChecker {
  readonly #ghosts: GhostTransaction[] = []
  /** Transactions by KIP-890 by producer id and epoch, which name them (T3). */
  readonly #named = new Map<string, string>()
  /** The newest epoch that was given out, by producer id. */
  readonly #epochs = new Map<number, number>()
  readonly #owners = new Map<number, string>()

  /** Another producer has the id now: under a producer id of its own, or a higher epoch than any before (T3). */
  onInitialized(transactionalId: string, producerId: number, producerEpoch: number): void {
    const owner = this.#owners.get(producerId) ?? transactionalId
    if (owner !== transactionalId)
      throw new Error(`producer id ${producerId} was given to ${owner} and ${transactionalId}`)
    this.#owners.set(producerId, owner)
    const before = this.#epochs.get(producerId) ?? -1
    if (producerEpoch <= before) throw new Error(`epoch ${producerEpoch} of producer ${producerId} was given before`)
    this.#epochs.set(producerId, producerEpoch)
  }

  begin(producerId: number, producerEpoch: number, isOld: boolean): GhostTransaction {
    const ghost = new GhostTransaction(`t${this.#ghosts.length}`)
    this.#ghosts.push(ghost)
    const key = `${producerId}/${producerEpoch}`
    const before = this.#named.get(key)
    if (!isOld && before !== undefined) {
      const isEmpty = this.#ghosts.find(({ name }) => name === before)!.acknowledged.size === 0
      if (!isEmpty) throw new Error(`${key} names ${before} and ${ghost.name}`)
    }
    this.#named.set(key, ghost.name)
    return ghost
  }

  /** Once all has come to rest: every transaction ended one way in all partitions (T1), the way that its producer was told (T5). */
  checkAtEnd(partitions: readonly SimulatedDataPartition[]): void {
    const fates = new Map<string, Map<string, string>>()
    for (const { records } of partitions) {
      for (const { name, fate } of records) {
        const [transaction] = name.split('/')
        const known = fates.get(transaction!) ?? new Map<string, string>()
        if (known.has(name)) throw new Error(`${name} is there twice`)
        fates.set(transaction!, known.set(name, fate))
      }
    }
    for (const ghost of this.#ghosts) {
      const found = fates.get(ghost.name) ?? new Map<string, string>()
      const kinds = new Set(found.values())
      if (kinds.has('open')) throw new Error(`${ghost.name} hangs`)
      if (kinds.size > 1) throw new Error(`${ghost.name} was torn apart: ${JSON.stringify([...found])}`)
      const [fate] = kinds
      if (ghost.outcome !== null && fate !== undefined && fate !== ghost.outcome) {
        throw new Error(`${ghost.name} is ${fate}, and its producer was told that it is ${ghost.outcome}`)
      }
      for (const name of ghost.acknowledged)
        if (!found.has(name)) throw new Error(`${name} was acknowledged and is lost`)
    }
  }

  /** How many transactions had each end, for tests that want to know what they have seen. */
  get outcomes(): { committed: number; aborted: number; unknown: number } {
    const count = (outcome: GhostTransaction['outcome']): number =>
      this.#ghosts.filter((ghost) => ghost.outcome === outcome).length
    return { committed: count('committed'), aborted: count('aborted'), unknown: count(null) }
  }
}
