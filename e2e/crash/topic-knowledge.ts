/** A topic as the broker tells of it. */
export interface ObservedTopic {
  readonly partitionCount: number
  /** Empty where none is set. */
  readonly retentionMs: string
  /** In partition 0. */
  readonly recordCount: number
}

/** Values of the named things; a topic that is created has all of them. */
export type TopicValues = Partial<ObservedTopic>

/** A change of one topic: what is different after it; `null` removes the topic. */
export type TopicChange = TopicValues | null

const fields = ['partitionCount', 'retentionMs', 'recordCount'] as const

/** Each value that something of a topic may have: more than one after a change that was never answered. */
interface Possible {
  existence: Set<boolean>
  readonly values: Map<(typeof fields)[number], Set<number | string>>
}

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

  /** The greatest number that one of a topic's counts may be. */
  countMax(topic: string, field: 'partitionCount' | 'recordCount'): number {
    return Math.max(0, ...[...(this.#topics.get(topic)?.values.get(field) ?? [])].map(Number))
  }

  /** A change is asked for: from now on it may have happened. */
  onAsked(topic: string, change: TopicChange): void {
    const known = this.#topics.get(topic) ?? { existence: new Set([false]), values: new Map() }
    this.#topics.set(topic, known)
    known.existence.add(change !== null)
    for (const field of fields) {
      const value = change?.[field]
      if (value !== undefined) known.values.set(field, (known.values.get(field) ?? new Set()).add(value))
    }
  }

  /** It was acknowledged: it has happened. Pre: {@link onAsked}. */
  onAcknowledged(topic: string, change: TopicChange): void {
    const known = this.#topics.get(topic)
    if (known === undefined) return
    known.existence = new Set([change !== null])
    if (change === null) known.values.clear()
    for (const field of fields) {
      const value = change?.[field]
      if (value !== undefined) known.values.set(field, new Set([value]))
    }
  }

  /** Lists where what is seen cannot be; what is seen is known from then on. Nothing may be under way. */
  check(observed: ReadonlyMap<string, ObservedTopic>): string[] {
    const problems: string[] = []
    for (const [topic, known] of this.#topics) {
      const seen = observed.get(topic)
      if (!known.existence.has(seen !== undefined))
        problems.push(seen ? `topic ${topic} was deleted and is back` : `topic ${topic} was created and is gone`)
      else if (seen) problems.push(...wrongValues(topic, known, seen))
      known.existence = new Set([seen !== undefined])
      known.values.clear()
      if (seen) for (const field of fields) known.values.set(field, new Set([seen[field]]))
    }
    for (const topic of observed.keys()) {
      if (!this.#topics.has(topic)) problems.push(`topic ${topic} was never created`)
    }
    return problems
  }
}

function wrongValues(topic: string, known: Possible, seen: ObservedTopic): string[] {
  const problems: string[] = []
  for (const field of fields) {
    const possible = known.values.get(field)
    if (possible !== undefined && !possible.has(seen[field]))
      problems.push(`topic ${topic} has ${field} ${seen[field] || 'none'}, not ${[...possible].join(' or ')}`)
  }
  return problems
}
