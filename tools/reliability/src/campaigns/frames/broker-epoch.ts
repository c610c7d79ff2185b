import { SeededRandom, type Uuid } from '@millrace/base'
import { TestBroker } from '@millrace/broker/testing'
import { apis } from '@millrace/protocol'
import { deadlineComplaints } from './deadlines.ts'
import { EpochNeighbour } from './epoch-neighbour.ts'
import { type Delivery, FrameSource, type RareFrames } from './frame-source.ts'
import { FuzzConnection } from './fuzz-connection.ts'
import { HttpProbe } from './http-probe.ts'
import { bytesAfterGc, MAX_STALL_MS, type StallWatch } from './stall-watch.ts'
import { WatchedChecks } from './watched-checks.ts'

const CONNECTION_COUNT = 24
/** One connection of so many sends nothing wrong: it must be answered to its end, whatever the others do. */
const DECENT_SHARE = 4
const DELIVERIES_PER_CONNECTION = 6
/** HTTP goes by Node's own server: a little of it is enough. */
const HTTP_PER_ROUND = 1
/** `reliability.md`, 6.3. */
const MAX_HEAP_GROWTH_BYTES = 64 * 1024 * 1024
/** The simulated disk holds a file twice, in buffers that double: what it holds more of is no leak. */
const BUFFER_BYTES_PER_DISK_BYTE = 4
/** Rounds after which what is made once, and kept, has been made. */
const WARM_UP_ROUNDS = 30
/** Rounds between looks at the topics, and between waits that let time pass. */
const LOOK_ROUNDS = 8
/** Turns that large requests of decent clients may still take, a slice of work in each. */
const OVERDUE_TURNS = 2_000
/**
 * The broker keeps a batch whose transaction is being begun while the one before ends: `add.partitions.to.txn.retry.backoff.max.ms`, 100 ms, and
 * all behind it on that connection. Far less than any time limit that would come to the rescue of an answer that was forgotten.
 */
const PATIENCE_MS = 1_000
const TURNS_OF_PATIENCE = 24

/**
 * The simulated disk is memory: old records go. And it copies a file that was synced before it is written to again: in files of many
 * megabytes most of the time would go to that.
 */
const SETTINGS = {
  'log.segment.bytes': String(1 << 20),
  'log.retention.bytes': String(2 << 20),
  'log.retention.check.interval.ms': '10000',
  'log.segment.delete.delay.ms': '1000',
  'offsets.topic.segment.bytes': String(1 << 20),
  'metadata.log.max.record.bytes.between.snapshots': String(1 << 18),
}

/** What one broker's life gave. */
export interface EpochResult {
  frameCount: number
  answeredCount: number
  closedCount: number
  /** Batches that were found stored, and looked at. */
  storedCount: number
  httpAnswerCount: number
  /** Of objects, and of buffers without what the disk holds more of; from the end of the warm-up to the end. */
  heapGrowthBytes: number
  bufferGrowthBytes: number
  /** APIs and versions that were answered; see `answeredKey`. */
  answered: Set<number>
}

export interface EpochOptions {
  readonly seed: number
  readonly frames: number
  readonly rare: RareFrames
  readonly watch: StallWatch
  /** Whether the run is told to end. */
  isStopped(): boolean
  onProgress(frameCount: number): void
  /** Something did not hold: what, in which round, and what was sent by whom. `heldMs`: it is a turn that held the loop for so long. */
  onFailure(round: number, what: string, sent: readonly Buffer[], heldMs: number | null): void
}

/**
 * One life of a broker in this process: many connections send what a {@link FrameSource} makes, while a neighbour goes on working.
 * Everything follows from the seed.
 */
export class BrokerEpoch {
  readonly #options: EpochOptions
  readonly #broker: TestBroker
  readonly #neighbour: EpochNeighbour
  readonly #source: FrameSource
  readonly #random: SeededRandom
  readonly #result: EpochResult = {
    frameCount: 0,
    answeredCount: 0,
    closedCount: 0,
    storedCount: 0,
    httpAnswerCount: 0,
    heapGrowthBytes: 0,
    bufferGrowthBytes: 0,
    answered: new Set(),
  }
  /** Topics of this broker, as the neighbour last saw them. */
  #topicIds = new Map<string, Uuid>()
  #round = 0
  #nextAddress = 1
  /** Those of the round at hand: what they sent is kept with what goes wrong in it. */
  #connections: readonly FuzzConnection[] = []
  readonly #onStray = (error: unknown): void => {
    this.#fail(`the process would have ended: ${error instanceof Error ? error.stack : String(error)}`)
  }

  static async run(options: EpochOptions): Promise<EpochResult> {
    const broker = await TestBroker.start({
      seed: options.seed,
      settings: { ...SETTINGS, 'auto.create.topics.enable': String(options.seed % 2 === 1) },
      batchChecks: new WatchedChecks(options.watch),
    })
    let epoch: BrokerEpoch | null = null
    const turn = (): Promise<void> =>
      epoch?.watched(() => undefined) ?? new Promise<void>((resolve) => setImmediate(resolve))
    const onFailure = (what: string): void => {
      if (epoch === null) options.onFailure(0, what, [], null)
      else epoch.#fail(what)
    }
    const neighbour = await EpochNeighbour.arrive({ broker, turn, onFailure })
    epoch = new BrokerEpoch(options, broker, neighbour)
    process.on('unhandledRejection', epoch.#onStray)
    process.on('uncaughtException', epoch.#onStray)
    try {
      await epoch.#run()
      await broker.stop()
      epoch.#checkBroker()
    } finally {
      process.off('unhandledRejection', epoch.#onStray)
      process.off('uncaughtException', epoch.#onStray)
    }
    return epoch.#result
  }

  private constructor(options: EpochOptions, broker: TestBroker, neighbour: EpochNeighbour) {
    this.#options = options
    this.#broker = broker
    this.#neighbour = neighbour
    this.#source = new FrameSource(options.seed, options.rare)
    this.#random = new SeededRandom(options.seed).fork('rounds')
  }

  /** One turn of the loop, with a complaint if it held the loop. */
  async watched(work: () => void): Promise<void> {
    const heldMs = await this.#options.watch.turn(work)
    if (heldMs <= MAX_STALL_MS) return
    const { account } = this.#options.watch
    this.#fail(
      `${heldMs.toFixed(0)} ms (${account}), beside ${largestOf(this.#connections)}, a turn held the loop`,
      heldMs,
    )
  }

  async #run(): Promise<void> {
    const { frames, isStopped, onProgress } = this.#options
    let before = this.#held()
    while (this.#source.frameCount < frames && !isStopped()) {
      if (this.#round % LOOK_ROUNDS === 0) await this.#restoreTopics()
      await this.#runRound()
      await this.#neighbour.checkOwn(this.#round)
      this.#checkBroker()
      if (this.#round === WARM_UP_ROUNDS) before = this.#held()
      this.#round++
      onProgress(this.#source.frameCount)
    }
    this.#result.frameCount = this.#source.frameCount
    if (this.#round > WARM_UP_ROUNDS) this.#checkGrowth(before)
    // Not before: what reading all of it holds is no growth.
    await this.#restoreTopics()
    this.#result.storedCount = await this.#neighbour.checkStored(this.#topicIds)
    for (const complaint of await deadlineComplaints(this.#broker, (work) => this.watched(work))) this.#fail(complaint)
    this.#checkBroker()
  }

  #held(): { heapBytes: number; bufferBytes: number; diskBytes: number } {
    return { ...bytesAfterGc(), diskBytes: this.#broker.disk.usedBytes }
  }

  #checkGrowth(before: { heapBytes: number; bufferBytes: number; diskBytes: number }): void {
    this.#connections = []
    const after = this.#held()
    const heapGrowthBytes = after.heapBytes - before.heapBytes
    const diskGrowthBytes = Math.max(0, after.diskBytes - before.diskBytes)
    const bufferGrowthBytes = after.bufferBytes - before.bufferBytes - BUFFER_BYTES_PER_DISK_BYTE * diskGrowthBytes
    Object.assign(this.#result, { heapGrowthBytes, bufferGrowthBytes })
    if (heapGrowthBytes > MAX_HEAP_GROWTH_BYTES) this.#fail(`the heap grew by ${heapGrowthBytes} bytes`)
    if (bufferGrowthBytes > MAX_HEAP_GROWTH_BYTES) this.#fail(`buffers grew by ${bufferGrowthBytes} bytes`)
  }

  async #runRound(): Promise<void> {
    const connections = Array.from({ length: CONNECTION_COUNT }, () => this.#connect())
    this.#connections = connections
    const probes = Array.from(
      { length: HTTP_PER_ROUND },
      () => new HttpProbe(this.#broker, this.#round === 0 ? null : this.#random, this.#address()),
    )
    for (let step = 0; step < DELIVERIES_PER_CONNECTION; step++) await this.#step(connections)
    await this.#turns(connections, probes)
    if (this.#round % LOOK_ROUNDS === LOOK_ROUNDS - 1) {
      const durationMs = this.#random.uint32() % 20_000
      await this.watched(() => this.#broker.timers.advance(durationMs))
    }
    await this.#turns(connections, probes)
    const reasons = this.#closeReasons()
    for (const connection of connections) this.#finish(connection, reasons)
    for (const probe of probes) {
      if (probe.isAnswered) this.#result.httpAnswerCount++
      const complaint = probe.finish()
      if (complaint !== null) this.#options.onFailure(this.#round, complaint, [probe.sent], null)
    }
  }

  #finish(connection: FuzzConnection, reasons: ReadonlyMap<string, string>): void {
    const { checker, sent } = connection
    for (const complaint of connection.finish(reasons.get(connection.address)))
      this.#options.onFailure(this.#round, complaint, sent, null)
    this.#result.answeredCount += checker.answeredCount
    for (const key of checker.answered) this.#result.answered.add(key)
    for (const sessionId of checker.sessionIds) this.#source.useSession(sessionId)
    if (connection.isClosed) this.#result.closedCount++
  }

  async #step(connections: readonly FuzzConnection[]): Promise<void> {
    const deliveries = new Map<FuzzConnection, Delivery>()
    for (const [slot, connection] of connections.entries()) {
      if (!connection.isClosed) deliveries.set(connection, this.#source.delivery(slot % DECENT_SHARE === 0))
    }
    await this.watched(() => {
      for (const [connection, delivery] of deliveries) connection.send(delivery)
    })
    while (connections.some(({ hasUnsent }) => hasUnsent)) {
      await this.watched(() => {
        for (const connection of connections) connection.sendMore()
      })
    }
    for (const [connection, delivery] of deliveries) connection.check(delivery)
    // Some requests come in the turn after their predecessors, some much later.
    for (let turns = this.#random.uint32() % 3; turns > 0; turns--) await this.watched(() => undefined)
  }

  /** Lets everything happen that needs no time. */
  async #turns(connections: readonly FuzzConnection[], probes: readonly HttpProbe[]): Promise<void> {
    for (let turn = 0; turn < 24; turn++) await this.watched(() => undefined)
    // Node's HTTP server takes real time for its first request; later, what has no answer by then gets none.
    const patience = this.#round === 0 ? 100_000 : 200
    for (let turn = 0; turn < patience && probes.some((probe) => probe.isPending); turn++) {
      await this.watched(() => undefined)
    }
    for (const connection of connections) connection.check(null)
    await this.#untilAnswered(connections, OVERDUE_TURNS, () => undefined)
    await this.#untilAnswered(connections, 1, () => this.#broker.timers.advance(PATIENCE_MS))
    await this.#untilAnswered(connections, TURNS_OF_PATIENCE, () => undefined)
  }

  /** As many turns, each with that work in it, or fewer if nothing is overdue any more. */
  async #untilAnswered(connections: readonly FuzzConnection[], turns: number, work: () => void): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      const overdue = connections.filter((connection) => connection.isOverdue)
      if (overdue.length === 0) return
      await this.watched(work)
      for (const connection of overdue) connection.check(null)
    }
  }

  #connect(): FuzzConnection {
    const address = this.#address()
    return new FuzzConnection(this.#broker.openSocket(address), address)
  }

  /** Each connection comes from an address of its own, so that the log tells of each. */
  #address(): string {
    const number = this.#nextAddress++
    return `10.${(number >> 16) & 0xff}.${(number >> 8) & 0xff}.${number & 0xff}`
  }

  #closeReasons(): Map<string, string> {
    const reasons = new Map<string, string>()
    for (const { message, fields } of this.#broker.logger.lines) {
      if (message.startsWith('connection closed'))
        reasons.set(String(fields.clientAddress), String(fields.reason ?? message))
    }
    return reasons
  }

  async #restoreTopics(): Promise<void> {
    this.#topicIds = await this.#neighbour.restoreTopics()
    this.#source.useTopics(this.#topicIds)
  }

  /** Nothing ended the process, no handler failed. What was logged is forgotten. */
  #checkBroker(): void {
    const { fatalErrors, logger } = this.#broker
    for (const error of fatalErrors.splice(0))
      this.#fail(`the broker would have ended: ${error.stack ?? error.message}`)
    for (const { level, message, fields } of logger.lines) {
      if (level === 'error') this.#fail(`logged: ${message} ${JSON.stringify(fields)}`)
    }
    logger.lines.length = 0
  }

  /** With all that was sent in this round: nobody knows which of it did it. */
  #fail(what: string, heldMs: number | null = null): void {
    const sent = this.#connections
      .map((connection) => Buffer.concat(connection.sent))
      .filter(({ length }) => length > 0)
    this.#options.onFailure(this.#round, what, sent, heldMs)
  }
}

/** The largest request that was sent of late, which is mostly the one that takes time. */
function largestOf(connections: readonly FuzzConnection[]): string {
  let largest: Buffer = Buffer.alloc(0)
  for (const { sent } of connections) for (const bytes of sent) if (bytes.length > largest.length) largest = bytes
  if (largest.length < 8) return 'nothing'
  const [apiKey, version] = [largest.readInt16BE(4), largest.readInt16BE(6)]
  return `${apis[apiKey]?.name ?? apiKey} ${version} of ${largest.length} bytes`
}
