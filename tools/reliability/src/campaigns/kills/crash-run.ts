import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '@millrace/base'
import { type Broker, type Settings, startBroker, TopicChanges } from '@millrace/e2e'
import type { CampaignContext, CampaignResult } from '../../campaign.ts'
import { tooLittle } from '../../load/work.ts'
import { Generation } from './generation.ts'
import { Moments, type ServingMoment } from './moments.ts'

/** Kills of one generation: a minute or so. */
const GENERATION_KILLS = 40
/** After so many kills every client must have got on. */
const PROGRESS_KILLS = 5
/** A broker that was killed has to serve again within this. */
const START_MAX_MS = 15_000
/** One fault shows in many ways; after so many failures more say nothing more. */
const FAILURES_MAX = 30

/** Everything that happens after minutes or days by default is to happen between two kills. */
const settings: Settings = {
  'log.retention.check.interval.ms': '300',
  'log.segment.delete.delay.ms': '200',
  'log.flush.offset.checkpoint.interval.ms': '500',
  'log.flush.start.offset.checkpoint.interval.ms': '500',
  'replica.high.watermark.checkpoint.interval.ms': '500',
  'metadata.log.max.record.bytes.between.snapshots': '4000',
  'offsets.topic.num.partitions': '4',
}

export interface CrashRunOptions {
  /** Of the folders that failures leave behind. */
  readonly name: string
  readonly killCount: number
  /** What a kill does to the disk, called when the process is gone. Returns what is wrong. */
  afterKill(): readonly string[]
  /** Called when the broker serves again, before anything is checked. */
  afterStart?(broker: Broker): Promise<void>
  /** The disk forgets what was not synced. */
  readonly unsyncedLoss: boolean
  /** The run is to find something: it ends with the first failure, and keeps no files; before, it may read all back that is left. */
  readonly expectsFailure: false | 'at once' | 'read back'
  /** Where the broker's files go; its log directory is `data` in it, which is there. */
  readonly directory: string
  /** Added to the broker's environment. */
  readonly environment: Readonly<Record<string, string>>
}

export interface CrashFigures {
  longestStartMs: number
  killsDuringStartCount: number
  acknowledgedCount: number
  storedCount: number
  removedCount: number
  commitCount: number
  consumedCount: number
  topicChangeCount: number
  unansweredChangeCount: number
}

/** A folder for a broker's files, as {@link CrashRunOptions} wants it. */
export function makeBrokerDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-crash-'))
  mkdirSync(join(directory, 'data'))
  return directory
}

/** Kills the shipped broker again and again under load, and checks what it had acknowledged. */
export class CrashRun {
  readonly #context: CampaignContext
  readonly #options: CrashRunOptions
  readonly #moments: Moments
  #next: ServingMoment
  readonly #failures: string[]
  #doneCount: number
  #goodCount: number
  readonly #figures: CrashFigures

  constructor(context: CampaignContext, options: CrashRunOptions) {
    this.#context = context
    this.#options = options
    this.#moments = new Moments(new SeededRandom(context.seed).fork('moments'))
    this.#next = this.#moments.whileServing()
    this.#failures = []
    this.#doneCount = 0
    this.#goodCount = 0
    this.#figures = {
      longestStartMs: 0,
      killsDuringStartCount: 0,
      acknowledgedCount: 0,
      storedCount: 0,
      removedCount: 0,
      commitCount: 0,
      consumedCount: 0,
      topicChangeCount: 0,
      unansweredChangeCount: 0,
    }
  }

  async run(): Promise<CampaignResult> {
    const { directory, environment, name } = this.#options
    const broker = await startBroker(settings, { directory, environment, ownGroup: true })
    const random = new SeededRandom(this.#context.seed).fork('topics')
    const choose = (count: number) => random.uint32() % count
    const changes = new TopicChanges({ bootstrap: broker.bootstrap, prefix: 'crash-', choose })
    try {
      for (let number = 1; !this.#isOver(); number++) await this.#runGeneration(broker, changes, number)
      await broker.kill()
      this.#note(errorsIn(readFileSync(join(directory, 'broker.log'), 'utf8')))
    } catch (error) {
      const what = `the run ended: ${error instanceof Error ? error.stack : error}`
      // A reader that Ctrl-C ended too is no finding.
      if (this.#context.signal.aborted) this.#context.report(what)
      else this.#note([what])
    }
    await this.#end(broker, name)
    this.#figures.topicChangeCount = changes.acknowledgedCount
    this.#figures.unansweredChangeCount = changes.unansweredCount
    if (this.#doneCount >= this.#options.killCount && this.#failures.length === 0)
      this.#note(missingWork(this.#figures, this.#doneCount))
    return { passedCount: this.#goodCount, failures: this.#failures, figures: { ...this.#figures } }
  }

  /** Keeps the broker's files if anything was wrong, once nothing changes them any more. */
  async #end(broker: Broker, name: string): Promise<void> {
    try {
      await broker.kill()
      if (this.#failures.length > 0 && this.#options.expectsFailure === false) {
        const kept = mkdtempSync(join(tmpdir(), `${name}-failure-`))
        cpSync(broker.directory, kept, { recursive: true })
        this.#context.report(`the broker's files are kept in ${kept}`)
      }
    } finally {
      await broker.dispose()
    }
  }

  #isOver(): boolean {
    return this.#context.signal.aborted || this.#doneCount >= this.#options.killCount || this.#hasFailed()
  }

  #hasFailed(): boolean {
    return this.#failures.length > (this.#options.expectsFailure === false ? FAILURES_MAX : 0)
  }

  async #runGeneration(broker: Broker, changes: TopicChanges, number: number): Promise<void> {
    const { unsyncedLoss } = this.#options
    const generation = await Generation.start({ broker, name: `crash-g${number}`, changes, unsyncedLoss })
    try {
      // A client that never met the broker gives up; one that lost it comes back.
      this.#note(await generation.progress())
      for (let kill = 0; kill < GENERATION_KILLS && !this.#isOver(); kill++) {
        await this.#killOnce(broker, changes, generation)
        if (!this.#isOver() && (kill + 1) % PROGRESS_KILLS === 0) this.#note(await generation.progress())
      }
      await changes.pause()
      // Clients of a broker that lost their topics never come to an end.
      if (this.#hasFailed()) {
        if (this.#options.expectsFailure === 'read back') this.#note(await generation.readBack())
        return
      }
      this.#note(await generation.progress())
      const result = await generation.finish()
      this.#note(result.problems)
      this.#figures.acknowledgedCount += result.acknowledgedCount
      this.#figures.storedCount += result.storedCount
      this.#figures.removedCount += result.removedCount
      this.#figures.commitCount += result.commitCount
      this.#figures.consumedCount += result.consumedCount
      this.#note(await changes.check())
    } finally {
      await changes.pause()
      generation.abandon()
    }
  }

  /** Kills the broker, which serves, and those of its next starts that are drawn to be killed too, until it serves again; then checks. */
  async #killOnce(broker: Broker, changes: TopicChanges, generation: Generation): Promise<void> {
    const failuresBefore = this.#failures.length
    if (!this.#next.isEarly) changes.resume()
    await delay(this.#next.afterMs)
    const promised = generation.promised()
    await broker.kill()
    await changes.pause()
    this.#onKilled()
    while (!this.#isOver()) {
      const afterMs = this.#moments.whileStarting()
      if (afterMs === null) break
      await broker.killWhileStarting(afterMs)
      this.#figures.killsDuringStartCount++
      this.#onKilled()
    }
    const startMs = performance.now()
    await broker.restart()
    this.#onStarted(performance.now() - startMs)
    this.#next = this.#moments.whileServing()
    await this.#options.afterStart?.(broker)
    // What is promised never gets less: the check after a later kill covers this one too.
    if (this.#next.isEarly) return
    this.#note(await generation.check(promised))
    this.#note(await changes.check())
    // Kills between which something was wrong do not count as passed.
    if (this.#failures.length > failuresBefore) this.#goodCount--
  }

  #onKilled(): void {
    this.#doneCount++
    this.#goodCount++
    this.#context.progress(this.#doneCount, this.#options.killCount)
    this.#note(this.#options.afterKill())
  }

  #onStarted(startMs: number): void {
    this.#moments.onStarted(startMs)
    this.#figures.longestStartMs = Math.max(this.#figures.longestStartMs, Math.round(startMs))
    if (startMs > START_MAX_MS) this.#note([`the broker took ${Math.round(startMs)} ms to serve again`])
  }

  #note(problems: readonly string[]): void {
    for (const problem of problems) {
      this.#failures.push(`kill ${this.#doneCount} of seed ${this.#context.seed}: ${problem}`)
      if (this.#options.expectsFailure === false) this.#context.report(`kill ${this.#doneCount}: ${problem}`)
    }
  }
}

/** Nothing that happens in a run is an error of the broker's: what it logs as one was not foreseen. Lists such lines. */
export function errorsIn(log: string): string[] {
  const lines = log.split('\n')
  // Each start tells of itself; a log that shows nothing of it is written in a way that is not understood here.
  if (!lines.some((line) => line.includes('"level":"info"'))) return ['the log holds no lines that tell their level']
  return lines.filter((line) => line.includes('"level":"error"')).map((line) => `logged: ${line.slice(0, 500)}`)
}

/** What did not happen in a run of so many kills, and must have for its checks to mean anything. */
export function missingWork(figures: CrashFigures, killCount: number): string[] {
  // A generation's results count once it was read back; a run so short may have had no time for what only happens now and then.
  const isLong = killCount >= GENERATION_KILLS
  return tooLittle([
    { what: 'records acknowledged', count: figures.acknowledgedCount, least: 50 * killCount },
    { what: 'records read back', count: figures.storedCount, least: 10 * killCount },
    { what: 'records consumed', count: figures.consumedCount, least: 10 * killCount },
    { what: 'commits acknowledged', count: figures.commitCount, least: killCount },
    { what: 'topic changes acknowledged', count: figures.topicChangeCount, least: killCount },
    { what: 'kills during a start', count: figures.killsDuringStartCount, least: isLong ? killCount / 20 : 0 },
    { what: 'records removed by retention', count: figures.removedCount, least: isLong ? killCount : 0 },
  ])
}
