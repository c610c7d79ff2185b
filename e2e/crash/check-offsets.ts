import { withAdmin } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import type { GroupLoad } from './group-load.ts'
import type { Load } from './load.ts'

/** What had been acknowledged at some moment, in short: enough to see after each restart whether an end was lost. */
export interface Promised {
  /** By topic: of each partition the offset behind the last acknowledged record. */
  readonly ends: ReadonlyMap<string, readonly number[]>
  readonly commits: readonly {
    readonly group: string
    readonly topic: string
    readonly offsets: ReadonlyMap<number, number>
  }[]
}

/** Follows what producers and groups were told. */
export class Promises {
  readonly #loads: readonly (readonly [topic: string, load: Load])[]
  readonly #groups: readonly GroupLoad[]
  /** Acknowledgements of each load that are in the ends. */
  readonly #seenCounts: number[]
  readonly #ends: Map<string, number[]>

  /** `loads`: those whose acknowledgements are to be held. */
  constructor(loads: readonly (readonly [topic: string, load: Load])[], groups: readonly GroupLoad[]) {
    this.#loads = loads
    this.#groups = groups
    this.#seenCounts = loads.map(() => 0)
    this.#ends = new Map(loads.map(([topic]) => [topic, []]))
  }

  now(): Promised {
    for (const [slot, [topic, load]] of this.#loads.entries()) {
      const acknowledged = load.acknowledged()
      const ends = this.#ends.get(topic) ?? []
      for (let seen = this.#seenCounts[slot] ?? 0; seen < acknowledged.length; seen++) {
        const { partition, offset } = acknowledged[seen]!
        if (offset !== null && offset >= (ends[partition] ?? 0)) ends[partition] = offset + 1
      }
      this.#seenCounts[slot] = acknowledged.length
    }
    return {
      ends: new Map([...this.#ends].map(([topic, ends]) => [topic, [...ends]])),
      commits: this.#groups.map(({ group, topic, committed }) => ({ group, topic, offsets: new Map(committed()) })),
    }
  }
}

/** What a broker tells of the same. */
export interface ObservedOffsets {
  /** High watermarks by topic and partition, asked for after the commits. */
  readonly ends: ReadonlyMap<string, readonly number[]>
  /** In the order of {@link Promised.commits}; -1 where nothing is committed. */
  readonly commits: readonly ReadonlyMap<number, number>[]
}

/** Asks a broker for its offsets and holds them against what was promised; lists what is wrong. */
export async function checkOffsets(bootstrap: string, promised: Promised): Promise<string[]> {
  return wrongOffsets(promised, await observe(bootstrap, promised))
}

/**
 * An end is at or behind what was acknowledged. A committed offset is the one promised or a later one, and never behind the end of its
 * partition.
 */
export function wrongOffsets(promised: Promised, observed: ObservedOffsets): string[] {
  const problems: string[] = []
  const endOf = (topic: string, partition: number) => observed.ends.get(topic)?.[partition] ?? -1
  for (const [topic, ends] of promised.ends) {
    for (const [partition, end = 0] of ends.entries()) {
      const seen = endOf(topic, partition)
      if (seen < end) problems.push(`${topic} ${partition} ends at ${seen}, acknowledged up to ${end}`)
    }
  }
  for (const [slot, { group, topic, offsets }] of promised.commits.entries()) {
    const seen = observed.commits[slot] ?? new Map<number, number>()
    for (const [partition, offset] of offsets) {
      if ((seen.get(partition) ?? -1) < offset)
        problems.push(`group ${group} has ${seen.get(partition)} of ${topic} ${partition}, acknowledged was ${offset}`)
    }
    for (const [partition, offset] of seen) {
      const end = endOf(topic, partition)
      if (offset > end) problems.push(`group ${group} has ${offset} of ${topic} ${partition}, which ends at ${end}`)
    }
  }
  return problems
}

/** Asks again while the coordinator loads its log, which kafkajs leaves to its caller. */
function untilLoaded<T>(ask: () => Promise<T>): Promise<Exclude<T, false | null | undefined>> {
  return until('the coordinator has loaded', async () => {
    try {
      return await ask()
    } catch (error) {
      if ((error as { retriable?: boolean }).retriable !== true) throw error
      return null
    }
  })
}

function observe(bootstrap: string, promised: Promised): Promise<ObservedOffsets> {
  return withAdmin(bootstrap, async (admin) => {
    const commits: ReadonlyMap<number, number>[] = []
    for (const { group, topic } of promised.commits) {
      const [answer] = await untilLoaded(() => admin.fetchOffsets({ groupId: group, topics: [topic] }))
      commits.push(new Map((answer?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)])))
    }
    const ends = new Map<string, number[]>()
    // Asked for a topic that is gone, the client would only throw: that it is gone is the finding.
    const there = new Set(await admin.listTopics())
    for (const topic of new Set([...promised.ends.keys(), ...promised.commits.map((commit) => commit.topic)])) {
      const high: number[] = []
      const entries = there.has(topic) ? await admin.fetchTopicOffsets(topic) : []
      for (const entry of entries) high[entry.partition] = Number(entry.high)
      ends.set(topic, high)
    }
    return { ends, commits }
  })
}
