import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { SeededRandom } from '@millrace/base'
import { batchOf, valuesIn } from '@millrace/broker/testing'
import { type Broker, startBroker } from '@millrace/e2e'
import {
  createCreatableTopic,
  createCreatableTopicConfig,
  createCreateTopicsRequest,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  fetchApi,
  produceApi,
} from '@millrace/protocol'
import { sampleProcess } from '../../load/process-sample.ts'
import { type Metrics, metricOf, scrape } from '../../load/scrape.ts'
import { WireClient } from '../../load/wire-client.ts'
import { errorsIn } from '../kills/crash-run.ts'
import { waitedForCoreMs } from '../recovery/process-figures.ts'
import { AnswerChecker } from './answer-checker.ts'
import { FrameSource, servedVersions, TARGET_TOPICS } from './frame-source.ts'
import { type HttpAttack, healthRequest, httpAttack, httpComplaint } from './http-attacks.ts'
import { MemoryGrowth } from './memory-growth.ts'
import { type DelayReading, delayComplaint, OwnDelay } from './own-delay.ts'

const CONNECTION_COUNT = 16
const DELIVERIES_PER_CONNECTION = 6
/** How long a connection stays open for answers after its last bytes. */
const LINGER_MS = 20
/** The neighbour's answers take no longer. */
const NEIGHBOUR_MAX_MS = 10_000
/** One decent request over HTTP is waited for; attacks are not. */
const HEALTH_MAX_MS = 5_000
/** Rounds after which most code has run: delays of the loop are judged from then on. */
const DELAY_WARM_UP_ROUNDS = 10
/** Old versions, whose topics have names: ids would have to be asked for. */
const PRODUCE_VERSION = 12
const FETCH_VERSION = 12

/** How long this process held its own loop, in ms: what the neighbour waits meanwhile is not the broker's doing. */
let busyMs = 0

function busy<Result>(work: () => Result): Result {
  const startMs = performance.now()
  try {
    return work()
  } finally {
    busyMs += performance.now() - startMs
  }
}

export interface ProcessResult {
  frameCount: number
  answeredCount: number
  httpAnswerCount: number
  /** The longest that the neighbour waited for one answer. */
  longestNeighbourMs: number
  /** As the broker tells itself: every pause of its loop counts, also those that the machine makes. */
  longestDelayMs: number
  /** The same without what its thread waited for a core meanwhile, and without the first rounds; this is judged. */
  longestOwnDelayMs: number
  /** The longest full garbage collection, as the broker tells itself. */
  longestCollectionMs: number
  /** From the first half of the rounds to the second; see {@link MemoryGrowth}. */
  heldGrowthMiB: number
  anonymousGrowthMiB: number
}

export interface ProcessOptions {
  readonly seed: number
  readonly frames: number
  isStopped(): boolean
  onProgress(frameCount: number): void
  onFailure(round: number, what: string, sent: readonly Buffer[]): void
}

/** The shipped broker as a process of its own, under fire over TCP, while a neighbour goes on working. */
export async function attackProcess(options: ProcessOptions): Promise<ProcessResult> {
  const settings = { 'auto.create.topics.enable': 'false', 'log.retention.bytes': String(64 << 20) }
  const broker = await startBroker(settings, { ownGroup: true })
  try {
    return await new ProcessAttack(broker, options).run()
  } finally {
    await broker.dispose()
  }
}

class ProcessAttack {
  readonly #broker: Broker
  readonly #options: ProcessOptions
  readonly #source: FrameSource
  readonly #random: SeededRandom
  readonly #memory = new MemoryGrowth()
  #ownDelay: OwnDelay | null = null
  readonly #result: ProcessResult = {
    frameCount: 0,
    answeredCount: 0,
    httpAnswerCount: 0,
    longestNeighbourMs: 0,
    longestDelayMs: 0,
    longestOwnDelayMs: 0,
    longestCollectionMs: 0,
    heldGrowthMiB: 0,
    anonymousGrowthMiB: 0,
  }

  constructor(broker: Broker, options: ProcessOptions) {
    this.#broker = broker
    this.#options = options
    this.#source = new FrameSource(options.seed, { flood: 2_000, deluge: 20_000, bomb: 500 })
    this.#random = new SeededRandom(options.seed).fork('http')
  }

  async run(): Promise<ProcessResult> {
    const { onFailure } = this.#options
    const neighbour = await WireClient.open(this.#broker.port, NEIGHBOUR_MAX_MS)
    await createTopics(neighbour)
    await this.#attackWithHttp(0, healthRequest, HEALTH_MAX_MS)
    const isAlive = await this.#attackAll(neighbour)
    neighbour.close()
    // One that is gone, or does not answer, is a find already; `dispose` tells how it ended.
    if (!isAlive) return this.#result
    this.#result.heldGrowthMiB = this.#memory.heldMiB
    this.#result.anonymousGrowthMiB = this.#memory.anonymousMiB
    const growth = this.#memory.complaint()
    if (growth !== null) onFailure(-1, growth, [])
    this.#noteMetrics(await scrape(this.#broker.port))
    const { longestOwnDelayMs, longestCollectionMs } = this.#result
    const complaint = delayComplaint(longestOwnDelayMs, longestCollectionMs)
    if (complaint !== null) onFailure(-1, complaint, [])
    await this.#broker.stop()
    for (const line of errorsIn(readFileSync(join(this.#broker.directory, 'broker.log'), 'utf8')))
      onFailure(-1, line, [])
    return this.#result
  }

  /** Round after round, until enough was sent. Returns whether the neighbour was served to the end. */
  async #attackAll(neighbour: WireClient): Promise<boolean> {
    const { frames, isStopped, onProgress, onFailure } = this.#options
    const result = this.#result
    for (let round = 0; this.#source.frameCount < frames && !isStopped(); round++) {
      const framesBefore = this.#source.frameCount
      const sent = await this.#runRound(round, neighbour)
      if (sent === null) return false
      await this.#attackWithHttp(round, httpAttack(this.#random), LINGER_MS)
      await this.#watch(round)
      result.frameCount = this.#source.frameCount
      if (result.frameCount === framesBefore) {
        onFailure(round, 'nobody could connect', sent)
        return false
      }
      onProgress(result.frameCount)
    }
    return true
  }

  async #watch(round: number): Promise<void> {
    const { pid, port } = this.#broker
    const metrics = await scrape(port)
    this.#noteMetrics(metrics)
    const [heap, buffers] = ['heap-used', 'array-buffers'].map((kind) =>
      metricOf(metrics, `millrace_memory_bytes{kind="${kind}"}`),
    )
    this.#memory.note({ heldBytes: heap! + buffers!, anonymousBytes: sampleProcess(pid).anonymousBytes })
    const reading: DelayReading = {
      longestDelayMs: this.#result.longestDelayMs,
      waitedForCoreMs: waitedForCoreMs(pid),
    }
    if (round < DELAY_WARM_UP_ROUNDS) return
    if (this.#ownDelay === null) this.#ownDelay = new OwnDelay(reading)
    else this.#ownDelay.note(reading)
    this.#result.longestOwnDelayMs = this.#ownDelay.longestMs
  }

  #noteMetrics(metrics: Metrics): void {
    this.#result.longestDelayMs = metricOf(metrics, 'millrace_loop_longest_delay_seconds') * 1000
    const collections = ['major', 'incremental'].map((kind) =>
      metricOf(metrics, `millrace_gc_longest_seconds{kind="${kind}"}`),
    )
    this.#result.longestCollectionMs = Math.max(...collections) * 1000
  }

  /** Returns what each connection sent; null if the neighbour was not served: the next rounds would tell nothing else. */
  async #runRound(round: number, neighbour: WireClient): Promise<Buffer[] | null> {
    const { onFailure } = this.#options
    const { port } = this.#broker
    const attackers = Array.from({ length: CONNECTION_COUNT }, () => attack(port, this.#source))
    const work = askNeighbour(neighbour, round, this.#result)
    const attacked = await Promise.all(attackers)
    for (const { checker, sent } of attacked) {
      this.#result.answeredCount += checker.answeredCount
      for (const complaint of checker.complaints) onFailure(round, complaint, sent)
    }
    const all = attacked.map(({ sent }) => Buffer.concat(sent)).filter(({ length }) => length > 0)
    const complaint = await work
    if (complaint === null) return all
    onFailure(round, `the neighbour was not served: ${complaint}`, all)
    return null
  }

  async #attackWithHttp(round: number, attack: HttpAttack, lingerMs: number): Promise<void> {
    const text = await answerOverHttp(this.#broker.port, attack, lingerMs)
    if (text !== '') this.#result.httpAnswerCount++
    const complaint = httpComplaint(attack, text)
    if (complaint !== null) this.#options.onFailure(round, complaint, [attack.bytes])
  }
}

async function createTopics(client: WireClient): Promise<void> {
  const topics = Object.entries({ ...TARGET_TOPICS, neighbour: { partitions: 1, configs: {} } }).map(
    ([name, { partitions, configs }]) =>
      createCreatableTopic({
        name,
        numPartitions: partitions,
        replicationFactor: 1,
        configs: Object.entries(configs).map(([key, value]) =>
          createCreatableTopicConfig({ name: key, value: `${value}` }),
        ),
      }),
  )
  const answer = await client.call(createTopicsApi, 5, createCreateTopicsRequest({ topics, timeoutMs: 10_000 }))
  for (const { name, errorCode } of answer.topics)
    if (errorCode !== 0) throw new Error(`topic ${name}: error ${errorCode}`)
}

/** One connection's life: some deliveries, then a little time for answers. */
function attack(port: number, source: FrameSource): Promise<{ checker: AnswerChecker; sent: Buffer[] }> {
  return new Promise((resolve) => {
    const checker = new AnswerChecker(servedVersions)
    const sent: Buffer[] = []
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.on('data', (bytes) => busy(() => checker.onReceived(bytes)))
    // A refused connection is often a reset one: that is for the close to tell.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve({ checker, sent }))
    socket.once('connect', () => {
      sendAll(socket, source, checker, sent).then(
        () => setTimeout(() => socket.destroy(), LINGER_MS),
        (error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))),
      )
    })
  })
}

async function sendAll(socket: Socket, source: FrameSource, checker: AnswerChecker, sent: Buffer[]): Promise<void> {
  for (let number = 0; number < DELIVERIES_PER_CONNECTION && !socket.destroyed; number++) {
    const { bytes, cuts } = busy(() => source.delivery())
    sent.push(bytes)
    busy(() => checker.onSent(bytes))
    const ends =
      cuts === 'none'
        ? [bytes.length]
        : cuts === 'every'
          ? Array.from(bytes, (_, at) => at + 1)
          : [...cuts, bytes.length]
    let start = 0
    for (const end of ends) {
      if (socket.destroyed) return
      socket.write(bytes.subarray(start, end))
      start = end
      // Without Nagle's algorithm each piece is a packet, and mostly a read, of its own.
      if (cuts !== 'none') await new Promise((resolve) => setImmediate(resolve))
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function askNeighbour(neighbour: WireClient, round: number, result: ProcessResult): Promise<string | null> {
  try {
    const [startMs, startBusyMs] = [performance.now(), busyMs]
    const topicData = [
      createTopicProduceData({
        name: 'neighbour',
        partitionData: [createPartitionProduceData({ index: 0, records: batchOf([`${round}`], {}) })],
      }),
    ]
    const produce = createProduceRequest({ acks: -1, timeoutMs: 10_000, topicData })
    const produced = await neighbour.call(produceApi, PRODUCE_VERSION, produce)
    const [producedMs, producedBusyMs] = [performance.now(), busyMs]
    const { baseOffset, errorCode } = produced.responses[0]!.partitionResponses[0]!
    if (errorCode !== 0 || baseOffset !== round) return `produce: error ${errorCode}, offset ${baseOffset}`
    const partitions = [createFetchRequestFetchPartition({ fetchOffset: round, partitionMaxBytes: 1 << 20 })]
    const topics = [createFetchRequestFetchTopic({ topic: 'neighbour', partitions })]
    const fetch = createFetchRequest({ maxWaitMs: 1000, minBytes: 1, maxBytes: 1 << 20, sessionEpoch: -1, topics })
    const fetched = await neighbour.call(fetchApi, FETCH_VERSION, fetch)
    const produceMs = producedMs - startMs - (producedBusyMs - startBusyMs)
    const fetchMs = performance.now() - producedMs - (busyMs - producedBusyMs)
    result.longestNeighbourMs = Math.max(result.longestNeighbourMs, produceMs, fetchMs)
    const values = valuesIn(fetched.responses[0]!.partitions[0]!.records)
    return values.length === 1 && values[0] === `${round}` ? null : `fetch: ${values.join(', ')}`
  } catch (error) {
    return String(error)
  }
}

/** All that comes back until the broker closes the connection, or for so long. A decent request is waited for until its answer is there. */
function answerOverHttp(port: number, attack: HttpAttack, lingerMs: number): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(port, '127.0.0.1')
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      if (attack.isHealth === true && httpComplaint(attack, received) === null) socket.destroy()
    })
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve(received))
    socket.once('connect', () => {
      socket.write(attack.bytes)
      const timer = setTimeout(() => socket.destroy(), lingerMs)
      socket.once('close', () => clearTimeout(timer))
    })
  })
}
