import type { Partition } from '@millrace/broker'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'

/** A node as far as this ghost sees it. */
export interface WatchedBroker {
  readonly id: number
  /** Null: its process is down, or does not serve yet. */
  readonly broker: { partitions(): Iterable<Partition> } | null
}

/** What is known of transactions that are certainly open. */
export interface OpenTransactions {
  /** Where the oldest of a partition begins; Infinity: there is none. */
  firstOpenOffset(topic: string, partition: number): number
}

/**
 * Last stable offsets, seen from within the leaders: below the high watermark, never beyond the first record of a transaction that is open,
 * never lower than before (T6). At rest no transaction is left open, and all replicas have come to the same by replay (R14, S4).
 */
export class StableOffsetGhost {
  readonly #world: World
  readonly #topics: ReadonlySet<string>
  readonly #nodes: () => readonly WatchedBroker[]
  readonly #open: OpenTransactions
  /** By partition, the greatest of any leader. */
  readonly #stable = new Map<string, number>()
  /** By partition, the newest leader epoch that any node knows. */
  readonly #epochs = new Map<string, number>()

  constructor(
    world: World,
    topics: ReadonlySet<string>,
    nodes: () => readonly WatchedBroker[],
    open: OpenTransactions,
  ) {
    this.#world = world
    this.#topics = topics
    this.#nodes = nodes
    this.#open = open
  }

  /** Looks at all leaders, at any moment. */
  observe(): void {
    const led: Partition[] = []
    for (const partition of this.#partitions()) {
      const key = keyOf(partition)
      this.#epochs.set(key, Math.max(this.#epochs.get(key) ?? 0, partition.leaderEpoch))
      if (partition.leading !== null) led.push(partition)
    }
    for (const partition of led) this.#check(partition)
  }

  /** Partitions whose leader still holds readers back, or which have no leader. */
  unstable(): string[] {
    const stable = new Set<string>()
    const all = new Set<string>()
    for (const partition of this.#partitions()) {
      all.add(keyOf(partition))
      const { log, leading } = partition
      if (leading !== null && log.lastStableOffset === log.logEndOffset) stable.add(keyOf(partition))
    }
    return [...all].filter((key) => !stable.has(key))
  }

  /** In what replicas differ that should be the same in all of them; null: in nothing. */
  difference(): string | null {
    const told = new Map<string, string>()
    for (const partition of this.#partitions()) {
      const key = keyOf(partition)
      const state = stateOf(partition)
      this.#world.judge('S4')
      const other = told.get(key) ?? state
      if (other !== state) return `replicas of ${key} have ${other} and ${state}`
      told.set(key, state)
    }
    return null
  }

  *#partitions(): Iterable<Partition> {
    for (const { broker } of this.#nodes()) {
      for (const partition of broker?.partitions() ?? []) if (this.#topics.has(partition.topic)) yield partition
    }
  }

  #check(partition: Partition): void {
    const { log, leaderEpoch, topic } = partition
    const key = keyOf(partition)
    // A leader that was replaced may know less; one that is new may not know yet what is committed. What it has not built it tells nobody.
    if (leaderEpoch < this.#epochs.get(key)! || !partition.isHighWatermarkCurrent || !log.producerStates.isLoaded)
      return
    // A damaged batch that nobody has read yet may name a producer that there is not, whose transaction is open until it is read.
    if (this.#world.faults.has('rot of records')) return
    const { lastStableOffset, highWatermark } = log
    this.#world.judge('T6')
    must(lastStableOffset <= highWatermark, 'T6', () => {
      return `${key} is stable up to ${lastStableOffset} and committed up to ${highWatermark}`
    })
    const before = this.#stable.get(key) ?? 0
    must(lastStableOffset >= before, 'T6', () => {
      return `${key} is stable up to ${lastStableOffset}, it was up to ${before}`
    })
    this.#stable.set(key, lastStableOffset)
    // By the clock of a broker that was set a transaction may run out of time early.
    if (this.#world.faults.has('clock jump')) return
    const open = this.#open.firstOpenOffset(topic, partition.partition)
    must(lastStableOffset <= open, 'T6', () => {
      return `${key} is stable up to ${lastStableOffset}, a transaction that is open began at ${open}`
    })
  }
}

function keyOf({ topic, partition }: Partition): string {
  return `${topic}-${partition}`
}

/** What a replica has come to know of transactions. */
function stateOf({ log }: Partition): string {
  const producers = Array.from(log.producers(), ({ producerId, producerEpoch, coordinatorEpoch }) => {
    return `${producerId}/${producerEpoch}/${coordinatorEpoch}`
  })
  const aborted = log
    .abortedTransactions(log.logStartOffset, log.logEndOffset)
    .map(({ producerId, firstOffset }) => `${producerId}@${firstOffset}`)
  return `producers ${producers.sort().join(' ')}, open ${log.openTransactions().length}, aborted ${aborted.join(' ')}`
}
