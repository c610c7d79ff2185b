import {
  assert,
  DiskError,
  type DiskOperation,
  type Offset,
  RandomChoices,
  randomUuid,
  SeededRandom,
  SimulatedClock,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SimulatedTimers,
} from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { type Log, LogMove } from '../index.ts'
import { type Evaluations, fail, newEvaluations } from './invariant.ts'
import { FILES_CHANGED } from './live-check.ts'
import { SMALL } from './log-driver.ts'
import { checkContents, checkDerived } from './log-invariants.ts'
import { type Harness, openStorage } from './storage-harness.ts'
import { type LogExpectation, WorkloadLog } from './workload-log.ts'

/** Of the directories between which the log is moved. */
export const MOVE_DIRECTORIES = ['/a', '/b']
/** Enough for what begun moves still need, and for what happens by itself. */
const TURNS = 200
const COPIED_BYTES = 1500
const REPLACE_LIMIT_MS = 200
/** So many tries to bring a move to its end, once nothing gets in its way. */
const TRIES = 60

const STEPS = {
  append: 10,
  flush: 10,
  settle: 16,
  wait: 6,
  move: 5,
  copy: 14,
  replace: 8,
  cancel: 1,
  truncate: 1,
  'delete records': 2,
  'wait a minute': 1,
  kill: 0.6,
  'lose power': 0.6,
  stop: 0.3,
}
type Step = keyof typeof STEPS

/** A disk at some moment, and what must be found on it after a crash. */
export interface MovePoint {
  disk: SimulatedDisk
  step: string
  expected: LogExpectation
}

export interface MoveWorkloadOptions {
  seed: number
  stepCount: number
  /** Share of the disk's changes at which it is kept as a point where a crash is tried. */
  crashShare: number
  disk?: SimulatedDiskOptions
  /** Said of an operation that is about to fail. */
  isFaulty?: boolean
}

/**
 * A log that is written to, cut and moved between two log directories, again and again, on a simulated disk whose pool ends what it does
 * in any order; with what was acknowledged of it, as `LogMove.bound` allows.
 */
export class MoveWorkload {
  readonly points: MovePoint[]
  readonly evaluations: Evaluations
  /** Moves that came to their end. */
  replacedCount: number
  readonly entry: WorkloadLog
  /** Errors that calls threw on a disk with faults. */
  readonly refusals: DiskError[]
  onStarted: (disk: SimulatedDisk) => void
  readonly #options: MoveWorkloadOptions
  readonly #random: SeededRandom
  readonly #crashRandom: SeededRandom
  readonly #clock: SimulatedClock
  #timers: SimulatedTimers
  #disk: SimulatedDisk
  #harness: Harness | null
  #move: LogMove | null
  #replacing: boolean
  #waiting: (() => void)[]
  #acknowledged: Offset
  #epoch: number
  #life: number

  constructor(options: MoveWorkloadOptions) {
    const random = new SeededRandom(options.seed)
    this.points = []
    this.evaluations = newEvaluations()
    this.replacedCount = 0
    this.entry = new WorkloadLog(0)
    this.refusals = []
    this.onStarted = () => undefined
    this.#options = options
    this.#random = random.fork('workload')
    this.#crashRandom = random.fork('crash')
    this.#clock = new SimulatedClock()
    this.#timers = new SimulatedTimers(this.#clock)
    this.#disk = new SimulatedDisk({
      random: random.fork('disk'),
      clock: this.#clock,
      coldShare: 0.3,
      writeBackShare: 0.1,
      ...options.disk,
    })
    this.#harness = null
    this.#move = null
    this.#replacing = false
    this.#waiting = []
    this.#acknowledged = 0
    this.#epoch = 1
    this.#life = 0
  }

  get harness(): Harness {
    return this.#harness!
  }

  async run(): Promise<void> {
    await this.#open(this.#disk)
    const { manager } = this.harness
    this.entry.onCreated(manager.createLog('topic', 0, randomUuid(this.#random), '/a'))
    for (let count = 0; count < this.#options.stepCount && this.harness.failures.length === 0; count++) {
      await this.#step(this.#drawStep())
      for (let turn = 0; turn < 4; turn++) await Promise.resolve()
    }
    this.#collect('the end')
  }

  /** Lets everything that was begun end, and stops. */
  async end(): Promise<void> {
    this.#disk.onChange = () => undefined
    this.#letAllGo()
    await this.#endMove()
    await this.harness.manager.shutdown()
  }

  /** Of a log that is not in the directory with the fault: it takes records as before, and nothing keeps them from being acknowledged. */
  async checkGoesOn(faulty: string): Promise<void> {
    await this.#endMove()
    const log = this.entry.log!
    if (log.directory === faulty || log.failed) return
    this.#letAllGo()
    const code = this.entry.append(['after the fault'], this.#epoch, this.#clock.wallMs(), -1, false)
    if (code !== ErrorCode.NONE) fail('S9', `append after the fault: ${code}`)
    this.harness.manager.flushStaged()
    await turns()
    this.evaluations.S9++
    if (log.durableOffset < log.logEndOffset) fail('S9', 'an append after the fault is not synced')
    this.#acknowledge()
    this.#collect('after the fault')
  }

  /** Checks what is served now. */
  async checkRunning(): Promise<void> {
    this.#letAllGo()
    this.harness.manager.flushStaged()
    await turns()
    const log = this.entry.log!
    await checkContents(log, this.#expectation(), log.logEndOffset, this.evaluations)
    await checkDerived(log, this.#expectation(), this.evaluations)
  }

  async #open(disk: SimulatedDisk): Promise<void> {
    this.#life++
    this.#timers = new SimulatedTimers(this.#clock)
    this.#waiting = []
    this.#move = null
    this.#replacing = false
    this.#disk = disk
    disk.settle = () => Promise.resolve()
    disk.onChange = (operation, path) => this.#onChange(operation, path)
    this.#harness = await openMoved(disk, this.#clock, this.#timers, this.#random.uint32())
    const { manager } = this.#harness
    if (this.entry.log !== null) {
      const found = manager.log('topic', 0)
      if ((found?.logEndOffset ?? 0) < this.#acknowledged) {
        fail('S1', `ends at ${found?.logEndOffset}, not ${this.#acknowledged}`)
      }
      this.entry.onReopened(found)
      if (this.entry.log === null) {
        // It held nothing that was promised to anybody, and a crash took its metadata.
        if (found !== undefined) manager.deleteLog(found)
        this.entry.onCreated(manager.createLog('topic', 0, randomUuid(this.#random), '/a'))
      }
      // A restarted leader never goes on in its epoch.
      this.#epoch++
      this.#resume()
    }
    disk.settle = (operation) =>
      operation === 'read' ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
    this.onStarted(disk)
  }

  #onChange(operation: DiskOperation, path: string): void {
    this.#acknowledge()
    if (this.#crashRandom.uint32() < this.#options.crashShare * 2 ** 32) this.#collect(`${operation} ${path}`)
  }

  #acknowledge(): void {
    const { log } = this.entry
    if (log === null || log.failed) return
    const certain = this.#move === null ? log.durableOffset : this.#move.bound(log.durableOffset)
    this.#acknowledged = Math.max(this.#acknowledged, certain)
    log.setHighWatermark(this.#acknowledged)
  }

  #expectation(): LogExpectation {
    const expected = this.entry.expectation()!
    return { ...expected, durableOffset: Math.min(expected.durableOffset, this.#acknowledged) }
  }

  #collect(step: string): void {
    if (this.entry.log !== null) this.points.push({ disk: this.#disk.fork(), step, expected: this.#expectation() })
  }

  async #step(step: Step): Promise<void> {
    const { manager } = this.harness
    const log = this.entry.log!
    if (step === 'append') this.#append()
    else if (step === 'flush') manager.flushStaged()
    else if (step === 'settle') await this.#settleSome()
    else if (step === 'wait') this.#timers.advance(this.#draw(400))
    else if (step === 'wait a minute') this.#timers.advance(60_000)
    else if (step === 'move') this.#expectingRefusal(() => this.#start())
    else if (step === 'copy') await this.#copy()
    else if (step === 'replace') this.#replace()
    else if (step === 'cancel') await this.#cancel()
    else if (step === 'truncate') this.#expectingRefusal(() => this.#truncate())
    else if (step === 'delete records')
      this.entry.deleteRecords(this.#draw(log.highWatermark + 1), this.#clock.wallMs())
    else if (step === 'stop') await this.#stop()
    else if (step === 'kill') await this.#kill(() => this.#disk.killed())
    else await this.#kill(() => this.#disk.crashed(new RandomChoices(this.#random)))
    this.#acknowledge()
  }

  #append(): void {
    const producerId = this.#draw(3) - 1
    for (let count = 1 + this.#draw(3); count > 0; count--) {
      const values = [`value ${this.entry.model.logEndOffset}`.padEnd(this.#draw(400), '.')]
      const code = this.entry.append(values, this.#epoch, this.#clock.wallMs(), producerId, false)
      if (code !== ErrorCode.NONE && this.#options.isFaulty !== true) fail('S9', `append failed with ${code}`)
    }
  }

  /** Continues what the start has found, or has given up. */
  #resume(): void {
    const future = this.harness.manager.futures.get('topic', 0)
    if (future === undefined) return
    const log = this.entry.log!
    if (future.topicId === log.topicId) this.#move = this.#moveOf(log, future)
    else void this.harness.manager.futures.drop(future)
  }

  #start(): void {
    const log = this.entry.log!
    const { futures } = this.harness.manager
    if (this.#move !== null || log.failed) return
    // As in a broker: where the log is now must be known before it is moved on.
    if (futures.isUnsettled(log.topicId, 0)) return void futures.settle(log.topicId, 0).catch(ignoreDiskError)
    const directory = MOVE_DIRECTORIES.find((path) => path !== log.directory)!
    this.#move = this.#moveOf(log, futures.create(log, directory))
  }

  #moveOf(source: Log, future: Log): LogMove {
    const { futures } = this.harness.manager
    return new LogMove({ source, future, futures, clock: this.#clock, timers: this.#timers })
  }

  async #copy(): Promise<void> {
    try {
      // Whoever is about to replace the log copies by himself.
      if (!this.#replacing) await this.#move?.copy(COPIED_BYTES)
    } catch (error) {
      this.#onRefused(error)
    }
  }

  /** Goes on beside the next steps. */
  #replace(): void {
    const move = this.#move
    if (move === null || this.#replacing || move.isOver || move.lag > 40) return
    const life = this.#life
    const certain = Math.max(
      move.bound(move.source.durableOffset),
      Math.min(this.#acknowledged, move.source.logEndOffset),
    )
    this.#replacing = true
    const replaced = move.replace(certain, REPLACE_LIMIT_MS, () => {
      if (life !== this.#life) return
      this.replacedCount++
      this.entry.log = move.future
      this.#move = null
    })
    void replaced.then(() => {
      if (life === this.#life) this.#replacing = false
    })
  }

  async #cancel(): Promise<void> {
    await this.#endMove()
    const future = this.harness.manager.futures.get('topic', 0)
    if (future === undefined) return
    const dropped = this.harness.manager.futures.drop(future)
    this.#letAllGo()
    try {
      await dropped
    } catch (error) {
      this.#onRefused(error)
    }
  }

  async #endMove(): Promise<void> {
    const move = this.#move
    if (move === null) return
    let isEnded = false
    void move.close().then(() => {
      isEnded = true
    })
    for (let count = 0; !isEnded && count < 1000; count++) {
      this.#letAllGo()
      this.#timers.advance(5)
      await turns(20)
    }
    assert(isEnded, 'a move that is closed ends')
    this.#acknowledge()
    this.#move = null
  }

  #truncate(): void {
    const { batches } = this.entry.model
    const offset = batches[this.#draw(Math.max(1, batches.length))]?.baseOffset ?? 0
    this.#disk.forgetViews()
    this.entry.truncateTo(offset)
    this.#acknowledged = Math.min(this.#acknowledged, this.entry.log!.logEndOffset)
    this.#epoch++
  }

  async #stop(): Promise<void> {
    await this.#endMove()
    this.#letAllGo()
    this.harness.manager.flushStaged()
    await this.harness.manager.shutdown()
    await this.#open(this.#disk)
  }

  async #kill(next: () => SimulatedDisk): Promise<void> {
    // Nothing of the dead may act any more.
    this.#disk.onChange = () => {
      throw new DiskError('DISK_OTHER', 'use after death', '', null)
    }
    const disk = next()
    this.#waiting = []
    await this.#open(disk)
  }

  #expectingRefusal(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#onRefused(error)
    }
  }

  #onRefused(error: unknown): void {
    if (!(error instanceof DiskError) || this.#options.isFaulty !== true) throw error
    this.refusals.push(error)
  }

  async #settleSome(): Promise<void> {
    for (let count = 1 + this.#draw(this.#waiting.length + 1); count > 0 && this.#waiting.length > 0; count--) {
      const [wake] = this.#waiting.splice(this.#draw(this.#waiting.length), 1)
      wake!()
    }
    await turns(10)
  }

  #letAllGo(): void {
    this.#disk.settle = () => Promise.resolve()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #drawStep(): Step {
    const kinds = Object.entries(STEPS) as [Step, number][]
    let left = (this.#random.uint32() / 2 ** 32) * kinds.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [kind, weight] of kinds) {
      left -= weight
      if (left < 0) return kind
    }
    return 'flush'
  }

  #draw(count: number): number {
    return this.#random.uint32() % count
  }
}

/** Opens storage on the directories between which logs are moved. Rejects as `LogManager.open` does. */
export function openMoved(
  disk: SimulatedDisk,
  clock: SimulatedClock,
  timers: SimulatedTimers,
  seed: number,
): Promise<Harness> {
  const random = new SeededRandom(seed)
  return openStorage({ disk, clock, timers, random, directories: MOVE_DIRECTORIES, config: SMALL })
}

/**
 * A start on a disk as a crash left it finds one log, with all that was acknowledged and nothing else, and leaves nothing aside; a move that
 * it found can be brought to its end, and the log is the same then. Rejects with `InvariantError`.
 */
export async function checkMoved(
  disk: SimulatedDisk,
  expected: LogExpectation,
  evaluations: Evaluations,
): Promise<void> {
  disk.settle = () => Promise.resolve()
  disk.onChange = () => undefined
  const asideBefore = new Set(namesOn(disk).filter((name) => name.endsWith('-stray')))
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const harness = await openMoved(disk, clock, timers, 1)
  const { manager, errors, warnings } = harness
  await turns()
  if (errors.length > 0) fail('S8', `recovery reported: ${errors.join('; ')}`)
  if (warnings.includes(FILES_CHANGED)) fail('S8', 'recovery took a crash for damage')
  evaluations.S1++
  const found = [...manager.logs()]
  if (found.length > 1) fail('S1', `${found.length} logs of one partition`)
  const [log] = found
  if (log === undefined) {
    if (expected.durableOffset > expected.logStartOffset) fail('S1', 'the log is gone')
    return await manager.shutdown()
  }
  if (log.logEndOffset < expected.durableOffset)
    fail('S1', `ends at ${log.logEndOffset}, not ${expected.durableOffset}`)
  await checkContents(log, expected, log.logEndOffset, evaluations)
  await checkDerived(log, expected, evaluations)
  const future = manager.futures.get('topic', 0)
  // As a broker does with one of a log that is gone.
  const isOfAnother = future !== undefined && future.topicId !== log.topicId
  if (isOfAnother) await manager.futures.drop(future)
  const last = future === undefined || isOfAnother ? log : await finishMove(harness, log, future, clock, timers)
  await checkContents(last, expected, last.logEndOffset, evaluations)
  await checkDerived(last, expected, evaluations)
  if (last.logEndOffset !== log.logEndOffset)
    fail('S1', `moved, it ends at ${last.logEndOffset}, not ${log.logEndOffset}`)
  checkNothingAside(disk, asideBefore)
  const end = last.logEndOffset
  await manager.shutdown()
  const again = await openMoved(disk, clock, new SimulatedTimers(clock), 2)
  const reopened = again.manager.log('topic', 0)
  if (reopened?.logEndOffset !== end) fail('S1', `after a clean stop it ends at ${reopened?.logEndOffset}, not ${end}`)
  if (again.manager.recoveredUncleanly) fail('S6', 'a clean stop is taken for a crash')
  await checkContents(reopened, expected, end, evaluations)
  await again.manager.shutdown()
}

async function finishMove(
  { manager }: Harness,
  source: Log,
  future: Log,
  clock: SimulatedClock,
  timers: SimulatedTimers,
): Promise<Log> {
  const move = new LogMove({ source, future, futures: manager.futures, clock, timers })
  await manager.futures.settle(source.topicId, source.partition)
  let isReplaced = false
  for (let count = 0; !isReplaced && count < TRIES; count++) {
    while ((await move.copy(COPIED_BYTES)) > 0) manager.flushStaged()
    let isTried = false
    const replacing = move.replace(source.durableOffset, REPLACE_LIMIT_MS, () => {
      isReplaced = true
    })
    void replacing.then(() => {
      isTried = true
    })
    for (let step = 0; !isTried && step < TRIES; step++) {
      await turns()
      timers.advance(5)
    }
    await replacing
  }
  if (!isReplaced) fail('S9', 'a move that was found does not come to its end')
  manager.flushStaged()
  await turns()
  if (manager.log('topic', 0) !== future) fail('S1', 'another log is current than the one that was moved')
  return future
}

/** Nothing more of it waits for the operator than before: there is one directory. */
function checkNothingAside(disk: SimulatedDisk, asideBefore: ReadonlySet<string>): void {
  const inUse = namesOn(disk).filter((name) => !name.endsWith('-delete') && !asideBefore.has(name))
  if (inUse.length !== 1) fail('S10', `directories of the log: ${inUse.join(', ')}`)
}

function namesOn(disk: SimulatedDisk): string[] {
  const present = MOVE_DIRECTORIES.filter((path) => disk.stat(path) !== null)
  return present.flatMap((path) => disk.listDirectory(path)).filter((name) => name.startsWith('topic-'))
}

async function turns(count = TURNS): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
