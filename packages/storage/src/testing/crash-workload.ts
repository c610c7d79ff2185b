import {
  type DiskOperation,
  RandomChoices,
  randomUuid,
  SeededRandom,
  type SimulatedClock,
  type SimulatedDisk,
  type SimulatedTimers,
} from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Log } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import { type Evaluations, fail, newEvaluations } from './invariant.ts'
import { checkRunning, checkStarted, checkStopped, noteEnds } from './live-check.ts'
import { SMALL } from './log-driver.ts'
import { type PublishedFiles, publishRenamed } from './published-files.ts'
import { type Harness, openStorage } from './storage-harness.ts'
import { type LogExpectation, WorkloadLog } from './workload-log.ts'
import { WorkloadReads } from './workload-reads.ts'
import { WorkloadWorld, type WorldOptions } from './workload-world.ts'

/** A disk as it was before an operation, and what must be found on what a crash leaves of it. */
export interface CrashPoint {
  /** With what is not synced: {@link SimulatedDisk.crashed} gives what a crash leaves. */
  disk: SimulatedDisk
  /** The operation that would have come next. */
  step: string
  logs: LogExpectation[]
  /** What small files were said to hold, by path. */
  published: PublishedFiles
  /** Storage had been opened and not begun to stop: whoever finds the disk must take it for one that was in use. */
  isRunning: boolean
}

/** What a workload does; each is a few disk operations. */
export type StepKind =
  | 'append'
  | 'flush'
  | 'settle'
  | 'wait'
  | 'write back'
  | 'wait a minute'
  | 'truncate'
  | 'delete records'
  | 'checkpoint'
  | 'append large'
  | 'append fast'
  | 'read'
  | 'start again'
  | 'delete log'
  | 'next epoch'
  | 'transaction'
  | 'end transaction'
  | 'close idle'
  | 'stop'
  | 'kill'
  | 'lose power'

/** How often each is drawn, relative to the others. */
export type StepWeights = Readonly<Partial<Record<StepKind, number>>>

export const MIXED_STEPS: StepWeights = {
  append: 42,
  flush: 20,
  settle: 17,
  wait: 4,
  'wait a minute': 1,
  truncate: 3,
  'delete records': 2,
  checkpoint: 2,
  'append large': 2,
  'start again': 1,
  'delete log': 1,
  'next epoch': 2,
  transaction: 5,
  'end transaction': 4,
  'close idle': 1,
  stop: 0.7,
  kill: 0.7,
  'lose power': 0.7,
}

export interface WorkloadOptions extends WorldOptions {
  /** Steps at most. */
  stepCount: number
  /** It ends with the step that does this many changes of the disk. */
  operationCount?: number
  mapping: boolean
  partitionCount?: number
  config?: Partial<LogConfig>
  steps?: StepWeights
  /** More changed pages than this after a step, and the system writes all of them back. */
  unsyncedMax?: number
  /** Largest record value, but for those that are to fill a segment. */
  valueBytesMax?: number
  /** Longest time that a step `wait` takes. */
  waitMsMax?: number
  /** What a start asks the thread pool for waits from the beginning, as all that comes later does. */
  waitsAtStart?: boolean
  /** Running logs are held against the model at the end, and before and after each stop. */
  checksRunning?: boolean
}

/** A log that gets so much at once is extended ahead of its writes, if its segments have room. */
const FAST_VALUE_BYTES = 200_000
const FAST_APPENDS = 7
const IDEMPOTENT_PRODUCERS = 2
/** By this bit of its seed a workload has the smaller pool, with which two files of a directory are synced at a time instead of three. */
const POOL_SEED_BIT = 8
const TRANSACTIONAL_PRODUCER = 10

/**
 * Runs random appends, transactions, flushes, truncations, deletions, checkpoints, stops and starts on a simulated disk, and collects
 * the disks that a crash at random moments would find. Operations of the thread pool end when the workload lets them, in any order.
 */
export class CrashWorkload {
  readonly crashPoints: CrashPoint[]
  readonly published: PublishedFiles
  readonly evaluations: Evaluations
  /** Changes of the disk so far. */
  operationCount: number
  /** Logs that were deleted. */
  deletedCount: number
  /** Of steps `read`. */
  readonly reads: WorkloadReads
  /** What was reported by storage instances before the current one. */
  readonly earlierErrors: string[]
  /** Called before each change of the disk. */
  onOperation: (operation: DiskOperation, path: string) => void
  /** Called when storage has been opened, before the first step on it. */
  onStarted: (disk: SimulatedDisk) => void
  /** May keep an operation of the thread pool from ending; null leaves it to the workload. */
  delay: (operation: DiskOperation) => Promise<void> | null
  readonly #options: WorkloadOptions
  readonly #world: WorkloadWorld
  readonly #logs: WorkloadLog[]
  #harness: Harness | null
  #epoch: number
  #nextValue: number
  #isRunning: boolean

  constructor(options: WorkloadOptions) {
    this.crashPoints = []
    this.published = new Map()
    this.evaluations = newEvaluations()
    this.operationCount = 0
    this.deletedCount = 0
    this.reads = new WorkloadReads()
    this.earlierErrors = []
    this.onOperation = () => undefined
    this.onStarted = () => undefined
    this.delay = () => null
    this.#options = options
    this.#world = new WorkloadWorld({ ...options, disk: { mapping: options.mapping, ...options.disk } })
    this.#logs = Array.from({ length: options.partitionCount ?? 2 }, (_, partition) => new WorkloadLog(partition))
    this.#harness = null
    this.#epoch = 1
    this.#nextValue = 0
    this.#isRunning = false
  }

  async run(): Promise<void> {
    await this.#open(this.disk)
    const { stepCount, operationCount = Number.POSITIVE_INFINITY } = this.#options
    for (let step = 0; step < stepCount && this.operationCount < operationCount; step++) {
      await this.#step(this.#world.drawKind(this.#options.steps ?? MIXED_STEPS))
      for (let turn = 0; turn < 4; turn++) await Promise.resolve()
      this.reads.check()
      if (this.harness.failures.length > 0) break
      if (this.disk.unsyncedCount > (this.#options.unsyncedMax ?? Number.POSITIVE_INFINITY)) this.disk.writeBackAll()
    }
    this.#collect('the end')
    if (this.#options.checksRunning === true && this.harness.failures.length === 0) await this.#checkRunning()
  }

  /** Lets the workload's own storage end: everything waiting is let go. */
  async end(): Promise<void> {
    this.disk.onChange = () => undefined
    this.letAllGo()
    await this.harness.manager.shutdown()
  }

  get disk(): SimulatedDisk {
    return this.#world.disk
  }

  get harness(): Harness {
    return this.#harness!
  }

  get clock(): SimulatedClock {
    return this.#world.clock
  }

  /** Leader epoch that appends come with. */
  get epoch(): number {
    return this.#epoch
  }

  get timers(): SimulatedTimers {
    return this.#world.timers
  }

  get logs(): readonly WorkloadLog[] {
    return this.#logs
  }

  /** Ends what waits, and from now on everything at once. */
  letAllGo(): void {
    this.disk.settle = (operation) => this.delay(operation) ?? Promise.resolve()
    this.#world.release(this.#world.waitingCount)
  }

  async #open(disk: SimulatedDisk): Promise<void> {
    if (this.#harness !== null) this.earlierErrors.push(...this.#harness.errors)
    this.#world.restart(disk, (operation, path) => this.#onChange(operation, path))
    this.#isRunning = false
    disk.settle = this.#options.waitsAtStart === true ? this.#settle : () => Promise.resolve()
    this.#harness = await openStorage({
      disk,
      clock: this.clock,
      timers: this.timers,
      random: new SeededRandom(this.#world.random.uint32()),
      config: { ...SMALL, ...this.#options.config },
      poolThreadCount: this.#options.seed & POOL_SEED_BIT ? 2 : 4,
    })
    for (const entry of this.#logs) this.#reopen(entry)
    disk.settle = this.#settle
    this.#isRunning = true
    this.onStarted(disk)
  }

  readonly #settle = (operation: DiskOperation): Promise<void> => this.delay(operation) ?? this.#world.wait(operation)

  #reopen(entry: WorkloadLog): void {
    const { manager } = this.harness
    const expected = entry.expectation()
    const found = manager.log('topic', entry.partition)
    if (expected !== null && (found?.logEndOffset ?? 0) < expected.durableOffset) {
      fail('S1', `partition ${entry.partition} ends at ${found?.logEndOffset}, durable was ${expected.durableOffset}`)
    }
    entry.onReopened(found)
    // One that was being deleted is back, as nobody's.
    if (found !== undefined && entry.log === null) manager.setAsideStray(found)
  }

  #onChange(operation: DiskOperation, path: string): void {
    this.operationCount++
    if (operation === 'rename') publishRenamed(this.disk, path, this.published)
    this.onOperation(operation, path)
    if (this.#world.drawCrash()) this.#collect(`${operation} ${path}`)
  }

  #collect(step: string): void {
    this.crashPoints.push(this.pointNow(step))
  }

  /** What a crash would find now. */
  pointNow(step: string): CrashPoint {
    const logs = this.#logs.map((entry) => entry.expectation()).filter((expected) => expected !== null)
    return { disk: this.disk.fork(), step, logs, published: this.published, isRunning: this.#isRunning }
  }

  async #step(kind: StepKind): Promise<void> {
    const { manager } = this.harness
    if (kind === 'flush') manager.flushStaged()
    else if (kind === 'settle') await this.#letSome()
    else if (kind === 'wait') this.timers.advance(this.#draw(this.#options.waitMsMax ?? 2000))
    else if (kind === 'write back') this.disk.writeBackAll()
    else if (kind === 'wait a minute') this.timers.advance(60_000)
    else if (kind === 'next epoch') this.#epoch++
    else if (kind === 'stop') await this.#stop()
    else if (kind === 'kill' && !this.#isHalfCut) await this.#kill(() => this.disk.killed())
    else if (kind === 'kill' || kind === 'lose power')
      await this.#kill(() => this.disk.crashed(new RandomChoices(this.#world.random)))
    else this.#world.expectingRefusal(() => this.#stepOfLog(kind))
  }

  #stepOfLog(kind: StepKind): void {
    const entry = this.#logs[this.#draw(this.#logs.length)]!
    if (entry.log === null) this.#create(entry)
    const log = entry.log!
    if (kind === 'append') for (let count = 1 + this.#draw(6); count > 0; count--) this.#append(entry, false)
    else if (kind === 'append large')
      this.#accept(entry.append([this.#largeValue(log)], this.#epoch, this.#now(), -1, false))
    else if (kind === 'append fast')
      for (let count = FAST_APPENDS; count > 0; count--)
        this.#accept(entry.append([this.#value(FAST_VALUE_BYTES)], this.#epoch, this.#now(), -1, false))
    else if (kind === 'read') this.reads.start(entry, this.#world.random)
    else if (kind === 'transaction') for (let count = 1 + this.#draw(2); count > 0; count--) this.#append(entry, true)
    else if (kind === 'end transaction') this.#endTransaction(entry)
    else if (kind === 'truncate') this.#truncate(entry)
    else if (kind === 'delete records') entry.deleteRecords(this.#draw(log.writtenOffset + 1), this.clock.wallMs())
    else if (kind === 'checkpoint') log.checkpointer.request()
    else if (kind === 'start again') this.#startAgain(entry, log)
    else if (kind === 'delete log') this.#delete(entry, log)
    else if (kind === 'close idle') void log.closeIdle()
  }

  /** Of a log that a kill finds so, a later loss of power may bring the one before the truncation back: no model holds both. */
  get #isHalfCut(): boolean {
    return this.#logs.some(({ log }) => log?.isHalfCut === true)
  }

  #create(entry: WorkloadLog): void {
    entry.onCreated(this.harness.manager.createLog('topic', entry.partition, randomUuid(this.#world.random)))
  }

  #delete(entry: WorkloadLog, log: Log): void {
    this.deletedCount++
    entry.log = null
    this.harness.manager.deleteLog(log)
  }

  #append(entry: WorkloadLog, transactional: boolean): void {
    const producerId = transactional ? TRANSACTIONAL_PRODUCER + this.#draw(2) : this.#draw(IDEMPOTENT_PRODUCERS + 1) - 1
    const count = 1 + this.#draw(3)
    const values = Array.from({ length: count }, () => this.#value(this.#draw(this.#options.valueBytesMax ?? 300)))
    this.#accept(entry.append(values, this.#epoch, this.#now(), producerId, transactional))
  }

  #endTransaction(entry: WorkloadLog): void {
    const open = entry.openTransactions
    if (open.length === 0) return
    const producerId = open[this.#draw(open.length)]!
    this.#accept(entry.endTransaction(producerId, this.#draw(2) === 0, this.#epoch, this.#now()))
  }

  #truncate(entry: WorkloadLog): void {
    const { batches } = entry.model
    const offset = batches[this.#draw(Math.max(1, batches.length))]?.baseOffset ?? 0
    this.disk.forgetViews()
    entry.truncateTo(offset)
    this.#epoch++
  }

  #startAgain(entry: WorkloadLog, log: Log): void {
    this.disk.forgetViews()
    entry.startAgainAt(log.logEndOffset + this.#draw(5))
  }

  /** A clean stop, and a start. */
  async #stop(): Promise<void> {
    this.letAllGo()
    const isChecked = this.#options.checksRunning === true
    if (isChecked) await this.#checkRunning()
    this.#isRunning = false
    const ends = noteEnds(this.harness.manager.logs())
    await this.harness.manager.shutdown()
    if (isChecked) checkStopped(this.disk, ends, this.evaluations)
    await this.#open(this.disk)
    if (this.#options.isFaulty !== true) checkStarted(this.harness, ends, this.evaluations)
    if (isChecked) await this.#checkLogs()
  }

  /** What is staged is written, and whatever waits ends; then each log must serve what its model holds. */
  async #checkRunning(): Promise<void> {
    this.letAllGo()
    this.harness.manager.flushStaged()
    for (let turn = 0; turn < 200; turn++) await Promise.resolve()
    await this.#checkLogs()
  }

  async #checkLogs(): Promise<void> {
    for (const entry of this.#logs) await checkRunning(entry, this.evaluations)
  }

  /** The process ends here; `next` is the disk that the one after it finds. */
  async #kill(next: () => SimulatedDisk): Promise<void> {
    // What was let go and has not been noticed yet would otherwise be noticed by the dead.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve()
    await this.#open(next())
  }

  #accept(code: number): void {
    if (code === ErrorCode.NONE) return
    if (this.#options.isFaulty && code === ErrorCode.KAFKA_STORAGE_ERROR) return
    // What the model would append next is refused: the log is not where its batches say, or took an error that never was.
    fail(code === ErrorCode.KAFKA_STORAGE_ERROR ? 'S9' : 'S4', `append failed with ${code}`)
  }

  /** Timestamps of producers: near the clock, and not in order. */
  #now(): number {
    return this.clock.wallMs() - this.#draw(500)
  }

  #value(sizeBytes: number): string {
    return `value ${this.#nextValue++}`.padEnd(sizeBytes, '.')
  }

  #largeValue(log: Log): string {
    return this.#value(Math.floor(log.config.segmentBytes * 0.8))
  }

  async #letSome(): Promise<void> {
    this.#world.release(1 + this.#draw(Math.max(1, this.#world.waitingCount)))
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }

  #draw(count: number): number {
    return this.#world.draw(count)
  }
}
