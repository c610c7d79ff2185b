import type { ValueTally } from '../../runtime/timeline.ts'
import type { ConsumerMember } from './consumer-member.ts'

/** What of the members of a consumer group is counted: kept up to date as they come and go, and as that is taken back. */
export class MemberCounts implements ValueTally<ConsumerMember> {
  classicMembers = 0
  /** By text. */
  readonly regexUsers = new Map<string, number>()
  /** Of the members that speak the classic protocol, by name. */
  readonly #protocols = new Map<string, number>()
  readonly #assignors = new Map<string, number>()

  protocolCount(name: string): number {
    return this.#protocols.get(name) ?? 0
  }

  /** Of several with as many votes, the first by name. */
  preferredAssignor(): string | null {
    let preferred: string | null = null
    let most = 0
    for (const [name, votes] of this.#assignors) {
      if (votes < most || (votes === most && preferred !== null && preferred < name)) continue
      preferred = name
      most = votes
    }
    return preferred
  }

  onAdded(member: ConsumerMember): void {
    this.#count(member, 1)
  }

  onRemoved(member: ConsumerMember): void {
    this.#count(member, -1)
  }

  #count({ metadata }: ConsumerMember, sign: number): void {
    const { topicRegex, serverAssignor, classic } = metadata
    if (topicRegex !== null) add(this.regexUsers, topicRegex, sign)
    if (serverAssignor !== null) add(this.#assignors, serverAssignor, sign)
    if (classic === null) return
    this.classicMembers += sign
    for (const name of new Set(classic.protocols.map((protocol) => protocol.name))) add(this.#protocols, name, sign)
  }
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}
