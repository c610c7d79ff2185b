import type { ClientCore } from '../client/client-core.ts'

/** A pattern of topic names in RE2 syntax, which must match whole names. The brokers match it (KIP-848): `groupProtocol` 'consumer' only. */
export class SubscriptionPattern {
  readonly pattern: string

  constructor(pattern: string) {
    this.pattern = pattern
  }
}

/** What a member of a group wants: topics by name, or all that match a pattern, new ones included. */
export class Subscription {
  readonly #core: ClientCore
  readonly #names: readonly string[]
  readonly #pattern: RegExp | null
  /** What brokers match; null for none. */
  readonly serverPattern: string | null
  readonly #excludeInternal: boolean
  #matched: string[]

  /** Keeps the topics in metadata until {@link end}. */
  constructor(core: ClientCore, wanted: readonly string[] | RegExp | SubscriptionPattern, excludeInternal: boolean) {
    this.#core = core
    this.serverPattern = wanted instanceof SubscriptionPattern ? wanted.pattern : null
    this.#excludeInternal = excludeInternal
    if (wanted instanceof SubscriptionPattern) {
      this.#names = []
      this.#pattern = null
      // The assignment names topics by id: any topic may be needed.
      core.metadata.addAllTopics()
    } else if (wanted instanceof RegExp) {
      this.#names = []
      // A global or sticky pattern remembers where it stopped and would match every other time.
      this.#pattern = new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, ''))
      core.metadata.addAllTopics()
    } else {
      this.#names = [...new Set(wanted)]
      this.#pattern = null
      for (const name of this.#names) core.metadata.addTopic(name)
    }
    this.#matched = this.#match()
  }

  /** Whether topics can only be known by asking for all of them. */
  get isPattern(): boolean {
    return this.#pattern !== null
  }

  /** The topics wanted now. */
  topics(): string[] {
    return this.#matched
  }

  /** Looks at the metadata again; true if other topics match than before. */
  refresh(): boolean {
    const matched = this.#match()
    const changed =
      matched.length !== this.#matched.length || matched.some((name, slot) => name !== this.#matched[slot])
    this.#matched = matched
    return changed
  }

  /** The topics need not be kept any more. */
  end(): void {
    if (this.#pattern !== null || this.serverPattern !== null) this.#core.metadata.removeAllTopics()
    for (const name of this.#names) this.#core.metadata.removeTopic(name)
  }

  #match(): string[] {
    const pattern = this.#pattern
    if (pattern === null) return [...this.#names].sort()
    return [...this.#core.metadata.view.topics.values()]
      .filter(({ name, isInternal }) => !(isInternal && this.#excludeInternal) && pattern.test(name))
      .map(({ name }) => name)
      .sort()
  }
}
