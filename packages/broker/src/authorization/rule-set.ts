import { ACL_WILDCARD, type AclImage } from '@millrace/consensus'
import { canonicalAddress } from '../config/canonical-address.ts'
import { DecisionRoom, Decisions, Governed } from './decisions.ts'

/** Applies to whoever comes. */
const ANY_PRINCIPAL = 'User:*'
/** Stands for all principals, or hosts, that no rule names: they are all alike. */
const UNNAMED = ''
/** Decisions that are remembered, some 10 MB; then all are forgotten. */
const MAX_REMEMBERED = 50_000
/** Principals and hosts of which decisions are kept apart; then all are forgotten. */
const MAX_VIEWS = 1_000

/**
 * The rules of one metadata image, ready to decide. Principals and hosts that no rule names share their decisions, so that their
 * number follows from the rules, not from the clients.
 */
export class RuleSet {
  /** What it was made of. */
  readonly acls: ReadonlyMap<unknown, AclImage>
  readonly #byPrincipal = new Map<string, AclImage[]>()
  readonly #governed: Governed | null
  /** By principal, then host. */
  readonly #views = new Map<string, View>()
  #viewCount = 0
  #room = new DecisionRoom(MAX_REMEMBERED)

  constructor(acls: ReadonlyMap<unknown, AclImage>, allowEveryoneIfNoAclFound: boolean) {
    this.acls = acls
    this.#governed = allowEveryoneIfNoAclFound ? new Governed(acls.values()) : null
    for (const acl of acls.values()) {
      const own = this.#byPrincipal.get(acl.principal)
      if (own === undefined) this.#byPrincipal.set(acl.principal, [acl])
      else own.push(acl)
    }
  }

  /** Whether so much is remembered that decisions must be asked for anew. */
  get isFull(): boolean {
    return this.#room.isFull
  }

  /** What the rules say to a principal (`User:alice`) at a host (a textual address). */
  decisionsFor(principal: string, host: string): Decisions {
    if (this.#room.isFull || this.#viewCount >= MAX_VIEWS) this.forget()
    const name = this.#byPrincipal.has(principal) ? principal : UNNAMED
    let view = this.#views.get(name)
    if (view === undefined) {
      view = new View([...(this.#byPrincipal.get(name) ?? []), ...this.#rulesForAll(name)])
      this.#views.set(name, view)
      this.#viewCount++
    }
    const place = view.hosts.has(host) ? host : UNNAMED
    let decisions = view.decisions.get(place)
    if (decisions === undefined) {
      decisions = new Decisions(view.rulesAt(place), this.#governed, this.#room)
      view.decisions.set(place, decisions)
      this.#viewCount++
    }
    return decisions
  }

  #rulesForAll(principal: string): readonly AclImage[] {
    return principal === ANY_PRINCIPAL ? [] : (this.#byPrincipal.get(ANY_PRINCIPAL) ?? [])
  }

  /**
   * Takes back all decisions that were given out, and what they remember: idle connections hold theirs, and each could hold others, so that
   * clients who ask for ever new names over one connection after the other would fill the heap.
   */
  forget(): void {
    for (const { decisions } of this.#views.values()) {
      for (const each of decisions.values()) each.forget()
    }
    this.#views.clear()
    this.#viewCount = 0
    this.#room = new DecisionRoom(MAX_REMEMBERED)
  }
}

/** The rules for one principal. */
class View {
  readonly #everywhere: AclImage[] = []
  readonly #byHost = new Map<string, AclImage[]>()
  /** By host that a rule names, and {@link UNNAMED} for all others. */
  readonly decisions = new Map<string, Decisions>()

  constructor(acls: readonly AclImage[]) {
    for (const acl of acls) {
      if (acl.host === ACL_WILDCARD) {
        this.#everywhere.push(acl)
        continue
      }
      // Kafka compares addresses as text, in which IPv6 has many forms.
      const host = canonicalAddress(acl.host) ?? acl.host
      const there = this.#byHost.get(host)
      if (there === undefined) this.#byHost.set(host, [acl])
      else there.push(acl)
    }
  }

  get hosts(): ReadonlyMap<string, unknown> {
    return this.#byHost
  }

  rulesAt(host: string): AclImage[] {
    return [...this.#everywhere, ...(this.#byHost.get(host) ?? [])]
  }
}
