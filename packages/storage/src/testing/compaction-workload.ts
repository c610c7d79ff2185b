import { RandomChoices, SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { buildEndTxnMarker, CodecId, ControlRecordType } from '@millrace/protocol'
import { AppendResult, type CleanerSettings, type Log, ReadResult } from '../index.ts'
import { batchesIn, compact, type KeyedRecord, keyedBatch, openCompacted } from './compacted-log.ts'
import { type AppendedBatch, CompactionModel, checkCompacted, checkRecords } from './compaction-model.ts'
import { type Opened, turns, WALKED } from './log-driver.ts'
import { TOPIC_ID } from './storage-harness.ts'

const PRODUCERS = [11, 12, 13]
const CODECS = [CodecId.NONE, CodecId.NONE, CodecId.GZIP, CodecId.LZ4]

/** A disk at some moment, and what must be found on it after a crash. */
interface CompactionPoint {
  readonly disk: SimulatedDisk
  readonly step: string
  readonly batches: readonly AppendedBatch[]
  readonly durableOffset: number
}

export interface CompactionWorkloadOptions {
  readonly seed: number
  readonly stepCount: number
  /** Share of the disk's changes while it is compacted at which a crash is tried. */
  readonly crashShare: number
  readonly looseNames?: boolean
  readonly finePageBytes?: number
}

/**
 * Keyed records, tombstones and transactions are appended to a log that is compacted, cut, deleted from and reopened at random; at random
 * operations of the disk it is kept, so that a crash there can be tried.
 */
export class CompactionWorkload {
  readonly points: CompactionPoint[]
  /** Segments were exchanged, transactions aborted. */
  cleanedCount: number
  readonly #options: CompactionWorkloadOptions
  readonly #random: SeededRandom
  readonly #clock: SimulatedClock
  readonly #settings: Partial<CleanerSettings>
  #timers: SimulatedTimers
  #disk: SimulatedDisk
  #opened: Opened | null
  #log: Log | null
  #model: CompactionModel
  readonly #sequences: Map<number, number>
  readonly #open: Set<number>
  #isCompacting: boolean
  /** Lowers what must be found while a truncation is under way. */
  #truncatingTo: number

  constructor(options: CompactionWorkloadOptions) {
    const random = new SeededRandom(options.seed)
    this.points = []
    this.cleanedCount = 0
    this.#options = options
    this.#random = random.fork('workload')
    this.#clock = new SimulatedClock()
    // Now and then too small for all keys.
    this.#settings = { dedupeBufferBytes: 24 * (random.uint32() % 3 === 0 ? 12 : 1000) }
    this.#timers = new SimulatedTimers(this.#clock)
    this.#disk = new SimulatedDisk({
      random: random.fork('disk'),
      clock: this.#clock,
      coldShare: 0.3,
      looseNames: options.looseNames ?? false,
      finePageBytes: options.finePageBytes ?? 0,
    })
    this.#opened = null
    this.#log = null
    this.#model = new CompactionModel()
    this.#sequences = new Map()
    this.#open = new Set()
    this.#isCompacting = false
    this.#truncatingTo = Number.POSITIVE_INFINITY
  }

  async run(): Promise<void> {
    await this.#start(this.#disk)
    for (let count = 0; count < this.#options.stepCount; count++) await this.#step()
    await this.#check()
    if (this.#opened!.errors.length > 0) throw new Error(this.#opened!.errors.join())
  }

  /** Tries a crash at each point: what was durable is there, and nothing else than was appended. Twice, since a start may crash too. */
  async checkPoints(): Promise<void> {
    const random = new SeededRandom(this.#options.seed)
    for (const [number, point] of this.points.entries()) {
      const kinds = ['killed', 'crashed', 'crashed again'] as const
      for (const kind of kinds) {
        try {
          const choices = new RandomChoices(random)
          let disk = kind === 'killed' ? point.disk.fork() : point.disk.crashed(choices)
          if (kind === 'crashed again') {
            await this.#reopened(disk)
            disk = disk.crashed(choices)
          }
          const { opened, log } = await this.#reopened(disk)
          if (log.logEndOffset < point.durableOffset)
            throw new Error(`ends at ${log.logEndOffset}, not ${point.durableOffset}`)
          if (kind === 'killed' && opened.warnings.includes(WALKED)) throw new Error('the log was walked')
          const model = new CompactionModel(point.batches)
          model.cutTo(log.logEndOffset)
          await checkCompacted(log, model)
          // Also after it has gone on from there.
          await compact(opened)
          await checkCompacted(log, model)
        } catch (error) {
          const where = `seed ${this.#options.seed}, point ${number}, ${kind}: ${point.step}`
          throw new Error(where, { cause: error })
        }
      }
    }
  }

  async #reopened(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log }> {
    const clock = new SimulatedClock()
    clock.advance(this.#clock.monotonicMs())
    const opened = await openCompacted(disk, {}, this.#settings, { clock, timers: new SimulatedTimers(clock) })
    return { opened, log: opened.manager.log('topic', 0)! }
  }

  async #start(disk: SimulatedDisk): Promise<void> {
    this.#disk = disk
    this.#timers = new SimulatedTimers(this.#clock)
    disk.onChange = (operation, path) => this.#onChange(`${operation} ${path}`)
    const opened = await openCompacted(disk, {}, this.#settings, { clock: this.#clock, timers: this.#timers })
    this.#opened = opened
    this.#log = opened.manager.log('topic', 0) ?? opened.manager.createLog('topic', 0, TOPIC_ID)
  }

  #onChange(step: string): void {
    const log = this.#log
    if (!this.#isCompacting || log === null) return
    if (this.#random.uint32() >= this.#options.crashShare * 2 ** 32) return
    const batches = [...this.#model.batches]
    const durableOffset = Math.min(log.durableOffset, this.#truncatingTo)
    this.points.push({ disk: this.#disk.fork(), step, batches, durableOffset })
  }

  async #step(): Promise<void> {
    const draw = this.#random.uint32() % 100
    if (draw < 62) this.#append()
    else if (draw < 72) this.#endTransaction()
    else if (draw < 84) await this.#settle()
    else if (draw < 93) await this.#compact()
    else if (draw < 95) this.#truncate()
    else if (draw < 96) this.#clock.advance(8_000)
    else if (draw < 97) this.#log!.roll(this.#log!.logEndOffset)
    else await this.#restart()
  }

  #append(): void {
    const count = 1 + (this.#random.uint32() % 4)
    const records: KeyedRecord[] = []
    for (let slot = 0; slot < count; slot++) {
      const key = `key ${this.#random.uint32() % 25}`
      const isTombstone = this.#random.uint32() % 5 === 0
      records.push({ key, value: isTombstone ? null : `${this.#random.uint32()}`.padEnd(40, '.') })
    }
    const place = this.#random.uint32() % 6
    const producerId = PRODUCERS[place] ?? -1
    const isTransactional = producerId === 12 || producerId === 13
    const baseSequence = producerId < 0 ? -1 : (this.#sequences.get(producerId) ?? 0)
    const codec = CODECS[this.#random.uint32() % CODECS.length]!
    const timestamp = this.#clock.wallMs() - (this.#random.uint32() % 1000)
    const producer =
      producerId < 0 ? {} : { producerId, producerEpoch: 1, baseSequence, transactional: isTransactional }
    const baseOffset = this.#store(keyedBatch(records, { codec, timestamp, ...producer }), false)
    if (producerId >= 0) this.#sequences.set(producerId, baseSequence + count)
    if (isTransactional) this.#open.add(producerId)
    this.#model.batches.push({
      baseOffset,
      lastOffset: baseOffset + count - 1,
      records: records.map(({ key, value }, slot) => ({ key, value, offset: baseOffset + slot, timestamp })),
      producerId,
      baseSequence,
      isTransactional,
      marker: null,
    })
  }

  #endTransaction(): void {
    const producerId = [...this.#open][0]
    if (producerId === undefined) return
    this.#open.delete(producerId)
    const isCommit = this.#random.uint32() % 2 === 0
    const type = isCommit ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    const timestamp = this.#clock.wallMs()
    const marker = buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 1, timestamp })
    const baseOffset = this.#store(marker, true)
    this.#model.batches.push({
      baseOffset,
      lastOffset: baseOffset,
      records: [],
      producerId,
      baseSequence: -1,
      isTransactional: true,
      marker: isCommit ? 'commit' : 'abort',
    })
  }

  #store(batch: Buffer, isMarker: boolean): number {
    const result = new AppendResult()
    const code = this.#log!.append(batch, 0, batch.length, isMarker ? 'coordinator' : 'client', 1, result)
    if (code !== 0) throw new Error(`append: error ${code}`)
    if (this.#random.uint32() % 2 === 0) this.#opened!.manager.flushStaged()
    return result.baseOffset
  }

  async #settle(): Promise<void> {
    this.#opened!.manager.flushStaged()
    await turns(30)
    this.#log!.setHighWatermark(this.#log!.durableOffset)
    if (this.#random.uint32() % 2 === 0) this.#timers.advance(1_200)
    await turns(60)
  }

  async #compact(): Promise<void> {
    await this.#settle()
    const before = this.#opened!.manager.cleanerStatus!.cleanedCount
    this.#isCompacting = true
    const done = compact(this.#opened!)
    // Appends and reads go on meanwhile.
    const reads: Promise<void>[] = []
    for (let count = this.#random.uint32() % 6; count > 0; count--) {
      await turns(this.#random.uint32() % 40)
      reads.push(this.#read())
      this.#append()
    }
    if (this.#random.uint32() % 8 === 0) this.#truncate()
    await done
    await Promise.all(reads)
    this.#isCompacting = false
    if (this.#opened!.manager.cleanerStatus!.cleanedCount > before) this.cleanedCount++
    if (this.#random.uint32() % 3 === 0) await this.#check()
  }

  /** What is read while segments are exchanged is what was appended, and none of it is refused. */
  async #read(): Promise<void> {
    const log = this.#log!
    const { generation } = log
    const model = new CompactionModel(this.#model.batches)
    const out = new ReadResult()
    const offset = log.logStartOffset + (this.#random.uint32() % (1 + log.writtenOffset - log.logStartOffset))
    const isRead = await log.read(offset, 1500, log.writtenOffset, true, out)
    if (generation !== log.generation) return
    if (!isRead) throw new Error(`read at ${offset} is refused: ${out.errorCode}`)
    const batches = batchesIn(Buffer.concat(out.buffers))
    const [first] = batches
    if (first !== undefined && first.lastOffset < offset) throw new Error(`read at ${offset} gives ${first.baseOffset}`)
    checkRecords(batches, model)
  }

  /** What is not committed goes, as on a follower. */
  #truncate(): void {
    const log = this.#log!
    this.#opened!.manager.flushStaged()
    const batch = this.#model.batches.findLast(({ baseOffset }) => baseOffset <= log.highWatermark)
    const offset = batch === undefined ? log.highWatermark : batch.lastOffset + 1
    if (offset >= log.logEndOffset || offset < log.highWatermark) return
    this.#truncatingTo = offset
    log.truncateTo(offset)
    this.#truncatingTo = Number.POSITIVE_INFINITY
    this.#model.cutTo(offset)
    this.#recount()
  }

  async #restart(): Promise<void> {
    const isClean = this.#random.uint32() % 3 === 0
    if (isClean) await this.#opened!.manager.shutdown()
    else await this.#settle()
    this.#log = null
    this.#disk.onChange = () => undefined
    const left = isClean ? this.#disk.killed() : this.#disk.fork()
    await this.#start(this.#random.uint32() % 2 === 0 ? left : left.crashed(new RandomChoices(this.#random)))
    this.#model.cutTo(this.#log!.logEndOffset)
    this.#log!.setHighWatermark(this.#log!.logEndOffset)
    this.#recount()
  }

  #recount(): void {
    this.#sequences.clear()
    for (const [producerId, sequence] of this.#model.lastSequences(this.#model.endOffset)) {
      this.#sequences.set(producerId, sequence + 1)
    }
    this.#open.clear()
    for (const producerId of this.#model.openProducers(this.#model.endOffset)) this.#open.add(producerId)
  }

  async #check(): Promise<void> {
    const opened = this.#opened!
    opened.manager.flushStaged()
    await turns(100)
    const { highWatermark } = this.#log!
    await checkCompacted(this.#log!, this.#model)
    this.#log!.setHighWatermark(Math.max(highWatermark, 0))
  }
}
