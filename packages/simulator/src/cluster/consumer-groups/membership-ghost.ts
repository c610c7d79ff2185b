import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'

/** Partitions as `topic/partition`. */
export type Place = string

/** Something a member sent: when, and who coordinated then (null: nobody knows). */
export interface Sending {
  readonly sentMs: number
  readonly coordinator: string | null
}

/** A heartbeat of the newer protocol that left a member. */
export interface SentHeartbeat extends Sending {
  readonly memberId: string
  readonly instanceId: string | null
  /** 0: joins; negative: leaves. */
  readonly memberEpoch: number
  /** What it says that it owns; null: as it said before. */
  readonly owned: readonly Place[] | null
  /** -1: as before. */
  readonly rebalanceTimeoutMs: number
}

/** What a coordinator answered: in the newer protocol an epoch, in the classic one a generation. */
interface ToldAssignment {
  readonly epoch: number
  /** Null: as it was. */
  readonly assignment: readonly Place[] | null
}

/** A partition that a member had, which nobody will take its commits of any more under that epoch. */
export interface VoidClaim {
  readonly memberId: string
  readonly epoch: number
  readonly place: Place
}

/** What the coordinator and one member know of each other, as they said it. */
interface Stay {
  readonly memberId: string
  instanceId: string | null
  isClassic: boolean
  /** Last epoch or generation that it was told; -1: none. */
  epoch: number
  /** What it was told to own, last. */
  told: ReadonlySet<Place>
  /** What it was told to own and has not said to have given up, each with the epoch in which it was given it. */
  readonly held: Map<Place, number>
  /** The coordinator has heard of it at this time or later, for sure. */
  sureMs: number
  /** At this time or later it owed nothing that it had to give up, for sure. */
  settledMs: number
  rebalanceTimeoutMs: number
  /** It left, or was told that the group goes on without it. */
  isOut: boolean
  /** Counts joins and leaves: an answer to something of before says nothing. */
  ordinal: number
  /** Last epochs under which it had partitions that it has given up since. */
  readonly given: Map<Place, number>
}

/** A broker that starts cannot be seen, and what it may coordinate meanwhile: deadlines are taken to pass so much earlier. */
const SLACK_MS = 1_000

/**
 * G1 by what members of one group were told, on the wire: a partition is told to one member at a time. A member has it from the answer that
 * tells it until it sends a heartbeat (or, by the classic protocol, a join) that does not list it, leaves, or is told that it is no member. A
 * member of which the coordinator has heard nothing for a session, or that has not given up in time, may have been thrown out without
 * its knowing: then nothing is judged of it. Epochs that a member is told do not go back.
 *
 * Only answers are judged before and after which the same node, and nobody else, coordinated: one that has been replaced without its
 * knowing tells what once was true.
 */
export class MembershipGhost {
  readonly #world: World
  readonly #sessionTimeoutMs: number
  readonly #stays = new Map<string, Stay>()
  readonly #claims: VoidClaim[] = []

  constructor(world: World, sessionTimeoutMs: number) {
    this.#world = world
    this.#sessionTimeoutMs = sessionTimeoutMs
  }

  /** Which stay an answer belongs to: hand it back with the answer. */
  onHeartbeatSent(heartbeat: SentHeartbeat): number {
    const { memberId, instanceId, memberEpoch, owned, rebalanceTimeoutMs } = heartbeat
    const stay = this.#stayOf(memberId, instanceId)
    if (memberEpoch === 0) this.#begin(stay, false)
    else if (memberEpoch < 0) this.#end(stay)
    else if (owned !== null) this.#keepOnly(stay, owned)
    if (rebalanceTimeoutMs >= 0) stay.rebalanceTimeoutMs = rebalanceTimeoutMs
    return stay.ordinal
  }

  /** The member may go on: it was told an epoch. `coordinator`: now. */
  onHeartbeatTold(sent: SentHeartbeat, ordinal: number, told: ToldAssignment, coordinator: string | null): void {
    const stay = this.#stays.get(sent.memberId)!
    if (stay.ordinal !== ordinal || sent.memberEpoch < 0) return
    this.#onTold(stay, sent, told, coordinator)
  }

  /** The classic protocol: a member that has an id asks to be let into the next generation, with what it owns. */
  onJoinSent(memberId: string, instanceId: string | null, owned: readonly Place[], rebalanceTimeoutMs: number): number {
    const stay = this.#stayOf(memberId, instanceId)
    if (stay.isOut) {
      this.#begin(stay, true)
      stay.told = new Set(owned)
    }
    this.#keepOnly(stay, owned)
    stay.rebalanceTimeoutMs = rebalanceTimeoutMs
    return stay.ordinal
  }

  /** The classic protocol: somebody without an id comes with an instance id, and takes the place of whoever has it. */
  onInstanceJoins(instanceId: string): void {
    for (const stay of this.#stays.values()) if (stay.instanceId === instanceId) this.#end(stay)
  }

  /** It was given an id by a join, and sent a SyncGroup for what it gets. */
  onSyncSent(memberId: string, instanceId: string | null): number {
    const stay = this.#stayOf(memberId, instanceId)
    if (stay.isOut) this.#begin(stay, true)
    return stay.ordinal
  }

  onSyncTold(memberId: string, ordinal: number, sent: Sending, told: ToldAssignment, coordinator: string | null): void {
    const stay = this.#stays.get(memberId)!
    if (stay.ordinal === ordinal) this.#onTold(stay, sent, told, coordinator)
  }

  /** A heartbeat of the classic protocol found the member in its group. `isRebalancing`: it is to join again. */
  onClassicAlive(memberId: string, sent: Sending, isRebalancing: boolean, coordinator: string | null): void {
    const stay = this.#stays.get(memberId)
    if (stay === undefined || stay.isOut || !isSure(sent, coordinator)) return
    stay.sureMs = Math.max(stay.sureMs, sent.sentMs)
    if (!isRebalancing && owesNothing(stay)) stay.settledMs = Math.max(stay.settledMs, sent.sentMs)
  }

  /** It leaves by the classic protocol. */
  onLeaveSent(memberId: string): void {
    const stay = this.#stays.get(memberId)
    if (stay !== undefined) this.#end(stay)
  }

  /** It was told that the group goes on without it. */
  onRefused(memberId: string): void {
    const stay = this.#stays.get(memberId)
    if (stay !== undefined) this.#end(stay)
  }

  /** What it was told to own, and what it has not said to have given up: what it reads is among that. Null: it is out, or nobody knows. */
  readableBy(memberId: string): ReadonlySet<Place> | null {
    const stay = this.#stays.get(memberId)
    return stay === undefined || stay.isOut ? null : new Set([...stay.told, ...stay.held.keys()])
  }

  /** Partitions that members had under epochs which they have left behind: each is given once. */
  takeVoidClaims(): VoidClaim[] {
    const isVoid = ({ memberId, epoch, place }: VoidClaim): boolean => {
      const stay = this.#stays.get(memberId)!
      return stay.isOut || (stay.epoch > epoch && (stay.held.get(place) ?? Number.POSITIVE_INFINITY) > epoch)
    }
    return this.#claims.splice(0).filter(isVoid)
  }

  #stayOf(memberId: string, instanceId: string | null): Stay {
    let stay = this.#stays.get(memberId)
    if (stay === undefined) {
      stay = {
        memberId,
        instanceId,
        isClassic: false,
        epoch: -1,
        told: NOTHING,
        held: new Map(),
        sureMs: Number.NEGATIVE_INFINITY,
        settledMs: Number.NEGATIVE_INFINITY,
        rebalanceTimeoutMs: 0,
        isOut: true,
        ordinal: 0,
        given: new Map(),
      }
      this.#stays.set(memberId, stay)
    }
    return stay
  }

  #begin(stay: Stay, isClassic: boolean): void {
    this.#giveUp(stay)
    stay.ordinal++
    stay.isOut = false
    stay.isClassic = isClassic
    stay.epoch = -1
    const { instanceId } = stay
    if (instanceId === null) return
    // By the classic protocol whoever comes with the same instance id takes the place of the other; by the newer one it is refused.
    for (const other of this.#stays.values()) {
      if (other !== stay && other.instanceId === instanceId && (isClassic || other.isClassic)) this.#end(other)
    }
  }

  #end(stay: Stay): void {
    this.#giveUp(stay)
    stay.ordinal++
    stay.isOut = true
  }

  #giveUp(stay: Stay): void {
    for (const place of stay.held.keys()) stay.given.set(place, stay.epoch)
    stay.held.clear()
    stay.told = NOTHING
  }

  #keepOnly(stay: Stay, owned: readonly Place[]): void {
    const kept = new Set(owned)
    for (const place of stay.held.keys()) {
      if (kept.has(place)) continue
      stay.held.delete(place)
      stay.given.set(place, stay.epoch)
    }
  }

  #onTold(stay: Stay, sent: Sending, { epoch, assignment }: ToldAssignment, coordinator: string | null): void {
    if (assignment !== null) stay.told = new Set(assignment)
    if (!isSure(sent, coordinator)) {
      this.#world.mark('membership told while two coordinate, or nobody')
      return
    }
    // The member was stopped, or cut off: by the time it hears the answer it may have been thrown out.
    if (this.#world.nowMs >= this.#endOf(sent.sentMs, sent.sentMs, stay.rebalanceTimeoutMs)) return
    this.#world.judge('G1')
    must(epoch >= stay.epoch, 'G1', () => `member ${stay.memberId} is in epoch ${epoch} after ${stay.epoch}`)
    stay.epoch = epoch
    stay.sureMs = Math.max(stay.sureMs, sent.sentMs)
    if (owesNothing(stay)) stay.settledMs = Math.max(stay.settledMs, sent.sentMs)
    for (const place of stay.told) this.#hold(stay, place)
    this.#noteClaims(stay)
  }

  #hold(stay: Stay, place: Place): void {
    if (stay.held.has(place)) return
    for (const other of this.#stays.values()) {
      if (other === stay || !other.held.has(place)) continue
      this.#world.judge('G1')
      must(!this.#isSurelyIn(other), 'G1', () => {
        return `${place} is told to ${stay.memberId} in epoch ${stay.epoch}; ${other.memberId} has it since epoch ${other.held.get(place)}`
      })
    }
    stay.held.set(place, stay.epoch)
    // Whether the coordinator ever took it away is not known: commits under the earlier epoch may be right.
    stay.given.delete(place)
  }

  /** Whether the coordinator cannot have thrown it out by now. */
  #isSurelyIn({ sureMs, settledMs, rebalanceTimeoutMs }: Stay): boolean {
    return this.#world.nowMs < this.#endOf(sureMs, settledMs, rebalanceTimeoutMs)
  }

  #endOf(sureMs: number, settledMs: number, rebalanceTimeoutMs: number): number {
    return Math.min(sureMs + this.#sessionTimeoutMs, settledMs + rebalanceTimeoutMs) - SLACK_MS
  }

  /** What it gave up under an epoch that it has left: static members may get it back under the same epochs, so they are left out. */
  #noteClaims(stay: Stay): void {
    if (stay.isClassic || stay.instanceId !== null) return
    for (const [place, epoch] of stay.given) {
      if (epoch < 0 || epoch >= stay.epoch) continue
      this.#claims.push({ memberId: stay.memberId, epoch, place })
      stay.given.delete(place)
    }
  }
}

const NOTHING: ReadonlySet<Place> = new Set()

function isSure({ coordinator: before }: Sending, coordinator: string | null): boolean {
  return before !== null && before === coordinator
}

function owesNothing({ held, told }: Stay): boolean {
  for (const place of held.keys()) if (!told.has(place)) return false
  return true
}
