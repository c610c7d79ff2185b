/** What of a node's bounds one client holds, counted from where clients have shares. */
export interface ClientHoldings {
  groups: number
  members: number
  offsets: number
  bytes: number
}

const NO_HOLDINGS: Readonly<ClientHoldings> = { groups: 0, members: 0, offsets: 0, bytes: 0 }

/**
 * What groups take up, exactly and at any time: of one machine, or of all of a node together. Groups, members and offsets that were
 * added when clients had shares have an owner, whose holdings they are.
 */
export class GroupUsage {
  groups = 0
  /** Members, and member ids given out that have not come back yet. */
  members = 0
  /** Committed offsets: one for each partition in each group. */
  offsets = 0
  /** Of what clients have the groups keep: names and ids, metadata and assignments of members, texts beside offsets. */
  bytes = 0
  /** Of classic groups by their state, of others by their kind and their state, as `consumer Stable`. */
  readonly states = new Map<string, number>()
  readonly #holdings = new Map<string, ClientHoldings>()
  #whole: GroupUsage | null

  /** Whatever a part counts, `whole` counts too. */
  constructor(whole: GroupUsage | null = null) {
    this.#whole = whole
  }

  holdingsOf(owner: string): Readonly<ClientHoldings> {
    return this.#holdings.get(owner) ?? NO_HOLDINGS
  }

  /** `sign` is 1 or -1 here and below. */
  countGroup(sign: number, state: string, owner: string | null): void {
    this.groups += sign
    this.#countState(sign, state)
    this.#hold(owner, 'groups', sign)
    this.#whole?.countGroup(sign, state, owner)
  }

  moveGroup(from: string, to: string): void {
    this.#countState(-1, from)
    this.#countState(1, to)
    this.#whole?.moveGroup(from, to)
  }

  countMember(sign: number, owner: string | null): void {
    this.members += sign
    this.#hold(owner, 'members', sign)
    this.#whole?.countMember(sign, owner)
  }

  countOffset(sign: number, owner: string | null): void {
    this.offsets += sign
    this.#hold(owner, 'offsets', sign)
    this.#whole?.countOffset(sign, owner)
  }

  /** Of something with that owner: so many more, or less. */
  countBytes(change: number, owner: string | null): void {
    if (change === 0) return
    this.bytes += change
    this.#hold(owner, 'bytes', change)
    this.#whole?.countBytes(change, owner)
  }

  /** What this part counts does not count in the whole any more, whatever becomes of it. */
  close(): void {
    const whole = this.#whole
    if (whole === null) return
    this.#whole = null
    whole.groups -= this.groups
    whole.members -= this.members
    whole.offsets -= this.offsets
    whole.bytes -= this.bytes
    for (const [state, count] of this.states) whole.#countState(-count, state)
    for (const [owner, { groups, members, offsets, bytes }] of this.#holdings) {
      whole.#hold(owner, 'groups', -groups)
      whole.#hold(owner, 'members', -members)
      whole.#hold(owner, 'offsets', -offsets)
      whole.#hold(owner, 'bytes', -bytes)
    }
  }

  #countState(change: number, state: string): void {
    const count = (this.states.get(state) ?? 0) + change
    if (count === 0) this.states.delete(state)
    else this.states.set(state, count)
  }

  #hold(owner: string | null, kind: keyof ClientHoldings, change: number): void {
    if (owner === null || change === 0) return
    let holdings = this.#holdings.get(owner)
    if (holdings === undefined) {
      holdings = { groups: 0, members: 0, offsets: 0, bytes: 0 }
      this.#holdings.set(owner, holdings)
    }
    holdings[kind] += change
    const { groups, members, offsets, bytes } = holdings
    if (groups === 0 && members === 0 && offsets === 0 && bytes === 0) this.#holdings.delete(owner)
  }
}
