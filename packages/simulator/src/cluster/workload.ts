import { Admin, Consumer, Producer } from '@millrace/client'
import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'
import { CLOSE_LIMIT_MS, type ClientHost, type ClientSeat, REQUEST_TIMEOUT_MS } from './client-host.ts'
import type { ClusterOptions } from './cluster-scenario.ts'
import { GroupGhost } from './group-ghost.ts'
import type { LeaderView } from './leader-view.ts'
import { Mover } from './mover.ts'
import { RecordGhost } from './record-ghost.ts'
import type { ReplicaGhost } from './replica-ghost.ts'
import { DIRECTORIES } from './simulated-node.ts'

export const TOPIC = 'orders'
const GROUP = 'billing'
/** Between two looks at what the group has committed, on average. */
const LOOK_EVERY_MS = 300

/** Clients of one run: producers with acknowledgement by all, a group of consumers that commit, an administrator. */
export class Workload {
  readonly records: RecordGhost
  readonly groups: GroupGhost
  readonly #world: World
  readonly #host: ClientHost
  readonly #options: ClusterOptions
  readonly #replicas: ReplicaGhost
  readonly #leaders: LeaderView
  readonly #random: RandomStream
  #isOver = false
  #areMovesOver = false

  constructor(host: ClientHost, options: ClusterOptions, replicas: ReplicaGhost, leaders: LeaderView) {
    const { world } = host
    this.#world = world
    this.#host = host
    this.#options = options
    this.#replicas = replicas
    this.#leaders = leaders
    this.#random = world.stream('workload')
    this.records = new RecordGhost(world)
    this.groups = new GroupGhost(world)
  }

  /** Makes the topic; again and again until it is there. */
  async prepare(): Promise<void> {
    const admin = new Admin(this.#host.seat('admin').options)
    const { partitionCount, nodeCount, segmentMs } = this.#options
    const replicationFactor = Math.min(3, nodeCount)
    const rolls: Record<string, string> = segmentMs === 0 ? {} : { 'segment.ms': String(segmentMs) }
    const configs = { 'min.insync.replicas': '2', ...rolls }
    for (;;) {
      const [outcome] = await admin.createTopics([
        { name: TOPIC, partitions: partitionCount, replicationFactor, configs },
      ])
      this.#host.callCount++
      if (outcome?.error == null || (outcome.error as { code?: string }).code === 'TOPIC_ALREADY_EXISTS') return
      this.#world.trace?.(this.#world.nowMs, -1, `the topic is not created: ${String(outcome.error)}`)
    }
  }

  start(): void {
    for (let number = 0; number < this.#options.producerCount; number++) this.#startProducer(number)
    for (let number = 0; number < this.#options.consumerCount; number++) this.#host.own(this.#consumeByTurns(number))
    this.#host.own(this.#lookAgainAndAgain())
    if (this.#options.moveEveryMs > 0) this.#host.own(this.#createMover().run(() => this.#areMovesOver))
  }

  /** Nothing is moved any more. */
  endMoves(): void {
    this.#areMovesOver = true
  }

  /** No new calls. */
  end(): void {
    this.endMoves()
    this.#isOver = true
  }

  /** Reads a partition to its end with a client of its own, and compares it with all that was acknowledged. */
  async readAll(): Promise<void> {
    const consumer = new Consumer({
      ...this.#host.seat('reader').options,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
    })
    for (let partition = 0; partition < this.#options.partitionCount; partition++) {
      const place = { topic: TOPIC, partition }
      const [end] = await consumer.findOffsets([place], 'latest')
      const endOffset = Number(end?.offset ?? 0)
      const read = new Map<number, string>()
      consumer.assign([{ ...place, start: 0 }])
      for (let last = -1; last < endOffset - 1; ) {
        for (const batch of await consumer.poll({ timeoutMs: 1_000 })) {
          for (const record of batch.records) {
            last = Number(record.offset)
            const value = record.value?.toString() ?? ''
            read.set(last, value)
            this.records.onConsumed(partition, last, value)
          }
        }
      }
      this.records.checkComplete(partition, read)
    }
    await this.#look(this.#looker(this.#host.seat('last-looker')))
  }

  #createMover(): Mover {
    const { nodeCount, partitionCount, moveEveryMs } = this.#options
    const { options, loop } = this.#host.seat('mover')
    const admin = new Admin(options)
    const places = Array.from({ length: partitionCount }, (_, partition) => ({ topic: TOPIC, partition }))
    return new Mover({
      world: this.#world,
      admin,
      loop,
      nodeCount,
      directories: DIRECTORIES,
      partitions: [...places, { topic: '__consumer_offsets', partition: 0 }],
      everyMs: moveEveryMs,
      call: (name, call) => this.#host.call(name, call),
    })
  }

  #looker({ options }: ClientSeat): Consumer {
    return new Consumer({ ...options, groupId: GROUP, enableAutoCommit: false })
  }

  /** Somebody outside of the group asks for what it has committed, also while its coordinator dies: later commits would hide a lost one. */
  async #lookAgainAndAgain(): Promise<void> {
    const seat = this.#host.seat('looker')
    const looker = this.#looker(seat)
    while (!this.#isOver) {
      await this.#host.call('look', () => this.#look(looker))
      await this.#host.pass(seat.loop, this.#random.exponential(LOOK_EVERY_MS), 'look')
    }
  }

  async #look(looker: Consumer): Promise<void> {
    const places = Array.from({ length: this.#options.partitionCount }, (_, partition) => ({ topic: TOPIC, partition }))
    const beganMs = this.#world.nowMs
    const wasReplaced = this.#leaders.hasReplaced('__consumer_offsets')
    const committed = await looker.committed(places)
    const found = new Map(committed.map(({ partition, offset }) => [partition, Number(offset)]))
    const isOld = wasReplaced || this.#leaders.hasReplaced('__consumer_offsets')
    if (isOld) this.#world.mark('look while two take themselves for the coordinator')
    this.groups.check(found, beganMs, isOld)
  }

  #startProducer(number: number): void {
    const { options, loop } = this.#host.seat(`producer-${number}`)
    const producer = new Producer({
      ...options,
      acks: 'all',
      deliveryTimeoutMs: this.#options.deliveryTimeoutMs,
      requestTimeoutMs: Math.min(REQUEST_TIMEOUT_MS, this.#options.deliveryTimeoutMs / 2),
    })
    let sent = 0
    const next = (): void => {
      if (this.#isOver) return
      const value = `${number}-${sent++}`
      const partition = this.#random.integer(0, this.#options.partitionCount)
      this.records.onSend(value)
      this.#host.own(this.#send(producer, partition, value))
      loop.after(this.#random.exponential(this.#options.sendEveryMs), 'send', next)
    }
    loop.after(this.#random.real(0, this.#options.sendEveryMs), 'send', next)
  }

  async #send(producer: Producer, partition: number, value: string): Promise<void> {
    const isDone = await this.#host.call('send', async () => {
      const stored = await producer.send({ topic: TOPIC, partition, value })
      const offset = Number(stored.offset)
      this.#replicas.observeInClient()
      if (offset < 0) {
        this.records.onAckedUnplaced(partition, value)
        return
      }
      this.records.onAcked(partition, offset, value)
      this.#replicas.onAcked(partition, offset)
    })
    if (!isDone) this.records.onUnknown(partition, value)
  }

  /** One member after the other, each for a while. */
  async #consumeByTurns(number: number): Promise<void> {
    const { memberLifeMs } = this.#options
    for (let turn = 0; !this.#isOver; turn++) {
      const lifeMs = memberLifeMs === 0 ? Number.POSITIVE_INFINITY : this.#random.exponential(memberLifeMs)
      await this.#consume(`consumer-${number}-${turn}`, this.#world.nowMs + lifeMs)
    }
  }

  async #consume(name: string, untilMs: number): Promise<void> {
    let generationId = -1
    const { options, loop } = this.#host.seat(name)
    const consumer = new Consumer({
      ...options,
      groupId: GROUP,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 1_000,
      onEvent: (event) => {
        if (event.type === 'joined') generationId = event.generationId
      },
    })
    consumer.subscribe(TOPIC, {
      onPartitionsAssigned: () => {
        this.#world.mark('partitions assigned')
        this.groups.onAssigned(
          name,
          generationId,
          consumer.assignment().map(({ partition }) => partition),
        )
      },
    })
    while (!this.#isOver && this.#world.nowMs < untilMs) {
      await this.#host.call('poll', () => this.#pollAndCommit(consumer))
      const pauseMs = this.#options.pollEveryMs
      if (pauseMs > 0) await this.#host.pass(loop, this.#random.exponential(pauseMs), 'poll')
    }
    if (!this.#isOver) await this.#host.call('close', () => consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
  }

  async #pollAndCommit(consumer: Consumer): Promise<void> {
    const batches = await consumer.poll({ timeoutMs: 500 })
    const ends = new Map<number, number>()
    if (batches.length > 0) this.#replicas.observeInClient()
    for (const { partition, records } of batches) {
      for (const record of records) {
        const offset = Number(record.offset)
        this.records.onConsumed(partition, offset, record.value?.toString() ?? '')
        this.#replicas.onConsumed(partition, offset)
        ends.set(partition, offset + 1)
      }
    }
    if (ends.size === 0) return
    await this.#host.call('commit', async () => {
      const onAcked = this.groups.onCommitting(ends)
      await consumer.commit(Array.from(ends, ([partition, offset]) => ({ topic: TOPIC, partition, offset })))
      onAcked()
    })
  }
}
