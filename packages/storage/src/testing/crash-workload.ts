import {
  type Random,
  RandomChoices,
  randomUuid,
  SeededRandom,
  SimulatedClock,
  SimulatedDisk,
  SimulatedTimers,
  type Uuid,
} from '@millrace/base'
import { addToSequence, setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { AppendResult, type Log } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import { LogModel, type ModelBatch } from './log-model.ts'
import { batchOf, type Harness, openStorage } from './storage-harness.ts'

/** What must hold of a log that is found after a crash. */
export interface LogExpectation {
  partition: number
  topicId: Uuid
  /** Everything ever appended and not truncated: the log must be a prefix of it. */
  batches: readonly ModelBatch[]
  /** Acknowledged as durable: all of it must be there. */
  durableOffset: number
  /** Records below may be gone. */
  logStartOffset: number
}

/** The disk that a crash would leave at some moment, and what must be found on it. */
export interface CrashPoint {
  disk: SimulatedDisk
  step: string
  logs: LogExpectation[]
}

export interface WorkloadOptions {
  seed: number
  /** Steps of the workload; each does a few disk operations. */
  stepCount: number
  /** Share of the disk operations at which a crash is tried. */
  crashShare: number
  mapping: boolean
  config?: Partial<LogConfig>
}

const PARTITION_COUNT = 2
const SMALL: Partial<LogConfig> = {
  segmentBytes: 3000,
  indexIntervalBytes: 200,
  retentionMs: -1,
  fileDeleteDelayMs: 500,
}

/**
 * Runs random appends, flushes, truncations, deletions and checkpoints on a simulated disk, and collects the disks that a crash at
 * random moments would leave. Syncs end when the workload lets them, in any order.
 */
export class CrashWorkload {
  readonly crashPoints: CrashPoint[]
  readonly disk: SimulatedDisk
  readonly #options: WorkloadOptions
  readonly #random: Random
  readonly #crashRandom: SeededRandom
  readonly #timers: SimulatedTimers
  readonly #clock: SimulatedClock
  readonly #models: LogModel[]
  readonly #logs: (Log | null)[]
  readonly #sequences: Map<number, number>
  readonly #result: AppendResult
  #waiting: (() => void)[]
  #harness: Harness | null
  #epoch: number
  #nextValue: number
  /** Lowers what must be found while a truncation is under way. */
  readonly #truncatingTo: number[]

  constructor(options: WorkloadOptions) {
    const random = new SeededRandom(options.seed)
    this.crashPoints = []
    this.#options = options
    this.#random = random.fork('workload')
    this.#crashRandom = random.fork('crash')
    this.#clock = new SimulatedClock()
    this.#timers = new SimulatedTimers(this.#clock)
    this.disk = new SimulatedDisk({
      random: random.fork('disk'),
      clock: this.#clock,
      mapping: options.mapping,
      coldShare: 0.3,
      writeBackShare: 0.1,
    })
    this.#models = Array.from({ length: PARTITION_COUNT }, () => new LogModel())
    this.#logs = this.#models.map(() => null)
    this.#truncatingTo = this.#models.map(() => Number.POSITIVE_INFINITY)
    this.#sequences = new Map()
    this.#result = new AppendResult()
    this.#waiting = []
    this.#harness = null
    this.#epoch = 1
    this.#nextValue = 0
  }

  async run(): Promise<void> {
    this.#harness = await openStorage({
      disk: this.disk,
      clock: this.#clock,
      timers: this.#timers,
      random: new SeededRandom(this.#options.seed),
      config: { ...SMALL, ...this.#options.config },
    })
    this.disk.settle = () => new Promise((resolve) => this.#waiting.push(resolve))
    this.disk.onChange = (operation, path) => this.#maybeCrash(`${operation} ${path}`)
    for (let step = 0; step < this.#options.stepCount; step++) await this.#step()
  }

  /** Lets the workload's own storage end: everything waiting is let go. */
  async end(): Promise<void> {
    this.disk.onChange = () => undefined
    this.disk.settle = () => Promise.resolve()
    this.#release(this.#waiting.length)
    await this.#harness!.manager.shutdown()
  }

  get harness(): Harness {
    return this.#harness!
  }

  async #step(): Promise<void> {
    const partition = this.#draw(PARTITION_COUNT)
    const log = this.#logs[partition] ?? this.#create(partition)
    const dice = this.#draw(100)
    if (dice < 45) for (let count = 1 + this.#draw(6); count > 0; count--) this.#append(log, partition)
    else if (dice < 65) this.#harness!.manager.flushStaged()
    else if (dice < 82) await this.#letSome()
    else if (dice < 86) this.#timers.advance(this.#draw(2000))
    else if (dice < 89) this.#truncate(log, partition)
    else if (dice < 91) this.#deleteRecords(log, partition)
    else if (dice < 93) log.checkpointer.request()
    else if (dice < 95) this.#appendLarge(log, partition)
    else if (dice < 96) this.#startAgain(log, partition)
    else if (dice < 97) this.#delete(log, partition)
    else this.#epoch++
    for (let turn = 0; turn < 4; turn++) await Promise.resolve()
  }

  #create(partition: number): Log {
    const log = this.#harness!.manager.createLog('topic', partition, randomUuid(this.#random))
    this.#logs[partition] = log
    this.#models[partition] = new LogModel()
    this.#forgetSequences(partition)
    return log
  }

  #delete(log: Log, partition: number): void {
    this.#logs[partition] = null
    this.#harness!.manager.deleteLog(log)
  }

  #append(log: Log, partition: number): void {
    const producerId = this.#draw(3) - 1
    const count = 1 + this.#draw(3)
    const values = Array.from({ length: count }, () => `value ${this.#nextValue++}`.padEnd(this.#draw(300), '.'))
    this.#store(log, partition, values, producerId)
  }

  #appendLarge(log: Log, partition: number): void {
    this.#store(log, partition, [`large ${this.#nextValue++}`.padEnd(2500, '.')], -1)
  }

  #store(log: Log, partition: number, values: string[], producerId: number): void {
    const key = partition * 10 + producerId
    const baseSequence = producerId < 0 ? -1 : (this.#sequences.get(key) ?? 0)
    // A log that forgot the producer takes any sequence, one that knows it takes the next.
    const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence }
    const batch = batchOf(values, { timestamp: this.#clock.wallMs(), ...producer })
    const model = this.#models[partition]!
    const code = log.append(batch, 0, batch.length, 'client', this.#epoch, this.#result)
    if (code !== 0) throw new Error(`append failed with ${code}`)
    const stored = Buffer.from(batch)
    setBaseOffset(stored, 0, model.logEndOffset)
    setPartitionLeaderEpoch(stored, 0, this.#epoch)
    const lastOffset = model.logEndOffset + values.length - 1
    const lastSequence = producerId < 0 ? -1 : addToSequence(baseSequence, values.length - 1)
    model.append({
      baseOffset: model.logEndOffset,
      lastOffset,
      epoch: this.#epoch,
      producerId,
      lastSequence,
      bytes: stored,
    })
    if (producerId >= 0) this.#sequences.set(key, lastSequence + 1)
  }

  #truncate(log: Log, partition: number): void {
    const model = this.#models[partition]!
    const offset = model.batches[this.#draw(Math.max(1, model.batches.length))]?.baseOffset ?? 0
    // Below its first segment the log starts anew: nothing needs to be found until that is done.
    this.#truncatingTo[partition] = offset < log.segments.first.baseOffset ? 0 : offset
    this.disk.forgetViews()
    log.truncateTo(offset)
    model.truncateTo(offset)
    this.#truncatingTo[partition] = Number.POSITIVE_INFINITY
    this.#forgetSequences(partition)
    this.#epoch++
  }

  #startAgain(log: Log, partition: number): void {
    const offset = log.logEndOffset + this.#draw(5)
    this.#truncatingTo[partition] = 0
    this.disk.forgetViews()
    log.truncateFullyAndStartAt(offset)
    this.#models[partition]!.startAt(offset)
    this.#truncatingTo[partition] = Number.POSITIVE_INFINITY
    this.#forgetSequences(partition)
  }

  #deleteRecords(log: Log, partition: number): void {
    const model = this.#models[partition]!
    const offset = this.#draw(log.writtenOffset + 1)
    log.setHighWatermark(log.writtenOffset)
    log.raiseLogStart(offset)
    model.logStartOffset = Math.max(model.logStartOffset, log.logStartOffset)
    log.applyRetention(this.#clock.wallMs())
  }

  /** Truncation brings older producer state back: the next sequence is what the log says now. */
  #forgetSequences(partition: number): void {
    for (const key of [...this.#sequences.keys()])
      if (Math.floor((key + 1) / 10) === partition) this.#sequences.delete(key)
    for (const { producerId, lastSequence } of this.#models[partition]!.batches) {
      if (producerId >= 0) this.#sequences.set(partition * 10 + producerId, lastSequence + 1)
    }
  }

  async #letSome(): Promise<void> {
    this.#release(1 + this.#draw(Math.max(1, this.#waiting.length)))
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }

  #release(count: number): void {
    for (let number = 0; number < count && this.#waiting.length > 0; number++) {
      const [wake] = this.#waiting.splice(this.#draw(this.#waiting.length), 1)
      wake!()
    }
  }

  #maybeCrash(step: string): void {
    if (this.#crashRandom.uint32() >= this.#options.crashShare * 2 ** 32) return
    const logs: LogExpectation[] = []
    for (const [partition, log] of this.#logs.entries()) {
      const model = this.#models[partition]!
      if (log === null) continue
      logs.push({
        partition,
        topicId: log.topicId,
        batches: model.batches,
        durableOffset: log.failed ? 0 : Math.min(log.durableOffset, this.#truncatingTo[partition]!),
        logStartOffset: Math.max(model.logStartOffset, log.logStartOffset),
      })
    }
    this.crashPoints.push({ disk: this.disk.crashed(new RandomChoices(this.#crashRandom)), step, logs })
  }

  #draw(count: number): number {
    return this.#random.uint32() % count
  }
}
