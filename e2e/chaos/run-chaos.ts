import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '@millrace/base'
import { until } from '../harness/until.ts'
import { type Profile, safeProfile } from './checker/anomaly.ts'
import { checkHistory, type Verdict } from './checker/check-history.ts'
import { ChaosCluster } from './cluster/chaos-cluster.ts'
import type { System } from './cluster/system.ts'
import type { Fault } from './faults/fault.ts'
import { Nemesis } from './faults/nemesis.ts'
import type { History, Key } from './history/operation.ts'
import { Recorder } from './history/recorder.ts'
import { type LeaderSample, watchLeaders } from './leader-watch.ts'
import { transactionTimeoutMs } from './workload/client-protocol.ts'
import { finalRead } from './workload/final-read.ts'
import { keyOf } from './workload/knowledge.ts'
import { seal, untilProcessed, untilTransactionsEnd } from './workload/quiescence.ts'
import { prepareShareGroup, untilShared, watchShares } from './workload/share-group.ts'
import { loadTopic, outputTopic, processorGroup, registerTopic, Workload } from './workload/workload.ts'

export interface ChaosOptions {
  readonly system: System
  readonly nodeCount: number
  readonly seconds: number
  readonly faults: readonly Fault[]
  readonly seed: number
  readonly ratePerSecond: number
  readonly gapMs: number
  /** Of the time that faults usually last. */
  readonly holdShare: number
  /** Logs of nodes, their records and the history go here. */
  readonly directory: string
  readonly signal: AbortSignal
  onProgress(doneSeconds: number, totalSeconds: number, note: string): void
  /** What it does next, outside of the time in which things are broken. */
  onPhase(what: string): void
}

export interface ChaosResult {
  readonly verdict: Verdict
  readonly history: History
  readonly leaders: readonly LeaderSample[]
  /** What went wrong that no history shows: nodes that died, bad lines in logs, a cluster that did not heal. */
  readonly problems: readonly string[]
  readonly faultCounts: ReadonlyMap<string, number>
  readonly isStopped: boolean
}

const PARTITIONS = 6
const OUTPUT_PARTITIONS = 3
const topics = [loadTopic, registerTopic, outputTopic]
const registerKey = keyOf(registerTopic, 0)
/** After the last fault: what is on its way still comes late, and meets a whole cluster. */
const SETTLE_MS = 10_000
const WHOLE_LIMIT_MS = 60_000
const FINAL_READ_LIMIT_MS = 200_000
/** Of transactions that nobody ends, once the cluster is healthy. */
const TRANSACTIONS_LIMIT_MS = transactionTimeoutMs + 30_000
const SEAL_LIMIT_MS = 30_000
/** Of processors to come to the end of what was sent: members that were lost must be missed first. */
const PROCESSED_LIMIT_MS = 90_000
/** Of the share group to be done with all: locks of members that were lost must run out first. */
const SHARED_LIMIT_MS = 90_000
/** Of all of these, for who was told to stop and wants to go. */
const STOPPED_LIMIT_MS = 20_000

/** One run from the start of the cluster to the verdict. Throws only if the cluster does not start. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { system, nodeCount, directory, seed, ratePerSecond } = options
  mkdirSync(directory, { recursive: true })
  options.onPhase('the cluster starts')
  const hasDisks = options.faults.some(({ family }) => family === 'disk')
  const cluster = await ChaosCluster.start({ system, nodeCount, directory, settings: {}, hasDisks })
  const recorder = new Recorder(join(directory, 'history.jsonl'), seed)
  const { bootstrap } = cluster
  const load = { partitions: PARTITIONS, outputPartitions: OUTPUT_PARTITIONS, ratePerSecond }
  const workload = new Workload({ bootstrap, recorder, seed, ...load })
  try {
    return await new Run(options, cluster, recorder, workload).play()
  } finally {
    await workload.end()
    await cluster.close()
  }
}

class Run {
  readonly #options: ChaosOptions
  readonly #cluster: ChaosCluster
  readonly #recorder: Recorder
  readonly #workload: Workload
  readonly #problems: string[] = []

  constructor(options: ChaosOptions, cluster: ChaosCluster, recorder: Recorder, workload: Workload) {
    this.#options = options
    this.#cluster = cluster
    this.#recorder = recorder
    this.#workload = workload
  }

  async play(): Promise<ChaosResult> {
    const { signal, onPhase } = this.#options
    await this.#cluster.createTopic(loadTopic, PARTITIONS)
    await this.#cluster.createTopic(registerTopic, 1)
    await this.#cluster.createTopic(outputTopic, OUTPUT_PARTITIONS)
    await prepareShareGroup(this.#cluster.admin)
    onPhase('clients start')
    this.#workload.start()
    const watching = new AbortController()
    const watched = watchLeaders(this.#cluster, this.#recorder, topics, watching.signal)
    const sharesWatched = watchShares(this.#cluster.admin, this.#recorder, watching.signal)
    await this.#untilWarm()
    const faultCounts = await this.#harass()
    onPhase('everything is healed')
    await this.#heal()
    const ends = await this.#comeToRest()
    onPhase('all is read back')
    await this.#readBack(ends)
    watching.abort()
    const leaders = await watched
    await sharesWatched
    const history = await this.#recorder.finish()
    this.#lookAtProcesses()
    onPhase('the history is judged')
    const verdict = checkHistory(history, this.#profile())
    return { verdict, history, leaders, problems: this.#problems, faultCounts, isStopped: signal.aborted }
  }

  /** Kafka's protocol owes no reader the newest value while a deposed leader does not know yet that it is one. */
  #profile(): Profile {
    const isCutOff = this.#options.faults.some(({ family }) => family === 'network' || family === 'pause')
    return { ...safeProfile, mustReadNewest: !isCutOff }
  }

  /** Every log has been written to before anything breaks. */
  async #untilWarm(): Promise<void> {
    const { knowledge } = this.#workload
    await until('every log is written', () => knowledge.keys.every((key) => knowledge.acknowledgedEnd(key) > 0), 60_000)
  }

  async #harass(): Promise<ReadonlyMap<string, number>> {
    const { seconds, seed, faults, gapMs, holdShare, signal, onProgress } = this.#options
    const ending = new AbortController()
    const target = {
      cluster: this.#cluster,
      workload: this.#workload,
      random: new SeededRandom(seed).fork('faults'),
      topics,
      signal: ending.signal,
    }
    const nemesis = new Nemesis({ target, faults, recorder: this.#recorder, gapMs, holdShare })
    const beginMs = performance.now()
    const timer = setInterval(() => {
      const doneSeconds = (performance.now() - beginMs) / 1000
      onProgress(Math.min(doneSeconds, seconds), seconds, this.#note(nemesis))
      if (doneSeconds >= seconds) ending.abort()
    }, 250)
    const stop = () => ending.abort()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    try {
      await nemesis.run()
    } catch (error) {
      this.#problems.push(`a fault could not be done: ${String(error)}`)
    } finally {
      clearInterval(timer)
      signal.removeEventListener('abort', stop)
      this.#problems.push(...nemesis.stuck)
    }
    return nemesis.counts
  }

  #note({ counts }: Nemesis): string {
    const faultCount = [...counts.values()].reduce((sum, count) => sum + count, 0)
    return `${faultCount} faults, ${this.#workload.knowledge.acknowledgedCount} records acknowledged`
  }

  async #heal(): Promise<void> {
    this.#cluster.heal()
    this.#recorder.healed()
    await delay(SETTLE_MS)
    try {
      await until('every replica is in sync', () => this.#cluster.isWhole(topics), this.#limit(WHOLE_LIMIT_MS))
    } catch (error) {
      this.#problems.push(`the cluster did not become whole after the last fault: ${String(error)}`)
    }
  }

  #limit(ms: number): number {
    return this.#options.signal.aborted ? Math.min(ms, STOPPED_LIMIT_MS) : ms
  }

  /** Everybody finishes, and each log gets a last record. Answers the ends behind those. */
  async #comeToRest(): Promise<Map<Key, number>> {
    const { onPhase } = this.#options
    const { knowledge } = this.#workload
    onPhase('clients end what they do')
    await this.#workload.stopSending()
    const sent = await this.#seal([...knowledge.keys, registerKey])
    onPhase('what was sent is processed to its end')
    const inputs = new Map([...sent].filter(([key]) => knowledge.keys.includes(key)))
    const options = { admin: this.#cluster.admin, recorder: this.#recorder, keys: knowledge.keys }
    const limitMs = this.#limit(PROCESSED_LIMIT_MS)
    if (!(await untilProcessed({ ...options, limitMs }, processorGroup, inputs)))
      this.#problems.push(`the processors did not come to the end of what was sent within ${limitMs / 1000} s`)
    await this.#workload.stopProcessing()
    const outputs = Array.from({ length: OUTPUT_PARTITIONS }, (_, partition) => keyOf(outputTopic, partition))
    const sealed = await this.#seal(outputs)
    await this.#endSharing(new Map([[registerKey, sent.get(registerKey) ?? 0], ...sealed]))
    return new Map([...sent, ...sealed])
  }

  /** The share group comes to the end of its topics. */
  async #endSharing(ends: ReadonlyMap<Key, number>): Promise<void> {
    this.#options.onPhase('what was sent is shared to its end')
    const limitMs = this.#limit(SHARED_LIMIT_MS)
    if (!(await untilShared(this.#cluster.admin, this.#recorder, ends, limitMs)))
      this.#problems.push(`the share group was not done with what was sent within ${limitMs / 1000} s`)
    await this.#workload.stopSharing()
  }

  /** Once no transaction is open in them any more. */
  async #seal(keys: readonly Key[]): Promise<Map<Key, number>> {
    const { programs, knowledge } = this.#workload
    const limitMs = this.#limit(TRANSACTIONS_LIMIT_MS)
    const options = { admin: this.#cluster.admin, recorder: this.#recorder, keys, limitMs }
    if (!(await untilTransactionsEnd(options)))
      this.#problems.push(`transactions were open ${limitMs / 1000} s after the last one began in ${keys.join(', ')}`)
    const ends = await seal(programs[0]!, this.#recorder, knowledge, keys, this.#limit(SEAL_LIMIT_MS))
    for (const key of keys) if (!ends.has(key)) this.#problems.push(`${key} took no last record`)
    return ends
  }

  async #readBack(ends: ReadonlyMap<Key, number>): Promise<void> {
    const { programs, knowledge } = this.#workload
    const read = await finalRead({
      programs,
      recorder: this.#recorder,
      knowledge,
      ends,
      limitMs: this.#limit(FINAL_READ_LIMIT_MS),
    })
    for (const { library, isWhole } of read)
      if (!isWhole) this.#problems.push(`${library} could not read all logs to their ends in the final phase`)
  }

  #lookAtProcesses(): void {
    for (const node of this.#cluster.nodes) {
      if (node.deaths.length > 0)
        this.#problems.push(`node ${node.id} ended by itself: ${node.deaths.join(', ')}\n${node.logTail}`)
      for (const line of node.badLines()) this.#problems.push(`node ${node.id} logged: ${line.slice(0, 500)}`)
    }
    for (const { deaths } of this.#workload.programs)
      for (const death of deaths) this.#problems.push(`a program with clients ${death}`)
  }
}
