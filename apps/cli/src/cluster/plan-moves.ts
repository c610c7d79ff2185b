import type { TopicPartition } from '@millrace/client'

/** A broker that may hold replicas. */
export interface Place {
  readonly nodeId: number
  /** Failure domain, or null. */
  readonly rack: string | null
}

/** What a partition has now. */
export interface PlacedPartition extends TopicPartition {
  readonly replicas: readonly number[]
}

/** Where a partition is to lie, the preferred leader first. */
export interface Move extends TopicPartition {
  readonly from: readonly number[]
  readonly to: readonly number[]
}

/** The moves that are needed, and the partitions for which there are too few brokers. */
export interface MovePlan {
  readonly moves: readonly Move[]
  readonly impossible: readonly PlacedPartition[]
}

/**
 * Takes every replica off a broker: another one steps into its place in the list, so that only what lay there moves. The one that takes over
 * is in a rack that the partition does not use yet if there is one, and holds the fewest replicas (leaderships, where it is to lead).
 * `all` are all partitions of the cluster.
 */
export function planDrain(nodeId: number, all: readonly PlacedPartition[], brokers: readonly Place[]): MovePlan {
  const others = brokers.filter((broker) => broker.nodeId !== nodeId)
  const load = new Load(all)
  const moves: Move[] = []
  const impossible: PlacedPartition[] = []
  for (const partition of all) {
    const slot = partition.replicas.indexOf(nodeId)
    if (slot === -1) continue
    const kept = partition.replicas.filter((replica) => replica !== nodeId)
    const successor = load.best(others, kept, brokers, slot === 0)
    if (successor === null) {
      impossible.push(partition)
      continue
    }
    const to = partition.replicas.with(slot, successor)
    load.move(partition.replicas, to)
    moves.push({ topic: partition.topic, partition: partition.partition, from: partition.replicas, to })
  }
  return { moves, impossible }
}

/**
 * Spreads partitions over brokers: `replicationFactor` of them each (null: as many as now), racks apart where that is possible. Begins with
 * what lies well already and moves replicas, then leaderships, from who has most to who has least, so that little is copied.
 */
export function planSpread(
  partitions: readonly PlacedPartition[],
  brokers: readonly Place[],
  replicationFactor: number | null,
): MovePlan {
  const allowed = new Set(brokers.map(({ nodeId }) => nodeId))
  const load = new Load([])
  const impossible: PlacedPartition[] = []
  const drafts: { readonly partition: PlacedPartition; to: readonly number[] }[] = []
  for (const partition of partitions) {
    const count = replicationFactor ?? partition.replicas.length
    if (count > brokers.length) {
      impossible.push(partition)
      continue
    }
    const to = partition.replicas.filter((nodeId) => allowed.has(nodeId)).slice(0, count)
    load.move([], to)
    drafts.push({ partition, to })
  }
  for (const draft of drafts) {
    const count = replicationFactor ?? draft.partition.replicas.length
    while (draft.to.length < count) {
      const next = [...draft.to, load.best(brokers, draft.to, brokers, draft.to.length === 0)!]
      load.move(draft.to, next)
      draft.to = next
    }
  }
  balance(
    drafts,
    brokers,
    (nodeId) => load.replicas(nodeId),
    (to, from, into) => {
      if (!to.includes(from) || to.includes(into)) return null
      const next = to.with(to.indexOf(from), into)
      return sharedRacks(next, brokers) > sharedRacks(to, brokers) ? null : next
    },
    load,
  )
  balance(
    drafts,
    brokers,
    (nodeId) => load.leaders(nodeId),
    (to, from, into) => {
      if (to[0] !== from || !to.includes(into)) return null
      return to.with(to.indexOf(into), from).with(0, into)
    },
    load,
  )
  const moves = drafts
    .filter(({ partition, to }) => to.join() !== partition.replicas.join())
    .map(({ partition: { topic, partition, replicas }, to }) => ({ topic, partition, from: replicas, to }))
  return { moves, impossible }
}

/**
 * Changes drafts as long as one broker has two more of something than another and `change` can take one from it. Each change brings the
 * counts closer together, so it ends.
 */
function balance(
  drafts: readonly { to: readonly number[] }[],
  brokers: readonly Place[],
  countOf: (nodeId: number) => number,
  change: (to: readonly number[], from: number, into: number) => readonly number[] | null,
  load: Load,
): void {
  for (;;) {
    const byCount = brokers.map(({ nodeId }) => nodeId).sort((a, b) => countOf(b) - countOf(a) || a - b)
    if (
      !byCount.some((from) =>
        byCount.toReversed().some((into) => countOf(from) - countOf(into) >= 2 && moveOne(from, into)),
      )
    )
      return
  }
  function moveOne(from: number, into: number): boolean {
    for (const draft of drafts) {
      const next = change(draft.to, from, into)
      if (next === null) continue
      load.move(draft.to, next)
      draft.to = next
      return true
    }
    return false
  }
}

/** How many replicas lie in a rack that another one of the list is in. */
function sharedRacks(replicas: readonly number[], brokers: readonly Place[]): number {
  const racks = brokers.filter(({ nodeId, rack }) => rack !== null && replicas.includes(nodeId)).map(({ rack }) => rack)
  return racks.length - new Set(racks).size
}

/** How many replicas and leaderships brokers hold. */
class Load {
  readonly #replicas = new Map<number, number>()
  readonly #leaders = new Map<number, number>()

  constructor(partitions: readonly PlacedPartition[]) {
    for (const { replicas } of partitions) this.move([], replicas)
  }

  replicas(nodeId: number): number {
    return this.#replicas.get(nodeId) ?? 0
  }

  leaders(nodeId: number): number {
    return this.#leaders.get(nodeId) ?? 0
  }

  move(from: readonly number[], to: readonly number[]): void {
    for (const nodeId of from) this.#replicas.set(nodeId, this.replicas(nodeId) - 1)
    for (const nodeId of to) this.#replicas.set(nodeId, this.replicas(nodeId) + 1)
    if (from[0] !== undefined) this.#leaders.set(from[0], this.leaders(from[0]) - 1)
    if (to[0] !== undefined) this.#leaders.set(to[0], this.leaders(to[0]) + 1)
  }

  /** The broker that takes a replica best, or null if all have one. Ties go to the lowest number. */
  best(
    candidates: readonly Place[],
    taken: readonly number[],
    brokers: readonly Place[],
    leads: boolean,
  ): number | null {
    const racks = new Set(brokers.filter(({ nodeId }) => taken.includes(nodeId)).map(({ rack }) => rack))
    const costOf = ({ nodeId, rack }: Place) => {
      const sharesRack = rack !== null && racks.has(rack) ? 1 : 0
      return [sharesRack, leads ? this.leaders(nodeId) : 0, this.replicas(nodeId), nodeId]
    }
    let best: Place | null = null
    for (const candidate of candidates) {
      if (taken.includes(candidate.nodeId)) continue
      if (best === null || isLess(costOf(candidate), costOf(best))) best = candidate
    }
    return best?.nodeId ?? null
  }
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [slot, value] of a.entries()) if (value !== b[slot]) return value < b[slot]!
  return false
}
