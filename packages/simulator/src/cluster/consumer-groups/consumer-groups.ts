import { Admin, Consumer } from '@millrace/client'
import { must } from '../../world/violation.ts'
import { GroupGhost } from '../group-ghost.ts'
import { topicNameOf } from '../leader-view.ts'
import { type MemberSlot, takeTurns } from '../member-turns.ts'
import type { SideKind, SideStage, SideWorkload } from '../side-workload.ts'
import { convergenceComplaint } from './convergence.ts'
import { Fleet } from './fleet.ts'
import { GroupLook } from './group-look.ts'
import { GROUP, GroupMember, type GroupWorld, HEARTBEAT_MS, type MemberPlan, SESSION_MS } from './group-member.ts'
import { commitLate } from './late-commits.ts'
import { MembershipGhost, type VoidClaim } from './membership-ghost.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
const SLOTS = 3
const LOOK_EVERY_MS = 400
const LATE_EVERY_MS = 800
/** Left in peace, the group is settled within this, and everything is read. */
const SETTLE_MS = 90_000
const SETTLE_LOOK_MS = 500

/** Members of one group by KIP-848, some of them by the classic protocol in some seeds, that come, go, die and want something else. */
export const consumerGroups: SideKind = {
  settings: {
    'group.consumer.session.timeout.ms': String(SESSION_MS),
    'group.consumer.min.session.timeout.ms': String(SESSION_MS),
    'group.consumer.heartbeat.interval.ms': String(HEARTBEAT_MS),
    'group.consumer.min.heartbeat.interval.ms': String(HEARTBEAT_MS),
  },
  create: (stage) => new ConsumerGroups(stage),
}

class ConsumerGroups implements SideWorkload {
  readonly name = 'consumer groups'
  readonly #stage: SideStage
  readonly #fleet: Fleet
  readonly #ghost: MembershipGhost
  readonly #world: GroupWorld
  readonly #look: GroupLook
  /** Members of both protocols. */
  readonly #isMixed: boolean
  readonly #members = new Set<GroupMember>()
  #claims: VoidClaim[] = []
  #memberCount = 0
  #isOver = false
  #isSettled = false

  constructor(stage: SideStage) {
    const { world, host, random, nodes } = stage
    this.#stage = stage
    this.#isMixed = random.chance(0.3)
    this.#fleet = new Fleet(host, random)
    this.#ghost = new MembershipGhost(world, SESSION_MS)
    const commits = new GroupGhost(world)
    this.#world = {
      host,
      random,
      fleet: this.#fleet,
      commits,
      assignor: random.pick([null, null, 'uniform', 'range']),
      membership: {
        ghost: this.#ghost,
        nowMs: () => world.nowMs,
        coordinator: () => this.#coordinator(),
        topicName: (topicId) => topicNameOf(nodes(), topicId),
      },
    }
    this.#look = new GroupLook(world, commits, this.#fleet, !this.#isMixed)
  }

  prepare(): Promise<void> {
    return this.#fleet.prepare()
  }

  start(): void {
    const { host } = this.#stage
    this.#fleet.start()
    for (let slot = 0; slot < SLOTS; slot++) host.own(takeTurns(this.#slot(slot)))
    host.own(this.#lookAgainAndAgain())
    if (!this.#isMixed) host.own(this.#commitLateAgainAndAgain())
  }

  end(): void {
    this.#isOver = true
    this.#fleet.end()
  }

  observe(): void {
    // Everything is judged as it is told.
  }

  async checkAtRest(): Promise<void> {
    const { world } = this.#stage
    this.#calmMembers()
    const admin = new Admin(this.#stage.host.seat('group-last-admin').options)
    const endMs = world.nowMs + SETTLE_MS
    const lives = [...this.#members].map((member) => member.live(endMs, () => this.#isSettled))
    for (const life of lives) this.#stage.host.own(life)
    const { loop } = this.#stage.host.seat('group-settling')
    for (let complaint = await this.#complaint(admin); complaint !== null; complaint = await this.#complaint(admin)) {
      const why = complaint
      world.judge('G6')
      must(world.nowMs < endMs, 'G6', () => `the group is not settled after ${SETTLE_MS} ms in peace: ${why}`)
      await this.#stage.host.pass(loop, SETTLE_LOOK_MS, 'settling')
    }
    this.#isSettled = true
    await Promise.all(lives)
    this.#fleet.checkAllRead()
    await this.#readCommitted(this.#newLooker('group-last-looker'))
  }

  /** At least two go on, one of them by the newer protocol, and somebody reads everything. */
  #calmMembers(): void {
    for (const member of this.#members) if (member.isDead) this.#members.delete(member)
    while (this.#members.size < 2) this.#newMember(this.#planOf(SLOTS + this.#members.size, false))
    const newer = [...this.#members].some(({ plan }) => !plan.isClassic)
    if (!newer) this.#newMember(this.#planOf(SLOTS + 2, false))
    let isFirst = true
    for (const member of this.#members) {
      member.calmDown(isFirst)
      isFirst = false
    }
  }

  /** Why the group, or what it has to read, is not where it should be in the end; null if it is. */
  async #complaint(admin: Admin): Promise<string | null> {
    const group = await this.#look.describe(admin, GROUP, () => this.#coordinator())
    if (group === null) return 'it is none of the newer protocol'
    const complaint = convergenceComplaint(group, this.#fleet.counts, [...this.#members])
    if (complaint !== null) return complaint
    const [unread] = this.#fleet.unread()
    return unread === undefined ? null : `${unread} was not read`
  }

  #coordinator(): string | null {
    return this.#stage.leaders.sole(OFFSETS_TOPIC)
  }

  #readCommitted(looker: Consumer): Promise<void> {
    return this.#look.readCommitted(looker, () => this.#stage.leaders.hasReplaced(OFFSETS_TOPIC))
  }

  #newLooker(name: string): Consumer {
    return new Consumer({ ...this.#stage.host.seat(name).options, groupId: GROUP, enableAutoCommit: false })
  }

  #planOf(slot: number, mayBeClassic: boolean): MemberPlan {
    const { random } = this.#stage
    return {
      name: `member-${slot}-${this.#memberCount++}`,
      isClassic: mayBeClassic && this.#isMixed && random.chance(0.5),
      instanceId: slot === 0 ? `instance-${slot}` : null,
      isSlow: random.chance(0.3),
    }
  }

  #newMember(plan: MemberPlan): GroupMember {
    const member = new GroupMember(this.#world, plan)
    this.#members.add(member)
    return member
  }

  #slot(slot: number): MemberSlot<GroupMember> {
    const { host, random } = this.#stage
    return {
      ...{ name: `slot-${slot}`, host, random, deathShare: 0.4 },
      isOver: () => this.#isOver,
      enter: () => this.#newMember(this.#planOf(slot, true)),
      onGone: (member) => this.#members.delete(member),
    }
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { host, random } = this.#stage
    const looker = this.#newLooker('group-looker')
    const seat = host.seat('group-admin')
    const admin = new Admin(seat.options)
    while (!this.#isOver) {
      await host.call('group look', () => this.#readCommitted(looker))
      await host.call('group described', async () => {
        await this.#look.describe(admin, GROUP, () => this.#coordinator())
      })
      await host.pass(seat.loop, random.exponential(LOOK_EVERY_MS), 'look')
    }
  }

  async #commitLateAgainAndAgain(): Promise<void> {
    const { host, random, world, leaders } = this.#stage
    const seat = host.seat('group-late')
    for (;;) {
      await host.pass(seat.loop, random.exponential(LATE_EVERY_MS), 'late commit')
      if (this.#isOver) return
      this.#claims = [...this.#claims, ...this.#ghost.takeVoidClaims()].slice(-20)
      const claim = this.#claims.length === 0 ? null : random.pick(this.#claims)
      const node = leaders.all(OFFSETS_TOPIC).at(-1)?.id
      if (claim === null || node === undefined) continue
      await host.call('late commit', () => commitLate(world, seat, node, GROUP, claim))
    }
  }
}
