/** So many are remembered: clients may name what never comes. */
const MAX_COUNT = 10_000

/** Where replicas are to be made that are not here yet, as clients asked for (KIP-113). Forgotten at a restart, as by Kafka. */
export class PreferredDirectories {
  readonly #paths = new Map<string, string>()

  /** With too many of them, the one goes that was named first. */
  set(topic: string, partition: number, path: string): void {
    const key = `${topic}-${partition}`
    this.#paths.delete(key)
    this.#paths.set(key, path)
    if (this.#paths.size <= MAX_COUNT) return
    for (const oldest of this.#paths.keys()) {
      this.#paths.delete(oldest)
      return
    }
  }

  /** The path for a replica that is about to be made, once; null if nobody named one. */
  take(topic: string, partition: number): string | null {
    if (this.#paths.size === 0) return null
    const key = `${topic}-${partition}`
    const path = this.#paths.get(key) ?? null
    this.#paths.delete(key)
    return path
  }
}
