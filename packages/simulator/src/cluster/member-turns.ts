import type { RandomStream } from '../world/random-stream.ts'
import type { ClientHost } from './client-host.ts'

const LIFE_MS = 14_000
const ABSENCE_MS = 1_500

/** A member of a group, as its coming and going sees it. */
export interface TransientMember {
  readonly isDead: boolean
  /** Works until the time has come, or `isOver`, or it is dead. */
  live(untilMs: number, isOver: () => boolean): Promise<void>
  /** Leaves the group, unless it is dead; then it is gone. */
  leave(): Promise<void>
  die(): void
}

/** One place in a group, which members take by turns. */
export interface MemberSlot<Member extends TransientMember> {
  /** Of its course, among the clients of the host. */
  readonly name: string
  readonly host: ClientHost
  readonly random: RandomStream
  /** How likely a member may die before it leaves. */
  readonly deathShare: number
  /** No further members, and nobody dies from now on. */
  isOver(): boolean
  /** A new member, which is counted among those of the group. */
  enter(): Member
  /** It is gone. */
  onGone(member: Member): void
}

/** One member after the other, each for a while: it leaves, or dies. The last one stays, unless it is dead. */
export async function takeTurns<Member extends TransientMember>(slot: MemberSlot<Member>): Promise<void> {
  const { host, random, deathShare } = slot
  const { loop } = host.seat(slot.name)
  const isOver = () => slot.isOver()
  for (;;) {
    const member = slot.enter()
    const die = () => {
      if (!slot.isOver()) member.die()
    }
    const death = random.chance(deathShare) ? loop.after(random.exponential(LIFE_MS), 'death', die) : null
    await member.live(host.world.nowMs + random.exponential(LIFE_MS), isOver)
    death?.cancel()
    if (slot.isOver() && !member.isDead) return
    await member.leave()
    slot.onGone(member)
    await host.pass(loop, random.exponential(ABSENCE_MS), 'absence')
    if (slot.isOver()) return
  }
}
