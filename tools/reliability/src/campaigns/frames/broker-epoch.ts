import { SeededRandom, type Uuid } from '@millrace/base'
import { batchOf, type DataClient, TestBroker, valuesIn } from '@millrace/broker/testing'
import {
  apis,
  createDeleteTopicState,
  createDeleteTopicsRequest,
  createMetadataRequest,
  deleteTopicsApi,
  metadataApi,
} from '@millrace/protocol'
import { type Delivery, FrameSource, type RareFrames, TARGET_TOPICS } from './frame-source.ts'
import { FuzzConnection } from './fuzz-connection.ts'
import { HttpProbe } from './http-probe.ts'
import { heapBytesAfterGc, MAX_STALL_MS, type StallWatch } from './stall-watch.ts'
import { WatchedChecks } from './watched-checks.ts'

const CONNECTION_COUNT = 24
const DELIVERIES_PER_CONNECTION = 6
/** HTTP goes by Node's own server: a little of it is enough. */
const HTTP_PER_ROUND = 1
/** `reliability.md`, 6.3. */
const MAX_HEAP_GROWTH_BYTES = 64 * 1024 * 1024
/** Rounds after which what is made once, and kept, has been made. */
const WARM_UP_ROUNDS = 30
/** Rounds between looks at the topics, and between waits that let time pass. */
const LOOK_ROUNDS = 8

/** How complaints of stalls end. */
export const HELD = 'held the loop'

/** What one broker's life gave. */
export interface EpochResult {
  frameCount: number
  answeredCount: number
  closedCount: number
  heapGrowthBytes: number
}

export interface EpochOptions {
  readonly seed: number
  readonly frames: number
  readonly rare: RareFrames
  readonly watch: StallWatch
  readonly signal: AbortSignal
  onProgress(frameCount: number): void
  /** Something did not hold: what, in which round, and what was sent by whom. */
  onFailure(round: number, what: string, sent: readonly Buffer[]): void
}

/**
 * One life of a broker in this process: many connections send what a {@link FrameSource} makes, while a neighbour goes on working.
 * Everything follows from the seed.
 */
export class BrokerEpoch {
  readonly #options: EpochOptions
  readonly #broker: TestBroker
  readonly #neighbour: DataClient
  readonly #source: FrameSource
  readonly #random: SeededRandom
  readonly #result: EpochResult = { frameCount: 0, answeredCount: 0, closedCount: 0, heapGrowthBytes: 0 }
  /** Topics of this broker, as the neighbour last saw them. */
  #topicIds = new Map<string, Uuid>()
  #round = 0
  #nextAddress = 1

  static async run(options: EpochOptions): Promise<EpochResult> {
    const settings = {
      'auto.create.topics.enable': String(options.seed % 2 === 1),
      // The simulated disk is memory: old records go.
      'log.segment.bytes': String(1 << 20),
      'log.retention.bytes': String(2 << 20),
      'log.retention.check.interval.ms': '10000',
      'log.segment.delete.delay.ms': '1000',
    }
    const broker = await TestBroker.start({
      seed: options.seed,
      settings,
      batchChecks: new WatchedChecks(options.watch),
    })
    const epoch = new BrokerEpoch(options, broker)
    try {
      await epoch.#run()
    } finally {
      await broker.stop()
    }
    epoch.#checkBroker()
    return epoch.#result
  }

  private constructor(options: EpochOptions, broker: TestBroker) {
    this.#options = options
    this.#broker = broker
    this.#neighbour = broker.connect('10.255.255.254')
    this.#source = new FrameSource(options.seed, options.rare)
    this.#random = new SeededRandom(options.seed).fork('rounds')
  }

  async #run(): Promise<void> {
    const { frames, signal, onProgress } = this.#options
    await this.#neighbour.createTopic('neighbour')
    let heapBytes = 0
    while (this.#source.frameCount < frames && !signal.aborted) {
      if (this.#round % LOOK_ROUNDS === 0) await this.#restoreTopics()
      await this.#runRound()
      await this.#checkNeighbour()
      this.#checkBroker()
      if (this.#round === WARM_UP_ROUNDS) heapBytes = heapBytesAfterGc()
      this.#round++
      onProgress(this.#source.frameCount)
    }
    this.#result.frameCount = this.#source.frameCount
    if (this.#round <= WARM_UP_ROUNDS) return
    this.#neighbour.frames.length = 0
    const growthBytes = heapBytesAfterGc() - heapBytes
    this.#result.heapGrowthBytes = growthBytes
    if (growthBytes > MAX_HEAP_GROWTH_BYTES) this.#fail(`the heap grew by ${growthBytes} bytes`, [])
  }

  async #runRound(): Promise<void> {
    const connections = Array.from({ length: CONNECTION_COUNT }, () => this.#connect())
    const probes = Array.from(
      { length: HTTP_PER_ROUND },
      () => new HttpProbe(this.#broker, this.#random, this.#address()),
    )
    for (let step = 0; step < DELIVERIES_PER_CONNECTION; step++) await this.#step(connections)
    await this.#turns(connections, probes)
    if (this.#round % LOOK_ROUNDS === LOOK_ROUNDS - 1) {
      const durationMs = this.#random.uint32() % 20_000
      await this.#watched(() => this.#broker.timers.advance(durationMs), connections)
    }
    await this.#turns(connections, probes)
    const reasons = this.#closeReasons()
    for (const connection of connections) {
      for (const complaint of connection.finish(reasons.get(connection.address))) this.#fail(complaint, connection.sent)
      this.#result.answeredCount += connection.checker.answeredCount
      for (const sessionId of connection.checker.sessionIds) this.#source.useSession(sessionId)
      if (connection.isClosed) this.#result.closedCount++
    }
    for (const probe of probes) {
      const complaint = probe.finish()
      if (complaint !== null) this.#fail(complaint, [probe.sent])
    }
  }

  async #step(connections: readonly FuzzConnection[]): Promise<void> {
    const deliveries = new Map<FuzzConnection, Delivery>()
    for (const connection of connections) {
      if (!connection.isClosed) deliveries.set(connection, this.#source.delivery())
    }
    await this.#watched(() => {
      for (const [connection, delivery] of deliveries) connection.send(delivery)
    }, connections)
    for (const [connection, delivery] of deliveries) connection.check(delivery)
    // Some requests come in the turn after their predecessors, some much later.
    for (let turns = this.#random.uint32() % 3; turns > 0; turns--) await this.#watched(() => undefined, connections)
  }

  /** Lets everything happen that needs no time. */
  async #turns(connections: readonly FuzzConnection[], probes: readonly HttpProbe[]): Promise<void> {
    for (let turn = 0; turn < 24; turn++) await this.#watched(() => undefined, connections)
    // Node's HTTP server takes real time for its first request; later, what has no answer by then gets none.
    const patience = this.#round === 0 ? 100_000 : 200
    for (let turn = 0; turn < patience && probes.some((probe) => probe.isPending); turn++) {
      await this.#watched(() => undefined, connections)
    }
  }

  async #watched(work: () => void, connections: readonly FuzzConnection[]): Promise<void> {
    const heldMs = await this.#options.watch.turn(work)
    if (heldMs <= MAX_STALL_MS) return
    const sent = connections.map((connection) => Buffer.concat(connection.sent)).filter((bytes) => bytes.length > 0)
    this.#fail(`${heldMs.toFixed(0)} ms, beside ${largestOf(connections)}, a turn ${HELD}`, sent)
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

  /** The neighbour's own records come back, in order, and it is told of its topic. */
  async #checkNeighbour(): Promise<void> {
    const round = this.#round
    const outcome = await this.#askNeighbour(async () => {
      const { baseOffset, errorCode } = await this.#neighbour.produce('neighbour', batchOf([`${round}`]))
      if (errorCode !== 0 || baseOffset !== round) return `produce: error ${errorCode}, offset ${baseOffset}`
      const values = valuesIn((await this.#neighbour.fetchFrom('neighbour', round)).records)
      return values.length === 1 && values[0] === `${round}` ? null : `fetch: ${values.join(', ')}`
    })
    if (outcome !== null) this.#fail(`the neighbour was not served: ${outcome}`, [])
  }

  /** Gives null, or what went wrong; an answer that does not come in many turns is a failure too. */
  async #askNeighbour(ask: () => Promise<string | null>): Promise<string | null> {
    let outcome: string | null | undefined
    ask().then(
      (result) => {
        outcome = result
      },
      (error: unknown) => {
        outcome = String(error)
      },
    )
    for (let turn = 0; turn < 2000 && outcome === undefined; turn++)
      await new Promise((resolve) => setImmediate(resolve))
    this.#neighbour.frames.length = 0
    return outcome === undefined ? 'no answer' : outcome
  }

  /** Nothing ended the process, no handler failed. What was logged is forgotten. */
  #checkBroker(): void {
    const { fatalErrors, logger } = this.#broker
    for (const error of fatalErrors.splice(0))
      this.#fail(`the broker would have ended: ${error.stack ?? error.message}`, [])
    for (const { level, message, fields } of logger.lines) {
      if (level === 'error') this.#fail(`logged: ${message} ${JSON.stringify(fields)}`, [])
    }
    logger.lines.length = 0
  }

  /** Topics that were deleted come back, those that floods made go. */
  async #restoreTopics(): Promise<void> {
    const client = this.#broker.connect('10.255.255.253')
    const outcome = await this.#askNeighbour(async () => {
      const { topics } = await client.call(metadataApi, 12, createMetadataRequest({ topics: null }))
      const found = new Map(topics.map(({ name, topicId }) => [name ?? '', topicId]))
      const flooded = [...found.keys()].filter((name) => /^n\d+$/.test(name))
      if (flooded.length > 0) {
        const names = flooded.map((name) => createDeleteTopicState({ name }))
        await client.call(deleteTopicsApi, 6, createDeleteTopicsRequest({ topics: names, timeoutMs: 1000 }))
      }
      for (const [name, { partitions, configs }] of Object.entries(TARGET_TOPICS)) {
        if (!found.has(name)) found.set(name, await client.createTopic(name, partitions, configs))
      }
      found.delete('neighbour')
      this.#topicIds = found
      return null
    })
    client.close()
    if (outcome !== null) this.#fail(`topics could not be made: ${outcome}`, [])
    this.#source.useTopics(this.#topicIds)
  }

  #fail(what: string, sent: readonly Buffer[]): void {
    this.#options.onFailure(this.#round, what, sent)
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
