import { Admin, type ConfigOperation, Consumer } from '@millrace/client'
import { must } from '../../world/violation.ts'
import { topicNameOf } from '../leader-view.ts'
import { type MemberSlot, takeTurns } from '../member-turns.ts'
import type { SideKind, SideStage, SideWorkload } from '../side-workload.ts'
import { checkDeadLetters, DEAD_LETTERS, readDeadLetters } from './dead-letters.ts'
import { JOBS, Jobs } from './jobs.ts'
import { ShareGhost } from './share-ghost.ts'
import { GROUP, ShareMember, type ShareWorld } from './share-member.ts'
import { PARTITIONS } from './share-watch.ts'

const SLOTS = 3
/** Left in peace, the group is done with everything within this. */
const SETTLE_MS = 90_000
const SETTLE_LOOK_MS = 500
/** Records that are there in the end for one that takes some and stops. */
const LAST_RECORDS = 20

/** Members of one share group (KIP-932) on a topic of its own: they accept, release, reject and renew, take too long, fall silent and die. */
export const shareGroups: SideKind = {
  settings: {
    'share.coordinator.state.topic.replication.factor': '3',
    'share.coordinator.state.topic.num.partitions': '1',
    'share.coordinator.state.topic.min.isr': '2',
    'share.coordinator.snapshot.update.records.per.snapshot': '20',
    'group.share.session.timeout.ms': '6000',
    'group.share.min.session.timeout.ms': '6000',
    'group.share.heartbeat.interval.ms': '1000',
    'group.share.min.heartbeat.interval.ms': '1000',
    'group.share.min.record.lock.duration.ms': '1000',
  },
  create: (stage) => new ShareGroups(stage),
}

class ShareGroups implements SideWorkload {
  readonly name = 'share groups'
  readonly #stage: SideStage
  readonly #jobs: Jobs
  readonly #ghost: ShareGhost
  readonly #world: ShareWorld
  readonly #deliveryLimit: number
  readonly #redeliveryDelayMs: number
  readonly #hasDeadLetters: boolean
  readonly #members = new Set<ShareMember>()
  #memberCount = 0
  #isOver = false
  #isSettled = false

  constructor(stage: SideStage) {
    const { world, host, random } = stage
    this.#stage = stage
    this.#jobs = new Jobs(host, random)
    const lockMs = random.pick([1_500, 3_000])
    this.#deliveryLimit = random.pick([2, 3, 5])
    this.#redeliveryDelayMs = random.pick([0, 0, 300])
    this.#hasDeadLetters = random.chance(0.4)
    this.#ghost = new ShareGhost(world, { lockMs, deliveryLimit: this.#deliveryLimit })
    this.#world = {
      host,
      random,
      jobs: this.#jobs,
      lockMs,
      watched: {
        ghost: this.#ghost,
        topic: JOBS,
        nowMs: () => world.nowMs,
        leader: (partition) => stage.leaders.sole(JOBS, partition),
        topicName: (topicId) => topicNameOf(stage.nodes(), topicId),
        onDelivered: (partition, lastOffset) => this.#checkVisible(partition, lastOffset),
      },
    }
  }

  async prepare(): Promise<void> {
    const admin = new Admin(this.#stage.host.seat('share-admin').options)
    const topics = [{ name: JOBS, partitions: PARTITIONS.length, replicationFactor: 3 }]
    const letters = { name: DEAD_LETTERS, partitions: 1, replicationFactor: 3 }
    const forLetters = { 'errors.deadletterqueue.group.enable': 'true' }
    const wanted = this.#hasDeadLetters ? [...topics, { ...letters, configs: forLetters }] : topics
    for (;;) {
      const outcomes = await admin.createTopics(wanted)
      if (outcomes.every(({ error }) => error === null || isThere(error))) break
    }
    for (;;) {
      const [outcome] = await admin.alterConfigs([{ type: 'group', name: GROUP, operations: this.#groupSettings() }])
      if (outcome!.error === null) return
      this.#stage.world.trace?.(this.#stage.world.nowMs, -1, `the share group is not set: ${String(outcome!.error)}`)
    }
  }

  start(): void {
    this.#jobs.start()
    for (let slot = 0; slot < SLOTS; slot++) this.#stage.host.own(takeTurns(this.#slot(slot)))
  }

  end(): void {
    this.#isOver = true
    this.#jobs.end()
  }

  observe(): void {
    // Everything is judged as it is told.
  }

  async checkAtRest(): Promise<void> {
    const { host, world } = this.#stage
    for (const member of this.#members) if (member.isDead) this.#members.delete(member)
    await this.#leaveOneStuck()
    while (this.#members.size < 2) this.#newMember()
    const endMs = world.nowMs + SETTLE_MS
    for (const member of this.#members) member.calmDown()
    const lives = [...this.#members].map((member) => member.live(endMs, () => this.#isSettled))
    for (const life of lives) host.own(life)
    await this.#untilDone(endMs)
    this.#isSettled = true
    await Promise.all(lives)
    for (const [partition, offsets] of this.#jobs.acked) this.#ghost.checkDone(partition, offsets)
    if (!this.#hasDeadLetters) return
    const letters = await readDeadLetters(host.seat('dead-letter-reader'))
    checkDeadLetters(world, this.#ghost, this.#jobs.acked, letters)
  }

  /** Somebody takes records and is never heard of again, though its connections stay: the rest must not wait for it for ever. */
  async #leaveOneStuck(): Promise<void> {
    const stuck = this.#newMember()
    await this.#jobs.sendMore(LAST_RECORDS)
    stuck.calmDown()
    for (let tries = 0; tries < 20 && (await stuck.take()).length === 0; tries++);
    stuck.freeze()
    this.#members.delete(stuck)
    this.#stage.world.mark('share member is stuck in the end')
  }

  /** H4: the group comes to the end of each partition: nothing is left that is not done with. */
  async #untilDone(endMs: number): Promise<void> {
    const { host, world } = this.#stage
    const seat = host.seat('share-last-looker')
    const admin = new Admin(seat.options)
    const reader = new Consumer({ ...seat.options, enableAutoCommit: false })
    const places = PARTITIONS.map((partition) => ({ topic: JOBS, partition }))
    for (;;) {
      const ends = await reader.findOffsets(places, 'latest')
      const starts = await admin.listShareGroupOffsets(GROUP, { partitions: places })
      const behind = ends.find(({ partition, offset }) => {
        return starts.find((one) => one.partition === partition)?.startOffset !== offset
      })
      if (behind === undefined) return
      const start = starts.find(({ partition }) => partition === behind.partition)
      world.judge('H4')
      must(world.nowMs < endMs, 'H4', () => {
        return `after ${SETTLE_MS} ms in peace the group is at ${start?.startOffset} of ${behind.offset} in partition ${behind.partition}`
      })
      await host.pass(seat.loop, SETTLE_LOOK_MS, 'settling')
    }
  }

  #groupSettings(): ConfigOperation[] {
    const settings: Record<string, string> = {
      'share.auto.offset.reset': 'earliest',
      'share.record.lock.duration.ms': String(this.#world.lockMs),
      'share.delivery.count.limit': String(this.#deliveryLimit),
      'share.redelivery.delay.ms': String(this.#redeliveryDelayMs),
      ...(this.#hasDeadLetters ? { 'errors.deadletterqueue.topic.name': DEAD_LETTERS } : {}),
    }
    return Object.entries(settings).map(([name, value]) => ({ op: 'set', name, value }))
  }

  /** R2: what the node gave away that leads the partition now is below its high watermark. */
  #checkVisible(partition: number, lastOffset: number): void {
    const { world, leaders } = this.#stage
    for (const { broker } of leaders.all(JOBS, partition)) {
      for (const one of broker?.partitions() ?? []) {
        if (one.topic !== JOBS || one.partition !== partition) continue
        world.judge('R2')
        must(lastOffset < one.log.highWatermark, 'R2', () => {
          return `record ${lastOffset} of ${JOBS}-${partition} is delivered; the high watermark is ${one.log.highWatermark}`
        })
      }
    }
  }

  #newMember(): ShareMember {
    const member = new ShareMember(this.#world, `worker-${this.#memberCount++}`)
    this.#members.add(member)
    return member
  }

  #slot(slot: number): MemberSlot<ShareMember> {
    const { host, random } = this.#stage
    return {
      ...{ name: `share-slot-${slot}`, host, random, deathShare: 0.5 },
      isOver: () => this.#isOver,
      enter: () => this.#newMember(),
      onGone: (member) => this.#members.delete(member),
    }
  }
}

function isThere(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'TOPIC_ALREADY_EXISTS'
}
