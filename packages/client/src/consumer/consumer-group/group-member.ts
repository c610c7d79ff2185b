import type { Uuid } from '@millrace/base'

/** Partitions by topic id, as the protocol names them. */
export type IdAssignment = ReadonlyMap<Uuid, readonly number[]>

/**
 * `outside`: not in the group. `joining`: asks to be let in. `stable`: owns what the group wants it to. `reconciling`: the group wants it
 * to own something else, which `poll` has to do. `acknowledging`: that was done, and the group has to hear of it. `fenced`: the group went
 * on without it; what it owns is lost, and has to be dropped before it joins anew.
 */
export type MemberStatus = 'outside' | 'joining' | 'stable' | 'reconciling' | 'acknowledging' | 'fenced'

/** What a member wants of its group. */
export interface MemberWishes {
  topics: readonly string[]
  /** RE2 text that the brokers match; null for none. */
  pattern: string | null
  serverAssignor: string | null
  rackId: string
  rebalanceTimeoutMs: number
}

/** The fields of a ConsumerGroupHeartbeat, null (or -1) where nothing has changed since the last that was answered. */
export interface HeartbeatFields {
  memberEpoch: number
  rackId: string | null
  rebalanceTimeoutMs: number
  subscribedTopicNames: string[] | null
  subscribedTopicRegex: string | null
  serverAssignor: string | null
  owned: IdAssignment | null
}

/** What an answer without an error says. */
export interface HeartbeatAnswer {
  memberEpoch: number
  assignment: IdAssignment | null
}

/** Asks to be let in. */
const JOIN_EPOCH = 0
/** Leaves for good. */
export const LEAVE_EPOCH = -1
/** Leaves as a static member, which will come back. */
export const STATIC_LEAVE_EPOCH = -2

const NOTHING: IdAssignment = new Map()

/**
 * A member of a group by the newer protocol (KIP-848): what it says in its heartbeats and what answers make of it. Pure; the network is
 * around it. The group takes a partition from a member only when a heartbeat no longer lists it as owned, so that what {@link owned} says
 * must be what `poll` hands out.
 */
export class GroupMember {
  #status: MemberStatus = 'outside'
  #epoch = JOIN_EPOCH
  /** The last epoch as a member: what is still owned is held under it, even if the group went on. */
  #heldEpoch = -1
  #target: IdAssignment = NOTHING
  /**
   * The target was another one since the last acknowledgement, though it may be what is owned by now: the group may count as owned what it
   * wanted in between, and waits to hear that it is not.
   */
  #isNews = false
  #owned: IdAssignment = NOTHING
  /** What the group has heard for sure, or has been sent in the heartbeat under way; null if it must hear everything. */
  #heard: { topics: string; pattern: string | null; owned: string } | null = null
  /** The group may have a pattern of this member, of which it has to be told when there is none any more. */
  #mayHavePattern = false

  get status(): MemberStatus {
    return this.#status
  }

  get epoch(): number {
    return this.#epoch
  }

  get heldEpoch(): number {
    return this.#heldEpoch
  }

  get target(): IdAssignment {
    return this.#target
  }

  get owned(): IdAssignment {
    return this.#owned
  }

  /** Whether the next heartbeat should not wait. */
  get isHurried(): boolean {
    return this.#status === 'joining' || this.#status === 'acknowledging'
  }

  /** Begins to join. Only if nothing is owned. */
  join(): void {
    this.#status = 'joining'
    this.#epoch = JOIN_EPOCH
    this.#target = NOTHING
    this.#isNews = false
    this.#owned = NOTHING
    this.#heard = null
  }

  /** What the next heartbeat says. It counts as heard unless {@link onFailure} follows. */
  heartbeat(wishes: MemberWishes): HeartbeatFields {
    const heard = this.#heard
    const topics = JSON.stringify([...wishes.topics].sort())
    const owned = textOf(this.#owned)
    this.#heard = { topics, pattern: wishes.pattern, owned }
    const isFull = heard === null
    // One that joins may take the place of a static member, or of itself, whose pattern the group would keep.
    if (wishes.pattern !== null || this.#epoch === JOIN_EPOCH) this.#mayHavePattern = true
    const patternChanged = isFull ? this.#mayHavePattern : heard.pattern !== wishes.pattern
    const fields: HeartbeatFields = {
      memberEpoch: this.#epoch,
      rackId: isFull && wishes.rackId !== '' ? wishes.rackId : null,
      rebalanceTimeoutMs: isFull ? wishes.rebalanceTimeoutMs : -1,
      subscribedTopicNames: isFull || heard.topics !== topics ? [...wishes.topics].sort() : null,
      // Empty: there is no pattern any more.
      subscribedTopicRegex: patternChanged ? (wishes.pattern ?? '') : null,
      serverAssignor: isFull ? wishes.serverAssignor : null,
      owned: isFull || heard.owned !== owned || this.#status === 'acknowledging' ? this.#owned : null,
    }
    if (this.#status === 'acknowledging') this.#settle()
    return fields
  }

  /** A good answer to a heartbeat of this membership. */
  onAnswer({ memberEpoch, assignment }: HeartbeatAnswer): void {
    if (this.#status === 'outside' || this.#status === 'fenced' || memberEpoch < 0) return
    this.#epoch = memberEpoch
    this.#heldEpoch = memberEpoch
    if (assignment !== null) {
      this.#isNews ||= textOf(assignment) !== textOf(this.#target)
      this.#target = assignment
    }
    if (this.#status !== 'acknowledging') this.#settle()
  }

  /** Nobody knows what the group has heard: the next heartbeat says everything. */
  onFailure(): void {
    this.#heard = null
  }

  /** The group does not know this member any more. */
  onFenced(): void {
    if (this.#status === 'outside') return
    this.#status = 'fenced'
    this.#epoch = JOIN_EPOCH
    this.#target = NOTHING
    this.#heard = null
  }

  /** `poll` has made these the owned ones: as far as topics are known, those of {@link target}. */
  acknowledge(owned: IdAssignment): void {
    if (this.#status === 'outside' || this.#status === 'fenced') return
    this.#owned = owned
    this.#isNews = false
    this.#status = 'acknowledging'
  }

  /** What was owned is dropped. */
  drop(): void {
    this.#owned = NOTHING
    this.#heldEpoch = -1
  }

  /** It is no member any more, by its own will. */
  leave(): void {
    this.#status = 'outside'
    this.#epoch = JOIN_EPOCH
    this.#target = NOTHING
    this.#heard = null
  }

  #settle(): void {
    const isOwned = textOf(this.#target) === textOf(this.#owned)
    this.#status = isOwned && !this.#isNews ? 'stable' : 'reconciling'
  }
}

/** Equal for equal assignments. */
function textOf(assignment: IdAssignment): string {
  const topics = [...assignment].filter(([, partitions]) => partitions.length > 0)
  return JSON.stringify(topics.map(([id, partitions]) => [id, [...partitions].sort((a, b) => a - b)]).sort())
}
