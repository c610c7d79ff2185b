import { Consumer, type ConsumerBatch, SubscriptionPattern, type TopicPartition } from '@millrace/client'
import type { RandomStream } from '../../world/random-stream.ts'
import { must } from '../../world/violation.ts'
import { CLOSE_LIMIT_MS, type ClientHost, type ClientSeat } from '../client-host.ts'
import type { GroupGhost } from '../group-ghost.ts'
import { watchedTransport } from '../wire-watch.ts'
import type { SettledMember } from './convergence.ts'
import { FLEET_PATTERN, type Fleet } from './fleet.ts'
import type { Place } from './membership-ghost.ts'
import { type MembershipSurroundings, MembershipWatch } from './membership-watch.ts'

export const GROUP = 'drivers'
export const SESSION_MS = 6_000
export const HEARTBEAT_MS = 1_000
const POLL_MS = 500
const PAUSE_MS = 150
/** Members that are slow at giving up have so long for it. */
const SLOW_REBALANCE_MS = 5_000

/** All that members of one run share. */
export interface GroupWorld {
  readonly host: ClientHost
  readonly random: RandomStream
  readonly fleet: Fleet
  /** What is committed, by the fleet's numbers of partitions. */
  readonly commits: GroupGhost
  readonly membership: MembershipSurroundings
  /** Which of the brokers' assignors members ask for; null: none. */
  readonly assignor: string | null
}

export interface MemberPlan {
  readonly name: string
  readonly isClassic: boolean
  /** Null: the member is dynamic. */
  readonly instanceId: string | null
  /** It takes its time when it has to give partitions up, sometimes more than it has. */
  readonly isSlow: boolean
}

/** What a member may be told while coordinators fail and others come and go, beside what any client may be. */
const EXPECTED: ReadonlySet<string> = new Set([
  'FENCED_MEMBER_EPOCH',
  'FENCED_INSTANCE_ID',
  'UNRELEASED_INSTANCE_ID',
  'STALE_MEMBER_EPOCH',
  'GROUP_ID_NOT_FOUND',
  'INCONSISTENT_GROUP_PROTOCOL',
])

/** One member of the group, from its first poll to its end, well behaved or not: reads, and commits what it has read. */
export class GroupMember implements SettledMember {
  readonly plan: MemberPlan
  readonly #world: GroupWorld
  readonly #seat: ClientSeat
  readonly #watch: MembershipWatch
  readonly #consumer: Consumer
  /** Ends of what was read and is not committed. */
  readonly #ends = new Map<Place, number>()
  readonly #death: PromiseWithResolvers<void> = Promise.withResolvers<void>()
  #isDead = false
  /** Names of topics; null: all that match the pattern. */
  #topics: readonly string[] | null = []
  /** No more faults of its own. */
  #isCalm = false

  constructor(world: GroupWorld, plan: MemberPlan) {
    const { host, membership, assignor } = world
    this.plan = plan
    this.#world = world
    this.#seat = host.seat(plan.name)
    this.#watch = new MembershipWatch(membership)
    const { options } = this.#seat
    const ports = { ...options.ports, transport: watchedTransport(options.ports.transport, this.#watch) }
    this.#consumer = new Consumer({
      ...options,
      ports,
      groupId: GROUP,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      ...(plan.instanceId === null ? {} : { groupInstanceId: plan.instanceId }),
      ...(plan.isSlow ? { maxPollIntervalMs: SLOW_REBALANCE_MS } : {}),
      ...(plan.isClassic
        ? { sessionTimeoutMs: SESSION_MS, heartbeatIntervalMs: HEARTBEAT_MS }
        : { groupProtocol: 'consumer' as const, ...(assignor === null ? {} : { groupRemoteAssignor: assignor }) }),
    })
    this.#subscribe(false)
  }

  get memberId(): string {
    return this.#watch.memberId
  }

  get isDead(): boolean {
    return this.#isDead
  }

  get owned(): readonly Place[] {
    return this.#consumer.assignment().map(placeOf)
  }

  isSubscribedTo(topic: string): boolean {
    return this.#topics === null || this.#topics.includes(topic)
  }

  /** Reads and commits for a while, or until `isOver`. */
  async live(untilMs: number, isOver: () => boolean): Promise<void> {
    const { host, random } = this.#world
    const { loop } = host.seat(`${this.plan.name}-driver`)
    while (!this.#isDead && !isOver() && host.world.nowMs < untilMs) {
      if (!this.#isCalm && random.chance(0.02)) this.#subscribe(false)
      if (!this.#isCalm && random.chance(0.01)) this.#fallSilent(random.real(1_000, 1.5 * SESSION_MS))
      await this.turn(random.chance(0.8))
      await host.pass(loop, random.exponential(PAUSE_MS), 'poll')
    }
  }

  /** From now on it does what it should. It reads everything, or, if not `isAll`, what it read before. */
  calmDown(isAll: boolean): void {
    this.#isCalm = true
    if (isAll) this.#subscribe(true)
  }

  /** One poll, and with `commits` a commit of what has been read so far. */
  async turn(commits: boolean): Promise<void> {
    await this.#call('group poll', () => this.#poll())
    if (commits && this.#ends.size > 0) await this.#call('group commit', () => this.#commit([...this.#ends.keys()]))
  }

  async leave(): Promise<void> {
    await this.#call('group leave', () => this.#consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
  }

  /** Its process is killed: the group hears nothing more of it. */
  die(): void {
    this.#world.host.world.mark('group member dies')
    this.#isDead = true
    this.#world.host.kill(this.#seat)
    this.#death.resolve()
  }

  /** What is under way when the member dies never ends. */
  async #call(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#isDead) return
    await this.#world.host.call(name, () => Promise.race([work(), this.#death.promise]), EXPECTED)
  }

  async #poll(): Promise<void> {
    const { ghost } = this.#world.membership
    const before = ghost.readableBy(this.memberId)
    const batches = await this.#consumer.poll({ timeoutMs: POLL_MS })
    for (const batch of batches) this.#read(batch, before)
  }

  #read(batch: ConsumerBatch, before: ReadonlySet<Place> | null): void {
    const { fleet, host, membership } = this.#world
    const place = placeOf(batch)
    const now = membership.ghost.readableBy(this.memberId)
    host.world.judge('G1')
    must(before === null || now === null || before.has(place) || now.has(place), 'G1', () => {
      return `${this.plan.name} reads ${place}, which it was not told to own`
    })
    for (const record of batch.records) {
      fleet.onRead(place, Number(record.offset), record.value?.toString() ?? '')
      this.#ends.set(place, Number(record.offset) + 1)
    }
  }

  async #commit(places: readonly Place[]): Promise<void> {
    const { commits, fleet } = this.#world
    const ends = new Map<number, number>()
    const offsets = places.map((place) => {
      const offset = this.#ends.get(place)!
      ends.set(fleet.idOf(place), offset)
      const [topic = '', partition] = place.split('/')
      return { topic, partition: Number(partition), offset }
    })
    const onAcked = commits.onCommitting(ends)
    await this.#consumer.commit(offsets)
    onAcked()
    for (const { topic, partition, offset } of offsets) {
      const place = placeOf({ topic, partition })
      if (this.#ends.get(place) === offset) this.#ends.delete(place)
    }
  }

  #subscribe(isAll: boolean): void {
    const { fleet, random } = this.#world
    const kind = isAll
      ? 'list'
      : random.pick(this.plan.isClassic ? ['list', 'one'] : ['list', 'list', 'one', 'pattern'])
    this.#topics = kind === 'pattern' ? null : kind === 'one' ? [random.pick(fleet.names)] : fleet.names
    if (kind === 'pattern') this.#world.host.world.mark('group member subscribes to a pattern')
    this.#consumer.subscribe(this.#topics ?? new SubscriptionPattern(FLEET_PATTERN), {
      onPartitionsAssigned: () => this.#world.host.world.mark('group partitions assigned'),
      onPartitionsRevoked: (places) => this.#onRevoked(places.map(placeOf)),
      onPartitionsLost: (places) => {
        this.#world.host.world.mark('group partitions lost')
        for (const place of places) this.#ends.delete(placeOf(place))
      },
    })
  }

  /** Commits what it has read of them, in its time. */
  async #onRevoked(places: readonly Place[]): Promise<void> {
    const { host, random } = this.#world
    host.world.mark('group partitions revoked')
    if (this.plan.isSlow && !this.#isCalm && random.chance(0.3)) {
      await host.pass(this.#seat.loop, random.real(500, 1.6 * SLOW_REBALANCE_MS), 'slow')
    }
    const read = places.filter((place) => this.#ends.has(place))
    try {
      if (read.length > 0) await this.#commit(read)
    } finally {
      for (const place of places) this.#ends.delete(place)
    }
  }

  /** The process is stopped for a while, and goes on as if nothing had been. */
  #fallSilent(forMs: number): void {
    const { loop } = this.#seat
    const { world } = this.#world.host
    world.mark('group member falls silent')
    loop.pause()
    world.schedule(forMs, 'silence ends', -1, () => loop.resume())
  }
}

function placeOf({ topic, partition }: TopicPartition): Place {
  return `${topic}/${partition}`
}
