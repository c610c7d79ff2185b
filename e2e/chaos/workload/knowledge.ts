import type { Key, Seen } from '../history/operation.ts'

/** What all clients together know of the logs under load. */
export class Knowledge {
  readonly keys: readonly Key[]
  /** Offset behind the greatest acknowledged one. */
  readonly #acknowledged = new Map<Key, number>()
  /** Offset behind the greatest that anybody read. */
  readonly #polled = new Map<Key, number>()
  acknowledgedCount = 0

  constructor(keys: readonly Key[]) {
    this.keys = keys
  }

  onAcknowledged(key: Key, offset: number | null): void {
    this.acknowledgedCount++
    if (offset !== null) this.#acknowledged.set(key, Math.max(offset + 1, this.acknowledgedEnd(key)))
  }

  onPolled(records: readonly Seen[]): void {
    for (const { key, offset } of records) this.#polled.set(key, Math.max(offset + 1, this.polledEnd(key)))
  }

  acknowledgedEnd(key: Key): number {
    return this.#acknowledged.get(key) ?? 0
  }

  polledEnd(key: Key): number {
    return this.#polled.get(key) ?? 0
  }

  /** Keys with acknowledged records that nobody has read yet. */
  unread(): Key[] {
    return this.keys.filter((key) => this.acknowledgedEnd(key) > this.polledEnd(key))
  }

  /** The acknowledged ends of all keys: a later one shows progress. */
  ends(): Map<Key, number> {
    return new Map(this.keys.map((key) => [key, this.acknowledgedEnd(key)]))
  }
}

export function keyOf(topic: string, partition: number): Key {
  return `${topic}/${partition}`
}

export function partitionOf(key: Key): readonly [topic: string, partition: number] {
  const slash = key.lastIndexOf('/')
  return [key.slice(0, slash), Number(key.slice(slash + 1))]
}
