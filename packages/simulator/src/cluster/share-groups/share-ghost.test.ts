import { describe, expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { checkDeadLetters } from './dead-letters.ts'
import type { SentFetch } from './lost-fetches.ts'
import { type MemberSession, ShareGhost } from './share-ghost.ts'

const LEADER = 'node 0 in life 1 and epoch 1'

/** Two members and what they are given, at moments of virtual time. */
class Shop {
  readonly world = new World(1)
  readonly ghost: ShareGhost
  readonly one: MemberSession = { member: 'one', isOver: false }
  readonly other: MemberSession = { member: 'other', isOver: false }

  constructor(deliveryLimit = 3) {
    this.ghost = new ShareGhost(this.world, { lockMs: 2_000, deliveryLimit })
  }

  pass(ms: number): void {
    this.world.schedule(ms, 'test', -1, () => undefined)
    this.world.step()
  }

  /** A record is given away, asked for just now. */
  give(session: MemberSession, offset: number, count: number, leader: string | null = LEADER): void {
    const acquisition = { partition: 0, first: offset, last: offset, count }
    this.ghost.onAcquired({ session, sentMs: this.world.nowMs }, leader, acquisition)
  }

  /** A request leaves, and nobody hears the answer. */
  lose(partition: number): SentFetch {
    const fetch = { sentMs: this.world.nowMs, partitions: new Set([partition]) }
    this.ghost.lostFetches.onSent(fetch)
    return fetch
  }

  /** The session goes on. */
  prove(session: MemberSession): void {
    this.ghost.onSessionProven(session, this.world.nowMs)
  }

  proveBoth(): void {
    this.prove(this.one)
    this.prove(this.other)
  }
}

describe('ShareGhost', () => {
  it('finds a record that two hold at once (H1)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 1)
    shop.pass(1_000)
    shop.give(shop.other, 7, 2)
    shop.prove(shop.one)
    expect(() => shop.prove(shop.other)).toThrow('H1')
  })

  it('bears with one whose lock ran out, was let go, or whose session ended', () => {
    const late = new Shop()
    late.give(late.one, 7, 1)
    late.pass(1_900)
    late.give(late.other, 7, 2)
    expect(() => late.proveBoth()).not.toThrow()
    const released = new Shop()
    released.give(released.one, 7, 1)
    released.ghost.onSaid(released.one, 0, 7, 'release')
    released.give(released.other, 7, 2)
    expect(() => released.proveBoth()).not.toThrow()
    const gone = new Shop()
    gone.give(gone.one, 7, 1)
    gone.give(gone.other, 7, 2)
    gone.ghost.onSessionEnd(gone.one)
    expect(() => gone.prove(gone.other)).not.toThrow()
    const forgotten = new Shop()
    forgotten.give(forgotten.one, 7, 1)
    forgotten.ghost.onForgotten(forgotten.one, 0)
    forgotten.give(forgotten.other, 7, 2)
    expect(() => forgotten.proveBoth()).not.toThrow()
  })

  it('bears with what another leader gives, who does not know what was held, and with what nobody knows of', () => {
    const moved = new Shop()
    moved.give(moved.one, 7, 1)
    moved.give(moved.other, 7, 2, 'node 1 in life 1 and epoch 2')
    expect(() => moved.proveBoth()).not.toThrow()
    const unknown = new Shop()
    unknown.give(unknown.one, 7, 1)
    unknown.give(unknown.other, 7, 2, null)
    expect(() => unknown.proveBoth()).not.toThrow()
  })

  it('finds a record that is given away after it was done with (H2)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 1)
    shop.ghost.onSaid(shop.one, 0, 7, 'accept')
    shop.pass(10)
    // Asked for before the answer.
    shop.give(shop.other, 7, 2)
    shop.ghost.onTaken(0, 7, 'accept', { untilMs: 1_800, count: 1 })
    shop.pass(10)
    expect(() => shop.give(shop.other, 7, 3, null)).not.toThrow()
    const again = new Shop()
    again.give(again.one, 7, 1)
    again.ghost.onTaken(0, 7, 'reject', again.ghost.onSaid(again.one, 0, 7, 'reject'))
    again.pass(10)
    expect(() => again.give(again.other, 7, 2)).toThrow('H2')
    const released = new Shop()
    released.ghost.onTaken(0, 7, 'release', { untilMs: 1_800, count: 1 })
    released.pass(10)
    expect(() => released.give(released.other, 7, 2)).not.toThrow()
  })

  it('takes the answer to what was said too late for no more than it is (H2)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 1)
    shop.pass(1_900)
    shop.ghost.onTaken(0, 7, 'accept', shop.ghost.onSaid(shop.one, 0, 7, 'accept'))
    shop.pass(10)
    expect(() => shop.give(shop.other, 7, 2)).not.toThrow()
  })

  it('finds deliveries beyond the limit, and those that were not counted (H3)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 3)
    expect(() => shop.give(shop.one, 7, 4)).toThrow('H3')
    expect(() => shop.give(shop.one, 8, 0)).toThrow('H3')
    expect(() => shop.give(shop.one, 7, 3)).toThrow('H3')
    // After a failure it may be that the count was not stored.
    shop.world.fault('kill', 0)
    expect(() => shop.give(shop.one, 7, 3)).not.toThrow()
  })

  it('finds a delivery that has the number of one that was stored as over, whoever leads (H3)', () => {
    const shop = new Shop()
    shop.world.fault('kill', 0)
    shop.give(shop.one, 7, 2)
    shop.ghost.onTaken(0, 7, 'release', shop.ghost.onSaid(shop.one, 0, 7, 'release'))
    shop.pass(10)
    const next = 'node 1 in life 1 and epoch 2'
    expect(() => shop.give(shop.other, 7, 1, next)).toThrow('H3')
    expect(() => shop.give(shop.other, 7, 2, next)).toThrow('H3')
    // Of a leader that was replaced nobody knows what it has heard.
    expect(() => shop.give(shop.other, 7, 1, null)).not.toThrow()
    expect(() => shop.give(shop.other, 7, 3, next)).not.toThrow()
    // Said too late, the answer says nothing of the record.
    const late = new Shop()
    late.world.fault('kill', 0)
    late.give(late.one, 7, 2)
    late.pass(1_900)
    late.ghost.onTaken(0, 7, 'release', late.ghost.onSaid(late.one, 0, 7, 'release'))
    late.pass(10)
    expect(() => late.give(late.other, 7, 1, next)).not.toThrow()
  })

  it('finds a record that was given up for nothing (H4)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 2)
    expect(() => shop.ghost.checkDone(0, [7])).toThrow('H4')
    shop.give(shop.one, 7, 3)
    expect(() => shop.ghost.checkDone(0, [7])).not.toThrow()
    shop.give(shop.one, 8, 1)
    shop.ghost.onSaid(shop.one, 0, 8, 'accept')
    expect(() => shop.ghost.checkDone(0, [8])).not.toThrow()
    expect(() => shop.ghost.checkDone(0, [9])).toThrow('H4')
  })

  it('counts what a session was told after it was over as a delivery (H4)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 2)
    shop.ghost.onAcquiredTooLate({ partition: 0, first: 7, last: 7, count: 3 })
    expect(() => shop.ghost.checkDone(0, [7])).not.toThrow()
  })

  it('bears with a last delivery that nobody was told of, where a request without an answer may have got it (H4)', () => {
    const shop = new Shop()
    shop.give(shop.one, 7, 2)
    shop.pass(1_000)
    const lost = shop.lose(0)
    expect(() => shop.ghost.checkDone(0, [7])).not.toThrow()
    // As many deliveries as are missing, and no fewer requests.
    shop.give(shop.one, 8, 1)
    expect(() => shop.ghost.checkDone(0, [8])).toThrow('H4')
    shop.lose(0)
    expect(() => shop.ghost.checkDone(0, [8])).not.toThrow()
    shop.ghost.lostFetches.onAnswered(lost)
    expect(() => shop.ghost.checkDone(0, [8])).toThrow('H4')
    expect(() => shop.ghost.checkDone(0, [7])).not.toThrow()
  })

  it('is not silenced by requests that were lost long before, or asked for another partition (H4)', () => {
    const shop = new Shop()
    for (let count = 0; count < 5; count++) shop.lose(0)
    shop.pass(30_000)
    shop.give(shop.one, 7, 2)
    shop.pass(1_000)
    for (let count = 0; count < 5; count++) shop.lose(1)
    expect(() => shop.ghost.checkDone(0, [7])).toThrow('H4')
    // By a leader that was not the only one: there may be deliveries of another that came before.
    shop.give(shop.one, 8, 2, null)
    expect(() => shop.ghost.checkDone(0, [8])).not.toThrow()
  })

  it('finds more records that were given up than requests that may have got them the last time (H4)', () => {
    const shop = new Shop()
    for (const offset of [7, 8, 9]) shop.give(shop.one, offset, 2)
    shop.lose(0)
    shop.lose(0)
    expect(() => shop.ghost.checkDone(0, [7, 8])).not.toThrow()
    expect(() => shop.ghost.checkDone(0, [7, 8, 9])).toThrow('H4: 3 records of partition 0')
    // Those that were lost before count for the earlier ones alone.
    shop.pass(30_000)
    for (const offset of [10, 11]) shop.give(shop.one, offset, 2)
    shop.lose(0)
    expect(() => shop.ghost.checkDone(0, [7, 8, 10])).not.toThrow()
    expect(() => shop.ghost.checkDone(0, [7, 10, 11])).toThrow('H4: 2 records of partition 0')
  })

  it('knows that a limit of two deliveries keeps records together to the last (H4)', () => {
    const shop = new Shop(2)
    for (const offset of [7, 8, 9]) shop.give(shop.one, offset, 1)
    shop.lose(0)
    expect(() => shop.ghost.checkDone(0, [7, 8, 9])).not.toThrow()
  })

  it('finds a record that was given up without a dead letter (H5)', () => {
    const shop = new Shop()
    shop.ghost.onSaid(shop.one, 0, 7, 'reject')
    shop.ghost.onSaid(shop.one, 0, 8, 'accept')
    const acked = new Map([[0, new Set([7, 8])]])
    expect(() => checkDeadLetters(shop.world, shop.ghost, acked, new Map())).toThrow('H5')
    expect(() => checkDeadLetters(shop.world, shop.ghost, acked, new Map([[0, new Set([7])]]))).not.toThrow()
  })
})
