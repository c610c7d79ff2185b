import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '@millrace/base'
import { Admin, Consumer } from '@millrace/client'
import { type Cluster, startCluster } from '../harness/cluster.ts'
import { run } from '../harness/run.ts'
import { until } from '../harness/until.ts'
import { type Counted, checkCounts } from './check-counts.ts'
import { feed } from './feeder.ts'
import { WordCount } from './word-count.ts'

export interface WordCountRunOptions {
  readonly seconds: number
  /** Between two kills of leaders. */
  readonly killEveryMs: number
  readonly linesPerSecond: number
  /** Processes of the application. */
  readonly instances: number
  readonly seed: number
  onPhase(what: string): void
}

export interface WordCountResult {
  readonly system: 'millrace' | 'kafka'
  readonly leaderKills: number
  readonly lines: number
  readonly words: number
  readonly counted: number
  /** Threads of Kafka Streams that ended with an error and were replaced. */
  readonly replacedThreads: number
  /** From the last line sent until all was counted, or was given up. */
  readonly drainMs: number
  /** Empty if every line was counted exactly once. */
  readonly problems: readonly string[]
}

const INPUT = 'lines'
const OUTPUT = 'counts'
const APPLICATION = 'word-count'
const PARTITIONS = 4
/** How long a killed node is away, at least. */
const DOWN_MS = 2000
/** Of the application to have counted everything, with all nodes up: members and transactions that were lost must be missed first. */
const COUNTED_LIMIT_MS = 180_000

/**
 * Kafka Streams counts words on a cluster of three whose leaders are killed, one each `killEveryMs`; then all that it has put out is held
 * against all that was put in. Throws if nodes or the application do not start or end as they should.
 */
export async function runWordCount(options: WordCountRunOptions): Promise<WordCountResult> {
  options.onPhase('the cluster starts')
  const cluster = await startCluster({}, { ownGroup: true })
  const admin = new Admin({ bootstrapServers: cluster.bootstrap, requestTimeoutMs: 3000, metadataMaxAgeMs: 1000 })
  const stateDirectory = mkdtempSync(join(tmpdir(), 'millrace-streams-'))
  const instances: WordCount[] = []
  try {
    return await new Run(options, cluster, admin, stateDirectory, instances).play()
  } finally {
    await Promise.all(instances.map((instance) => instance.kill()))
    await admin.close()
    await cluster.dispose()
    rmSync(stateDirectory, { recursive: true, force: true })
  }
}

class Run {
  readonly #options: WordCountRunOptions
  readonly #cluster: Cluster
  readonly #admin: Admin
  readonly #stateDirectory: string
  readonly #instances: WordCount[]
  readonly #random: SeededRandom
  #leaderKills = 0

  constructor(
    options: WordCountRunOptions,
    cluster: Cluster,
    admin: Admin,
    stateDirectory: string,
    instances: WordCount[],
  ) {
    this.#options = options
    this.#cluster = cluster
    this.#admin = admin
    this.#stateDirectory = stateDirectory
    this.#instances = instances
    this.#random = new SeededRandom(options.seed)
  }

  async play(): Promise<WordCountResult> {
    const { onPhase, linesPerSecond, seconds } = this.#options
    const { bootstrap } = this.#cluster
    for (const name of [INPUT, OUTPUT]) await this.#createTopic(name)
    onPhase('the application starts')
    this.#startInstances()
    const feeding = new AbortController()
    const random = this.#random.fork('lines')
    const fed = feed({ bootstrap, topic: INPUT, linesPerSecond, random }, feeding.signal)
    // Whoever waits for it gets the failure.
    fed.catch(() => undefined)
    await until('the first words are counted', () => this.#isCounting(), 120_000)
    onPhase(`leaders are killed for ${seconds} s`)
    await this.#killLeaders()
    feeding.abort()
    const lineCount = await fed
    const beginMs = performance.now()
    const lines = await readValues(bootstrap, INPUT)
    const words = lines.reduce((sum, line) => sum + line.split(' ').length, 0)
    onPhase(`the rest of ${words} words is counted`)
    const problems = await this.#awaitCounted(words)
    const drainMs = Math.round(performance.now() - beginMs)
    await Promise.all(this.#instances.map((instance) => instance.stop()))
    const output = await readCounts(bootstrap)
    if (lines.length !== lineCount) problems.push(`${lineCount} lines were sent, and ${lines.length} are there`)
    return {
      system: this.#cluster.kind,
      leaderKills: this.#leaderKills,
      lines: lines.length,
      words,
      counted: output.length,
      replacedThreads: this.#instances.reduce((sum, { replaced }) => sum + replaced.length, 0),
      drainMs,
      problems: [...problems, ...checkCounts(lines, output)],
    }
  }

  async #createTopic(name: string): Promise<void> {
    const wanted = { name, partitions: PARTITIONS, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } }
    const [created] = await this.#admin.createTopics([wanted])
    // The answer to the first try may have been lost on a busy machine; nobody else makes topics here.
    if (created!.error !== null && created!.error.code !== 'TOPIC_ALREADY_EXISTS') throw created!.error
  }

  #startInstances(): void {
    const { bootstrap } = this.#cluster
    for (let number = 1; number <= this.#options.instances; number++) {
      const stateDirectory = join(this.#stateDirectory, String(number))
      this.#instances.push(
        new WordCount({ bootstrap, application: APPLICATION, input: INPUT, output: OUTPUT, stateDirectory }),
      )
    }
  }

  async #isCounting(): Promise<boolean> {
    this.#throwIfEnded()
    if (!this.#instances.every(({ isRunning }) => isRunning)) return false
    const asked = Array.from({ length: PARTITIONS }, (_, partition) => ({
      topic: OUTPUT,
      partition,
      spec: 'latest' as const,
    }))
    const ends = await this.#admin.listOffsets(asked, { isolationLevel: 'read_committed' }).catch(() => [])
    return ends.some(({ offset }) => offset > 0n)
  }

  /** One at a time, and each comes back before the next goes, though maybe not into every set of replicas. */
  async #killLeaders(): Promise<void> {
    const { seconds, killEveryMs } = this.#options
    const random = this.#random.fork('kills')
    const beginMs = performance.now()
    const sleepUntil = (atMs: number) => delay(Math.max(0, beginMs + atMs - performance.now()))
    for (let round = 1; round * killEveryMs < seconds * 1000; round++) {
      await sleepUntil(round * killEveryMs)
      this.#throwIfEnded()
      const leaderId = await until('somebody leads', () => this.#someLeader(random), 60_000)
      const node = this.#cluster.nodes.find(({ id }) => id === leaderId)!
      await node.kill()
      this.#leaderKills++
      this.#options.onPhase(`kill ${this.#leaderKills}: node ${leaderId}`)
      await delay(DOWN_MS)
      await node.restart()
    }
    await sleepUntil(seconds * 1000)
  }

  /** Of a partition of any topic, those of the application and of coordinators among them; null if nobody tells. */
  async #someLeader(random: SeededRandom): Promise<number | null> {
    const listed = await this.#admin.listTopics({ includeInternal: true }).catch(() => [])
    const described = await this.#admin.describeTopics(listed.map(({ name }) => name)).catch(() => [])
    const leaders = described.flatMap((topic) =>
      topic.error === null ? topic.partitions.map(({ leader }) => leader).filter((leader) => leader >= 0) : [],
    )
    return leaders.length === 0 ? null : leaders[random.uint32() % leaders.length]!
  }

  /** Reads on until there is a count for each word, or the time is over: the verdict is for whoever reads all of it afterwards. */
  async #awaitCounted(words: number): Promise<string[]> {
    const consumer = new Consumer({ bootstrapServers: this.#cluster.bootstrap, isolationLevel: 'read_committed' })
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: OUTPUT, partition }))
    consumer.assign(partitions.map((place) => ({ ...place, start: 'earliest' })))
    const deadlineMs = performance.now() + COUNTED_LIMIT_MS
    let counted = 0
    try {
      while (counted < words) {
        this.#throwIfEnded()
        if (performance.now() > deadlineMs)
          return [`${counted} of ${words} words were counted ${COUNTED_LIMIT_MS / 1000} s after the last line`]
        const batches = await consumer.poll({ timeoutMs: 1000 })
        counted += batches.reduce((sum, { records }) => sum + records.length, 0)
      }
      return []
    } finally {
      await consumer.close()
    }
  }

  #throwIfEnded(): void {
    for (const { hasEnded, log } of this.#instances)
      if (hasEnded) throw new Error(`the application ended by itself\n${log}`)
  }
}

/** Committed records as librdkafka reads them, which has no part in any of this. */
async function readLines(bootstrap: string, topic: string, format: string): Promise<string[]> {
  const isolation = ['-X', 'isolation.level=read_committed']
  const args = ['-C', '-b', bootstrap, '-t', topic, '-o', 'beginning', '-e', '-q', '-f', format, ...isolation]
  const { stdout } = await run('kcat', args, { timeoutMs: 180_000 })
  return stdout.split('\n').filter((line) => line !== '')
}

function readValues(bootstrap: string, topic: string): Promise<string[]> {
  return readLines(bootstrap, topic, '%s\\n')
}

async function readCounts(bootstrap: string): Promise<Counted[]> {
  const lines = await readLines(bootstrap, OUTPUT, '%k %s\\n')
  return lines.map((line) => {
    const [word = '', count = ''] = line.split(' ')
    return { word, count: Number(count) }
  })
}
