import { Admin, type ClientOptions, type ClientPorts, Consumer, isRetriable, Producer } from '@millrace/client'
import { clientTransport } from '../network/byte-ports.ts'
import type { StreamNetwork } from '../network/stream-network.ts'
import { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import type { ClusterOptions } from './cluster-scenario.ts'
import { GroupGhost } from './group-ghost.ts'
import { Mover } from './mover.ts'
import { RecordGhost } from './record-ghost.ts'
import type { ReplicaGhost } from './replica-ghost.ts'
import { DIRECTORIES } from './simulated-node.ts'

export const TOPIC = 'orders'
const GROUP = 'billing'
/** Ids of clients on the network; nodes have smaller ones. */
const FIRST_CLIENT = 100
/** Between two looks at what the group has committed, on average. */
const LOOK_EVERY_MS = 300
/** Within it every call must have ended, one way or the other (L3). */
const CALL_LIMIT_MS = 60_000
const REQUEST_TIMEOUT_MS = 5_000
/** A consumer that leaves waits no longer for its group. */
const CLOSE_LIMIT_MS = 5_000

/** Clients of one run: producers with acknowledgement by all, a group of consumers that commit, an administrator. */
export class Workload {
  readonly records: RecordGhost
  readonly groups: GroupGhost
  /** Calls that ended, well or not. */
  callCount = 0
  /** First thing that went wrong in a client's own course. */
  failure: unknown = null
  readonly #world: World
  readonly #network: StreamNetwork
  readonly #options: ClusterOptions
  readonly #replicas: ReplicaGhost
  readonly #coordinatorCount: () => number
  readonly #random: RandomStream
  readonly #loops: ProcessLoop[] = []
  readonly #closers: (() => Promise<void>)[] = []
  #openCalls = 0
  #isOver = false
  #areMovesOver = false

  /** `coordinatorCount`: how many nodes lead the partition of the groups' offsets, each in its own view. */
  constructor(
    world: World,
    network: StreamNetwork,
    options: ClusterOptions,
    replicas: ReplicaGhost,
    coordinatorCount: () => number,
  ) {
    this.#world = world
    this.#network = network
    this.#options = options
    this.#replicas = replicas
    this.#coordinatorCount = coordinatorCount
    this.#random = world.stream('workload')
    this.records = new RecordGhost(world)
    this.groups = new GroupGhost(world)
  }

  get openCalls(): number {
    return this.#openCalls
  }

  /** Makes the topic; again and again until it is there. */
  async prepare(): Promise<void> {
    const admin = new Admin(this.#clientOptions('admin'))
    this.#closers.push(() => admin.close())
    const { partitionCount, nodeCount, segmentMs } = this.#options
    const replicationFactor = Math.min(3, nodeCount)
    const rolls: Record<string, string> = segmentMs === 0 ? {} : { 'segment.ms': String(segmentMs) }
    const configs = { 'min.insync.replicas': '2', ...rolls }
    for (;;) {
      const [outcome] = await admin.createTopics([
        { name: TOPIC, partitions: partitionCount, replicationFactor, configs },
      ])
      this.callCount++
      if (outcome?.error == null || (outcome.error as { code?: string }).code === 'TOPIC_ALREADY_EXISTS') return
      this.#world.trace?.(this.#world.nowMs, -1, `the topic is not created: ${String(outcome.error)}`)
    }
  }

  start(): void {
    for (let number = 0; number < this.#options.producerCount; number++) this.#startProducer(number)
    for (let number = 0; number < this.#options.consumerCount; number++) this.#own(this.#consumeByTurns(number))
    this.#own(this.#lookAgainAndAgain())
    if (this.#options.moveEveryMs > 0) this.#own(this.#createMover().run(() => this.#areMovesOver))
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
      ...this.#clientOptions('reader'),
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
    })
    this.#closers.push(() => consumer.close())
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
    await this.#look(this.#looker('last-looker'))
  }

  #createMover(): Mover {
    const { nodeCount, partitionCount, moveEveryMs } = this.#options
    const admin = new Admin(this.#clientOptions('mover'))
    this.#closers.push(() => admin.close())
    const places = Array.from({ length: partitionCount }, (_, partition) => ({ topic: TOPIC, partition }))
    return new Mover({
      world: this.#world,
      admin,
      loop: this.#loops.at(-1)!,
      nodeCount,
      directories: DIRECTORIES,
      partitions: [...places, { topic: '__consumer_offsets', partition: 0 }],
      everyMs: moveEveryMs,
      call: (name, call) => this.#call(name, call),
    })
  }

  #looker(name: string): Consumer {
    const looker = new Consumer({ ...this.#clientOptions(name), groupId: GROUP, enableAutoCommit: false })
    this.#closers.push(() => looker.close())
    return looker
  }

  /** Somebody outside of the group asks for what it has committed, also while its coordinator dies: later commits would hide a lost one. */
  async #lookAgainAndAgain(): Promise<void> {
    const looker = this.#looker('looker')
    const loop = this.#loops.at(-1)!
    while (!this.#isOver) {
      await this.#call('look', () => this.#look(looker))
      await new Promise<void>((resolve) => loop.after(this.#random.exponential(LOOK_EVERY_MS), 'look', resolve))
    }
  }

  async #look(looker: Consumer): Promise<void> {
    const places = Array.from({ length: this.#options.partitionCount }, (_, partition) => ({ topic: TOPIC, partition }))
    const beganMs = this.#world.nowMs
    const wereTwo = this.#coordinatorCount() > 1
    const committed = await looker.committed(places)
    const found = new Map(committed.map(({ partition, offset }) => [partition, Number(offset)]))
    const isOld = wereTwo || this.#coordinatorCount() > 1
    if (isOld) this.#world.mark('look while two take themselves for the coordinator')
    this.groups.check(found, beganMs, isOld)
  }

  #startProducer(number: number): void {
    const producer = new Producer({
      ...this.#clientOptions(`producer-${number}`),
      acks: 'all',
      deliveryTimeoutMs: this.#options.deliveryTimeoutMs,
      requestTimeoutMs: Math.min(REQUEST_TIMEOUT_MS, this.#options.deliveryTimeoutMs / 2),
    })
    this.#closers.push(() => producer.close())
    const loop = this.#loops.at(-1)!
    let sent = 0
    const next = (): void => {
      if (this.#isOver) return
      const value = `${number}-${sent++}`
      const partition = this.#random.integer(0, this.#options.partitionCount)
      this.records.onSend(value)
      this.#own(this.#send(producer, partition, value))
      loop.after(this.#random.exponential(this.#options.sendEveryMs), 'send', next)
    }
    loop.after(this.#random.real(0, this.#options.sendEveryMs), 'send', next)
  }

  async #send(producer: Producer, partition: number, value: string): Promise<void> {
    const isDone = await this.#call('send', async () => {
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
    const consumer = new Consumer({
      ...this.#clientOptions(name),
      groupId: GROUP,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 1_000,
      onEvent: (event) => {
        if (event.type === 'joined') generationId = event.generationId
      },
    })
    const loop = this.#loops.at(-1)!
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
      await this.#call('poll', () => this.#pollAndCommit(consumer))
      const pauseMs = this.#options.pollEveryMs
      if (pauseMs > 0)
        await new Promise<void>((resolve) => loop.after(this.#random.exponential(pauseMs), 'poll', resolve))
    }
    if (this.#isOver) this.#closers.push(() => consumer.close())
    else await this.#call('close', () => consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
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
    await this.#call('commit', async () => {
      const onAcked = this.groups.onCommitting(ends)
      await consumer.commit(Array.from(ends, ([partition, offset]) => ({ topic: TOPIC, partition, offset })))
      onAcked()
    })
  }

  /** A call may fail in a way that says so, which is false; anything else ends the run. */
  async #call(name: string, call: () => Promise<void>): Promise<boolean> {
    const startMs = this.#world.nowMs
    this.#openCalls++
    try {
      await call()
      this.#world.mark(`${name} ok`)
      return true
    } catch (error) {
      if (!isExpected(error)) throw error
      this.#world.mark(`${name} failed`)
      this.#world.trace?.(this.#world.nowMs, -1, `${name}: ${String(error)}`)
      return false
    } finally {
      this.#openCalls--
      this.callCount++
      const tookMs = this.#world.nowMs - startMs
      this.#world.judge('L3')
      must(tookMs <= CALL_LIMIT_MS, 'L3', () => `${name} took ${tookMs} ms`)
    }
  }

  #own(course: Promise<void>): void {
    course.catch((error: unknown) => {
      this.failure ??= error
    })
  }

  #clientOptions(clientId: string): ClientOptions {
    const { nodeCount } = this.#options
    const loop = new ProcessLoop(this.#world, FIRST_CLIENT + this.#loops.length)
    this.#loops.push(loop)
    const ports: ClientPorts = {
      clock: loop,
      timers: loop,
      random: this.#world.stream(clientId),
      transport: clientTransport(this.#network, loop),
      defer: (callback) => {
        loop.after(0, 'defer', callback)
      },
    }
    return {
      bootstrapServers: Array.from({ length: nodeCount }, (_, id) => `node-${id}:9092`),
      clientId,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      defaultApiTimeoutMs: 20_000,
      metadataMaxAgeMs: 10_000,
      socketConnectionSetupTimeoutMs: 2_000,
      ports,
    }
  }
}

/** What a client may be told while nodes fail. */
function isExpected(error: unknown): boolean {
  if (isRetriable(error)) return true
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && EXPECTED_CODES.has(code)
}

/** Ends of calls that are not to be tried again as they are, and yet no mistake of anybody. */
const EXPECTED_CODES = new Set([
  'TIMEOUT',
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'COMMIT_FAILED',
])
