import {
  assert,
  DiskError,
  type DiskOperation,
  type Offset,
  RandomChoices,
  randomUuid,
  type SimulatedDisk,
} from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { type Log, LogMove } from '../index.ts'
import { type Evaluations, fail, newEvaluations } from './invariant.ts'
import { checkContents, checkDerived } from './log-invariants.ts'
import { COPIED_BYTES, MOVE_DIRECTORIES, openMoved, REPLACE_LIMIT_MS, turns } from './moved-storage.ts'
import type { Harness } from './storage-harness.ts'
import { type LogExpectation, WorkloadLog } from './workload-log.ts'
import { WorkloadWorld, type WorldOptions } from './workload-world.ts'

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

export interface MoveWorkloadOptions extends WorldOptions {
  stepCount: number
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
  onStarted: (disk: SimulatedDisk) => void
  readonly #options: MoveWorkloadOptions
  readonly #world: WorkloadWorld
  #harness: Harness | null
  #move: LogMove | null
  #replacing: boolean
  #acknowledged: Offset
  #epoch: number
  #life: number

  constructor(options: MoveWorkloadOptions) {
    this.points = []
    this.evaluations = newEvaluations()
    this.replacedCount = 0
    this.entry = new WorkloadLog(0)
    this.onStarted = () => undefined
    this.#options = options
    this.#world = new WorkloadWorld(options)
    this.#harness = null
    this.#move = null
    this.#replacing = false
    this.#acknowledged = 0
    this.#epoch = 1
    this.#life = 0
  }

  get harness(): Harness {
    return this.#harness!
  }

  async run(): Promise<void> {
    await this.#open(this.#world.disk)
    const { manager } = this.harness
    this.entry.onCreated(manager.createLog('topic', 0, randomUuid(this.#world.random), '/a'))
    for (let count = 0; count < this.#options.stepCount && this.harness.failures.length === 0; count++) {
      await this.#step(this.#world.drawKind(STEPS))
      for (let turn = 0; turn < 4; turn++) await Promise.resolve()
    }
    this.#collect('the end')
  }

  /** Lets everything that was begun end, and stops. */
  async end(): Promise<void> {
    this.#world.disk.onChange = () => undefined
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
    const code = this.entry.append(['after the fault'], this.#epoch, this.#world.clock.wallMs(), -1, false)
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
    const world = this.#world
    world.restart(disk, (operation, path) => this.#onChange(operation, path))
    this.#move = null
    this.#replacing = false
    disk.settle = () => Promise.resolve()
    this.#harness = await openMoved(disk, world.clock, world.timers, world.random.uint32())
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
        this.entry.onCreated(manager.createLog('topic', 0, randomUuid(this.#world.random), '/a'))
      }
      // A restarted leader never goes on in its epoch.
      this.#epoch++
      this.#resume()
    }
    disk.settle = (operation) => world.wait(operation)
    this.onStarted(disk)
  }

  #onChange(operation: DiskOperation, path: string): void {
    this.#acknowledge()
    if (this.#world.drawCrash()) this.#collect(`${operation} ${path}`)
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
    if (this.entry.log !== null)
      this.points.push({ disk: this.#world.disk.fork(), step, expected: this.#expectation() })
  }

  async #step(step: Step): Promise<void> {
    const { manager } = this.harness
    const log = this.entry.log!
    if (step === 'append') this.#append()
    else if (step === 'flush') manager.flushStaged()
    else if (step === 'settle') await this.#settleSome()
    else if (step === 'wait') this.#world.timers.advance(this.#draw(400))
    else if (step === 'wait a minute') this.#world.timers.advance(60_000)
    else if (step === 'move') this.#world.expectingRefusal(() => this.#start())
    else if (step === 'copy') await this.#copy()
    else if (step === 'replace') this.#replace()
    else if (step === 'cancel') await this.#cancel()
    else if (step === 'truncate') this.#world.expectingRefusal(() => this.#truncate())
    else if (step === 'delete records')
      this.entry.deleteRecords(this.#draw(log.highWatermark + 1), this.#world.clock.wallMs())
    else if (step === 'stop') await this.#stop()
    else if (step === 'kill') await this.#kill(() => this.#world.disk.killed())
    else await this.#kill(() => this.#world.disk.crashed(new RandomChoices(this.#world.random)))
    this.#acknowledge()
  }

  #append(): void {
    const producerId = this.#draw(3) - 1
    for (let count = 1 + this.#draw(3); count > 0; count--) {
      const values = [`value ${this.entry.model.logEndOffset}`.padEnd(this.#draw(400), '.')]
      const code = this.entry.append(values, this.#epoch, this.#world.clock.wallMs(), producerId, false)
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
    const { clock, timers } = this.#world
    return new LogMove({ source, future, futures, clock, timers })
  }

  async #copy(): Promise<void> {
    try {
      // Whoever is about to replace the log copies by himself.
      if (!this.#replacing) await this.#move?.copy(COPIED_BYTES)
    } catch (error) {
      this.#world.onRefused(error)
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
      this.#world.onRefused(error)
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
      this.#world.timers.advance(5)
      await turns(20)
    }
    assert(isEnded, 'a move that is closed ends')
    this.#acknowledge()
    this.#move = null
  }

  #truncate(): void {
    const { batches } = this.entry.model
    const offset = batches[this.#draw(Math.max(1, batches.length))]?.baseOffset ?? 0
    this.#world.disk.forgetViews()
    this.entry.truncateTo(offset)
    this.#acknowledged = Math.min(this.#acknowledged, this.entry.log!.logEndOffset)
    this.#epoch++
  }

  async #stop(): Promise<void> {
    await this.#endMove()
    this.#letAllGo()
    this.harness.manager.flushStaged()
    await this.harness.manager.shutdown()
    await this.#open(this.#world.disk)
  }

  async #kill(next: () => SimulatedDisk): Promise<void> {
    // Nothing of the dead may act any more.
    this.#world.disk.onChange = () => {
      throw new DiskError('DISK_OTHER', 'use after death', '', null)
    }
    await this.#open(next())
  }

  async #settleSome(): Promise<void> {
    this.#world.release(1 + this.#draw(this.#world.waitingCount + 1))
    await turns(10)
  }

  #letAllGo(): void {
    this.#world.disk.settle = () => Promise.resolve()
    this.#world.releaseAll()
  }

  #draw(count: number): number {
    return this.#world.draw(count)
  }
}

function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
