/** A topic as the broker tells of it. `retentionMs` is empty where none is set. */
export interface ObservedTopic {
  readonly partitionCount: number
  readonly retentionMs: string
}

/** Each value that something of a topic may have: more than one after a change that was never answered. */
interface Possible {
  existence: Set<boolean>
  partitionCounts: Set<number>
  retentionsMs: Set<string>
}

/** A change of one topic; `null` removes it. */
export type TopicChange = Partial<ObservedTopic> | null

/** What is known of topics from the answers to changes. */
export class TopicKnowledge {
  readonly #topics: Map<string, Possible>

  constructor() {
    this.#topics = new Map()
  }

  /** Topics that are there for certain. */
  existing(): string[] {
    return [...this.#topics].filter(([, { existence }]) => !existence.has(false)).map(([topic]) => topic)
  }

  /** Topics that were there and are not, for certain. */
  deleted(): string[] {
    return [...this.#topics].filter(([, { existence }]) => !existence.has(true)).map(([topic]) => topic)
  }

  /** The greatest number of partitions that a topic may have. */
  partitionCountMax(topic: string): number {
    return Math.max(0, ...(this.#topics.get(topic)?.partitionCounts ?? []))
  }

  /** A change is asked for: from now on it may have happened. */
  onAsked(topic: string, change: TopicChange): void {
    const known = this.#topics.get(topic)
    if (change === null) known?.existence.add(false)
    else if (known === undefined) {
      const { partitionCount = 0, retentionMs = '' } = change
      this.#topics.set(topic, possible([true, false], partitionCount, retentionMs))
    } else {
      known.existence.add(true)
      if (change.partitionCount !== undefined) known.partitionCounts.add(change.partitionCount)
      if (change.retentionMs !== undefined) known.retentionsMs.add(change.retentionMs)
    }
  }

  /** It was acknowledged: it has happened. Pre: {@link onAsked}. */
  onAcknowledged(topic: string, change: TopicChange): void {
    const known = this.#topics.get(topic)
    if (known === undefined) return
    known.existence = new Set([change !== null])
    if (change?.partitionCount !== undefined) known.partitionCounts = new Set([change.partitionCount])
    if (change?.retentionMs !== undefined) known.retentionsMs = new Set([change.retentionMs])
  }

  /** Lists where what is seen cannot be; what is seen is known from then on. Nothing may be under way. */
  check(observed: ReadonlyMap<string, ObservedTopic>): string[] {
    const problems: string[] = []
    for (const [topic, known] of this.#topics) {
      const seen = observed.get(topic)
      if (!known.existence.has(seen !== undefined))
        problems.push(seen ? `topic ${topic} was deleted and is back` : `topic ${topic} was created and is gone`)
      else if (seen) problems.push(...wrongValues(topic, known, seen))
      this.#topics.set(topic, possible([seen !== undefined], seen?.partitionCount ?? 0, seen?.retentionMs ?? ''))
    }
    for (const topic of observed.keys()) {
      if (!this.#topics.has(topic)) problems.push(`topic ${topic} was never created`)
    }
    return problems
  }
}

function possible(existence: readonly boolean[], partitionCount: number, retentionMs: string): Possible {
  return {
    existence: new Set(existence),
    partitionCounts: new Set([partitionCount]),
    retentionsMs: new Set([retentionMs]),
  }
}

function wrongValues(topic: string, known: Possible, seen: ObservedTopic): string[] {
  const problems: string[] = []
  const counts = [...known.partitionCounts]
  if (!counts.includes(seen.partitionCount))
    problems.push(`topic ${topic} has ${seen.partitionCount} partitions, not ${counts.join(' or ')}`)
  const retentions = [...known.retentionsMs]
  if (!retentions.includes(seen.retentionMs))
    problems.push(`topic ${topic} has retention.ms '${seen.retentionMs}', not '${retentions.join("' or '")}'`)
  return problems
}
