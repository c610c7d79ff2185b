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
import { AnswerChecker } from './answer-checker.ts'
import { FrameSource, servedVersions, TARGET_TOPICS } from './frame-source.ts'
import { httpAttack, httpComplaint } from './http-attacks.ts'
import { TcpClient } from './tcp-client.ts'

const CONNECTION_COUNT = 16
const DELIVERIES_PER_CONNECTION = 6
/** How long a connection stays open for answers after its last bytes. */
const LINGER_MS = 20
const WARM_UP_ROUNDS = 20
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
  /** The longest that the neighbour waited for one answer. */
  longestNeighbourMs: number
  /** As the broker tells itself: every pause of its loop counts, also those that the machine makes. */
  longestDelayMs: number
  /** Of anonymous memory, over all rounds but the first. */
  rssGrowthBytes: number
}

export interface ProcessOptions {
  readonly seed: number
  readonly frames: number
  readonly signal: AbortSignal
  onProgress(frameCount: number): void
  onFailure(round: number, what: string, sent: readonly Buffer[]): void
}

/** The shipped broker as a process of its own, under fire over TCP, while a neighbour goes on working. */
export async function attackProcess(options: ProcessOptions): Promise<ProcessResult> {
  const { seed, frames, signal, onProgress, onFailure } = options
  const broker = await startBroker({ 'auto.create.topics.enable': 'false', 'log.retention.bytes': String(64 << 20) })
  const result: ProcessResult = { frameCount: 0, longestNeighbourMs: 0, longestDelayMs: 0, rssGrowthBytes: 0 }
  const source = new FrameSource(seed, { flood: 2_000, deluge: 20_000, bomb: 500 })
  const random = new SeededRandom(seed).fork('http')
  try {
    const neighbour = await TcpClient.connect(broker.port)
    await createTopics(neighbour)
    let anonymousBytes = 0
    for (let round = 0; source.frameCount < frames && !signal.aborted; round++) {
      const attackers = Array.from({ length: CONNECTION_COUNT }, () => attack(broker.port, source))
      const work = askNeighbour(neighbour, round, result)
      for (const { complaints, sent } of await Promise.all(attackers)) {
        for (const complaint of complaints) onFailure(round, complaint, sent)
      }
      const complaint = await work
      if (complaint !== null) onFailure(round, `the neighbour was not served: ${complaint}`, [])
      const http = await attackWithHttp(broker.port, random)
      if (http !== null) onFailure(round, http.complaint, [http.sent])
      if (round === WARM_UP_ROUNDS) anonymousBytes = anonymousBytesOf(broker.pid)
      if (round > WARM_UP_ROUNDS) result.rssGrowthBytes = anonymousBytesOf(broker.pid) - anonymousBytes
      result.frameCount = source.frameCount
      onProgress(source.frameCount)
    }
    neighbour.close()
    result.longestDelayMs = await longestDelayMs(broker)
    await broker.stop()
    for (const line of errorsIn(broker)) onFailure(-1, `logged: ${line}`, [])
  } finally {
    await broker.dispose()
  }
  return result
}

async function createTopics(client: TcpClient): Promise<void> {
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

/** One connection's life: some deliveries, then a little time for answers. Returns what was wrong with them. */
function attack(port: number, source: FrameSource): Promise<{ complaints: string[]; sent: Buffer[] }> {
  return new Promise((resolve) => {
    const checker = new AnswerChecker(servedVersions)
    const sent: Buffer[] = []
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.on('data', (bytes) => busy(() => checker.onReceived(bytes)))
    // A refused connection is often a reset one: that is for the close to tell.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve({ complaints: checker.complaints, sent }))
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

async function askNeighbour(neighbour: TcpClient, round: number, result: ProcessResult): Promise<string | null> {
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

async function attackWithHttp(port: number, random: SeededRandom): Promise<{ complaint: string; sent: Buffer } | null> {
  const attack = httpAttack(random)
  const text = await new Promise<string>((resolve) => {
    let received = ''
    const socket = connect(port, '127.0.0.1')
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
    })
    socket.on('error', () => socket.destroy())
    socket.once('close', () => resolve(received))
    socket.once('connect', () => {
      socket.write(attack.bytes)
      setTimeout(() => socket.destroy(), LINGER_MS)
    })
  })
  const complaint = httpComplaint(attack, text)
  return complaint === null ? null : { complaint, sent: attack.bytes }
}

async function longestDelayMs({ port }: Broker): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const match = /^millrace_loop_longest_delay_seconds (?<seconds>\S+)$/m.exec(text)
  return match === null ? 0 : Number(match.groups!.seconds) * 1000
}

function anonymousBytesOf(pid: number): number {
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return match === null ? 0 : Number(match[1]) * 1024
}

/** Lines of the broker's log that tell of a fault of its own. */
function errorsIn(broker: Broker): string[] {
  const lines = readFileSync(join(broker.directory, 'broker.log'), 'utf8').split('\n')
  return lines.filter((line) => /"level":(?:50|60|"error"|"fatal")|\b(?:ERROR|FATAL)\b/.test(line))
}
