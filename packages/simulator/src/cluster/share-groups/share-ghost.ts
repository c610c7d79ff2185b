import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import { LostFetches } from './lost-fetches.ts'

/** One member's session with one node: what is acquired in it is the member's as long as it lasts. */
export interface MemberSession {
  readonly member: string
  isOver: boolean
}

/** What an answer gave away: `[first, last]` of a partition, delivered for the `count`th time. */
export interface Acquisition {
  readonly partition: number
  readonly first: number
  readonly last: number
  readonly count: number
}

/** A request in a session, and when it left. */
export interface ShareSending {
  readonly session: MemberSession
  readonly sentMs: number
}

export type Verdict = 'accept' | 'release' | 'reject'

/** What a member held when it said something of it. */
export interface Held {
  /** Until then it surely held it. */
  readonly untilMs: number
  /** The delivery's number. */
  readonly count: number
}

const NOTHING_HELD: Held = { untilMs: Number.NEGATIVE_INFINITY, count: 0 }

/** What the group goes by. */
interface ShareRules {
  readonly lockMs: number
  readonly deliveryLimit: number
}

interface Hold {
  readonly session: MemberSession
  readonly sentMs: number
  /** The delivery's number. */
  readonly count: number
  /** Who led from the request to the answer; null: not one node all the time. */
  readonly leader: string | null
  /** The member has said something of the record, or given the partition up. */
  isOver: boolean
}

/** A record that two have at once, unless one of their sessions was over by then: the next answer in each tells. */
interface Conflict {
  readonly atMs: number
  readonly text: string
  readonly unproven: Set<MemberSession>
}

/** What is known of one record. */
interface RecordFate {
  holds: Hold[]
  /** Highest count that anybody was told. */
  maxCount: number
  /** Highest count that the only leader told, and when it was first asked for that delivery: all with higher counts came later. */
  sureCount: number
  sureMs: number
  /** Counts that were told while nothing was wrong with anything. */
  readonly counts: Set<number>
  isAccepted: boolean
  isRejected: boolean
  /** The last delivery that ended with a release that was told to be taken, which is stored by then; and since when. */
  releasedCount: number
  releasedMs: number
  /** From then on it must not be delivered: somebody was told that it is done with. */
  doneMs: number
}

/** Holds are taken to end so much earlier. */
const SLACK_MS = 200

/** With more deliveries than these allowed, the last one is of a single record (KIP-932: what nobody can process is to spoil no others). */
const UNDIVIDED_LIMIT = 2

/**
 * What members of one share group were given, on the wire (KIP-932). H1: while a member holds a record nobody else is given it. A hold lasts for
 * the lock's time from the request on that acquired it, unless the member says something of the record, its session ends, or the partition
 * gets another leader: holds are not stored. Whether a session lasted is only known from a later answer in it, so a record that two seem to
 * hold is kept in mind until both sessions have one. H2: what its
 * holder accepted or rejected, and was answered so, is never given away again. H3: no
 * delivery is beyond the limit, none has the number of another as long as no fault has struck, and whoever leads goes on with the numbers
 * behind a release that was answered as taken. H4: nothing is given up before the
 * limit; deliveries that nobody was told of count as far as there were requests that may have got them.
 *
 * Deliveries by a leader that was replaced, or of which nobody knows, are not judged by H1 and H2: it has not heard what the other did.
 */
export class ShareGhost {
  readonly #world: World
  readonly #rules: ShareRules
  readonly #fates = new Map<string, RecordFate>()
  readonly #conflicts = new Set<Conflict>()
  readonly lostFetches = new LostFetches()

  constructor(world: World, rules: ShareRules) {
    this.#world = world
    this.#rules = rules
  }

  /** An answer to a request gave records away. `leader`: the same, when it left and now; null otherwise. */
  onAcquired(sent: ShareSending, leader: string | null, acquisition: Acquisition): void {
    const { partition, first, last, count } = acquisition
    const { deliveryLimit } = this.#rules
    this.#world.judge('H3')
    must(count >= 1 && count <= deliveryLimit, 'H3', () => {
      return `records ${first} to ${last} of partition ${partition} are delivered for the ${count}th time; the limit is ${deliveryLimit}`
    })
    if (count > 1) this.#world.mark('shared record delivered again')
    for (let offset = first; offset <= last; offset++) this.#onDelivered(sent, leader, partition, offset, count)
  }

  /** The same in a session that was over when it was told: nobody holds anything by it, and it counts as a delivery. */
  onAcquiredTooLate({ partition, first, last, count }: Acquisition): void {
    for (let offset = first; offset <= last; offset++) {
      const fate = this.#fateOf(partition, offset)
      fate.maxCount = Math.max(fate.maxCount, count)
    }
  }

  /** A member says something of a record: it does not hold it any more. Gives what it held. */
  onSaid(session: MemberSession, partition: number, offset: number, verdict: Verdict): Held {
    const fate = this.#fateOf(partition, offset)
    if (verdict === 'accept') fate.isAccepted = true
    if (verdict === 'reject') fate.isRejected = true
    const hold = fate.holds.find((one) => one.session === session && !one.isOver)
    if (hold === undefined) return NOTHING_HELD
    hold.isOver = true
    return { untilMs: this.#endOf(hold.sentMs), count: hold.count }
  }

  /**
   * It was answered that this was taken, of a record that was surely held until then. Of one that was not, the answer says no more than
   * that the leader is done with it, which may not be stored: what lies before all that is open is passed over.
   */
  onTaken(partition: number, offset: number, verdict: Verdict, held: Held): void {
    this.#world.mark(`shared record: ${verdict} taken`)
    const { nowMs } = this.#world
    if (nowMs >= held.untilMs) return
    const fate = this.#fateOf(partition, offset)
    if (verdict !== 'release') {
      fate.doneMs = Math.min(fate.doneMs, nowMs)
    } else if (held.count > fate.releasedCount) {
      fate.releasedCount = held.count
      fate.releasedMs = nowMs
    }
  }

  /** The partition is not in the session any more. */
  onForgotten(session: MemberSession, partition: number): void {
    for (const [key, { holds }] of this.#fates) {
      if (!key.startsWith(`${partition}/`)) continue
      for (const hold of holds) if (hold.session === session) hold.isOver = true
    }
  }

  onSessionEnd(session: MemberSession): void {
    session.isOver = true
    for (const conflict of this.#conflicts) if (conflict.unproven.has(session)) this.#conflicts.delete(conflict)
  }

  /** A request of the session that left then had a good answer: the session lasted until then at least. */
  onSessionProven(session: MemberSession, sentMs: number): void {
    for (const conflict of this.#conflicts) {
      if (sentMs < conflict.atMs || !conflict.unproven.delete(session)) continue
      must(conflict.unproven.size > 0, 'H1', () => conflict.text)
    }
  }

  /** Whether anybody said that it is accepted, heard or not. */
  wasAccepted(partition: number, offset: number): boolean {
    return this.#fateOf(partition, offset).isAccepted
  }

  /**
   * H4: records that are done with were accepted, or rejected, or were delivered as often as they may be. Each delivery that nobody was
   * told of needs a request without an answer that came after the last one that is known.
   */
  checkDone(partition: number, offsets: Iterable<number>): void {
    const { deliveryLimit } = this.#rules
    const lostSince: number[] = []
    for (const offset of offsets) {
      const { isAccepted, isRejected, maxCount, sureMs } = this.#fateOf(partition, offset)
      this.#world.judge('H4')
      if (isAccepted || isRejected) continue
      this.#world.mark('shared record given up at the limit')
      if (maxCount >= deliveryLimit) continue
      must(maxCount + this.lostFetches.countSince(partition, sureMs) >= deliveryLimit, 'H4', () => {
        return `record ${offset} of partition ${partition} is done with: nobody said so, and it was delivered ${maxCount} times`
      })
      this.#world.mark('last delivery of a shared record was told nobody')
      lostSince.push(sureMs)
    }
    if (deliveryLimit > UNDIVIDED_LIMIT) this.#checkLastDeliveries(partition, lostSince)
  }

  /** Of each of these records the last delivery was told nobody; it came after the given time, and no request got two of them. */
  #checkLastDeliveries(partition: number, lostSince: readonly number[]): void {
    for (const [index, sinceMs] of lostSince.toSorted((left, right) => right - left).entries()) {
      const lostCount = this.lostFetches.countSince(partition, sinceMs)
      must(index < lostCount, 'H4', () => {
        return `${index + 1} records of partition ${partition} are done with after ${sinceMs} ms: nobody said so, and ${lostCount} requests may have been their last deliveries`
      })
    }
  }

  #onDelivered(sent: ShareSending, leader: string | null, partition: number, offset: number, count: number): void {
    const { session, sentMs } = sent
    const fate = this.#fateOf(partition, offset)
    fate.maxCount = Math.max(fate.maxCount, count)
    this.#checkCount(fate, `record ${offset} of partition ${partition}`, count)
    fate.holds = fate.holds.filter((hold) => !hold.isOver && !hold.session.isOver)
    if (leader !== null) {
      if (count > fate.sureCount) {
        fate.sureCount = count
        fate.sureMs = sentMs
      }
      this.#world.judge('H2')
      must(fate.doneMs > sentMs, 'H2', () => {
        return `record ${offset} of partition ${partition} is delivered to ${session.member}; at ${fate.doneMs} ms it was done with`
      })
      this.#world.judge('H3')
      must(sentMs < fate.releasedMs || count > fate.releasedCount, 'H3', () => {
        return `record ${offset} of partition ${partition} is delivered for the ${count}th time; at ${fate.releasedMs} ms the ${fate.releasedCount}th delivery was over`
      })
      for (const hold of fate.holds) this.#compare(hold, sent, leader, `record ${offset} of partition ${partition}`)
    }
    fate.holds = fate.holds.filter((hold) => hold.session.member !== session.member)
    fate.holds.push({ session, sentMs, count, leader, isOver: false })
  }

  #checkCount(fate: RecordFate, what: string, count: number): void {
    if (this.#world.faults.size > 0) return
    must(!fate.counts.has(count), 'H3', () => `${what} is delivered twice for the ${count}th time`)
    fate.counts.add(count)
  }

  #compare(hold: Hold, { session, sentMs }: ShareSending, leader: string, what: string): void {
    if (hold.session.member === session.member || hold.leader !== leader) return
    this.#world.judge('H1')
    const { nowMs } = this.#world
    // Whichever was first, it would hold the record still.
    if (nowMs >= this.#endOf(Math.min(hold.sentMs, sentMs))) return
    const text = `${what} is delivered to ${session.member} at ${nowMs} ms; ${hold.session.member} holds it, asked for at ${hold.sentMs} ms`
    this.#conflicts.add({ atMs: nowMs, text, unproven: new Set([hold.session, session]) })
  }

  /** Until when a record is held that was asked for at this time. */
  #endOf(sentMs: number): number {
    return sentMs + this.#rules.lockMs - SLACK_MS
  }

  #fateOf(partition: number, offset: number): RecordFate {
    const key = `${partition}/${offset}`
    let fate = this.#fates.get(key)
    if (fate === undefined) {
      fate = {
        holds: [],
        maxCount: 0,
        sureCount: 0,
        sureMs: Number.NEGATIVE_INFINITY,
        counts: new Set(),
        isAccepted: false,
        isRejected: false,
        releasedCount: 0,
        releasedMs: Number.POSITIVE_INFINITY,
        doneMs: Number.POSITIVE_INFINITY,
      }
      this.#fates.set(key, fate)
    }
    return fate
  }
}
