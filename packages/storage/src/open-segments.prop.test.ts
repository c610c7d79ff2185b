import { RandomChoices, SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { ErrorCode, setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { turns } from './testing/log-driver.ts'
import { LogModel } from './testing/log-model.ts'
import { refuseOpens } from './testing/refused-opens.ts'
import { batchOf, type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * More logs than files that may be open, some of them read from the disk, which takes its time, and power that goes now and then. Method:
 * a run is drawn from a seed; a list of batches a log tells what must be there, byte for byte after each loss of power. In every other run
 * the system, too, has no descriptor for a while.
 */

const LOG_COUNT = 7
const OPEN_COUNT = 3
const STEP_COUNT = 150
const EPOCH = 1
const CONFIG = { segmentBytes: 2000, indexIntervalBytes: 300, retentionMs: -1 }

class CrowdedRun {
  readonly #random: SeededRandom
  readonly #models = Array.from({ length: LOG_COUNT }, () => new LogModel())
  #disk: SimulatedDisk
  #clock = new SimulatedClock()
  #timers = new SimulatedTimers(this.#clock)
  #harness: Harness | null = null
  #reads: Promise<void>[] = []
  readonly #isStarving: boolean
  #isStarved = false
  refusedCount = 0

  constructor(seed: number) {
    this.#isStarving = seed % 2 === 0
    this.#random = new SeededRandom(seed)
    this.#disk = new SimulatedDisk({ random: new SeededRandom(seed + 1), coldShare: 0.5, writeBackShare: 0.2 })
  }

  async run(): Promise<void> {
    await this.#open()
    for (let partition = 0; partition < LOG_COUNT; partition++) {
      this.#harness!.manager.createLog('topic', partition, TOPIC_ID)
    }
    for (let count = 0; count < STEP_COUNT; count++) await this.#step()
    this.#isStarved = false
    this.#harness!.manager.flushStaged()
    await this.#pass(3000)
    await Promise.all(this.#reads)
    expect(this.#logs().map((log) => log.logEndOffset - log.durableOffset)).toEqual(this.#models.map(() => 0))
    expect([this.#harness!.failures, this.#harness!.errors.filter((line) => !line.includes('descriptor'))]).toEqual([
      [],
      [],
    ])
    await this.#crash()
  }

  async #step(): Promise<void> {
    const partition = this.#random.uint32() % LOG_COUNT
    const log = this.#harness!.manager.log('topic', partition)!
    const choice = this.#random.uint32() % 100
    if (this.#isStarving && this.#random.uint32() % 20 === 0) this.#isStarved = !this.#isStarved
    if (choice < 45) this.#append(log)
    else if (choice < 60) this.#harness!.manager.flushStaged()
    else if (choice < 80) this.#reads.push(this.#read(log))
    else if (choice < 94) await this.#pass(this.#random.uint32() % 40)
    else if (choice < 97) await this.#pass(65_000)
    else await this.#crash()
    await turns(20)
  }

  #append(log: Log): void {
    const model = this.#models[log.partition]!
    const bytes = batchOf([`${log.partition} ${log.logEndOffset} `.padEnd(50 + (this.#random.uint32() % 400), 'x')])
    const code = log.append(bytes, 0, bytes.length, 'client', EPOCH, new AppendResult())
    if (code !== ErrorCode.NONE) {
      expect(code).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
      this.refusedCount++
      return
    }
    setBaseOffset(bytes, 0, model.logEndOffset)
    setPartitionLeaderEpoch(bytes, 0, EPOCH)
    model.append({ baseOffset: model.logEndOffset, lastOffset: model.logEndOffset, epoch: EPOCH, bytes })
    expect(log.logEndOffset).toBe(model.logEndOffset)
  }

  /** What is read is what was written, from the offset asked for on; a read may be refused for want of a descriptor. */
  async #read(log: Log): Promise<void> {
    if (log.writtenOffset === 0) return
    const from = this.#random.uint32() % log.writtenOffset
    const expected = this.#models[log.partition]!.read(from, 1 << 20, log.writtenOffset, true)
    const out = new ReadResult()
    const isRead = await log.read(from, 1 + (this.#random.uint32() % 3000), log.writtenOffset, true, out)
    if (!isRead) {
      expect(out.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
      return
    }
    const found = Buffer.concat(out.buffers)
    expect(found.length).toBeGreaterThan(0)
    expect(found.equals(expected.subarray(0, found.length))).toBe(true)
  }

  async #pass(durationMs: number): Promise<void> {
    const stepMs = Math.max(1, durationMs / 40)
    for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
      this.#timers.advance(stepMs)
      await turns(20)
    }
  }

  /** Power goes; what was durable is there, and nothing that was not written. */
  async #crash(): Promise<void> {
    const durable = this.#logs().map(({ durableOffset }) => durableOffset)
    this.#isStarved = false
    // Who still reads gets no answer any more.
    this.#reads = []
    this.#disk = this.#disk.crashed(new RandomChoices(this.#random))
    await this.#open()
    for (const [partition, model] of this.#models.entries()) {
      let log = this.#harness!.manager.log('topic', partition)
      if (log === undefined) {
        expect(durable[partition]).toBe(0)
        log = this.#harness!.manager.createLog('topic', partition, TOPIC_ID)
      }
      expect(log.logEndOffset).toBeGreaterThanOrEqual(durable[partition]!)
      model.truncateTo(log.logEndOffset)
      expect(log.logEndOffset).toBe(model.logEndOffset)
      await this.#compare(log, model)
    }
  }

  /** All of a log, read from its start to its end, is what was written. */
  async #compare(log: Log, model: LogModel): Promise<void> {
    const found: Buffer[] = []
    const out = new ReadResult()
    for (let offset = 0, tryCount = 0; offset < log.logEndOffset; ) {
      const reading = log.read(offset, 1 << 20, log.logEndOffset, true, out)
      // Reads from the disk take their time.
      if (typeof reading !== 'boolean') await this.#pass(40)
      if (await reading) {
        found.push(...out.buffers.map((buffer) => Buffer.from(buffer)))
        offset = out.lastOffset + 1
        continue
      }
      // Until what the start found has been synced, no other file may be closed.
      expect([out.errorCode, ++tryCount < 50]).toEqual([ErrorCode.KAFKA_STORAGE_ERROR, true])
      await this.#pass(100)
    }
    expect(Buffer.concat(found).equals(model.read(0, Number.POSITIVE_INFINITY, log.logEndOffset, true))).toBe(true)
  }

  #logs(): Log[] {
    return this.#models.map((_, partition) => this.#harness!.manager.log('topic', partition)!)
  }

  async #open(): Promise<void> {
    this.#clock = new SimulatedClock()
    this.#timers = new SimulatedTimers(this.#clock)
    const timers = this.#timers
    this.#disk.settle = (operation) => {
      const delayMs = operation === 'sync' || operation === 'read' ? this.#random.uint32() % 4 : 0
      return delayMs === 0 ? Promise.resolve() : new Promise((resolve) => timers.setTimer(delayMs, resolve))
    }
    const bound = { maxOpenSegments: OPEN_COUNT }
    refuseOpens(this.#disk, () => this.#isStarved)
    this.#harness = await openStorage({ disk: this.#disk, clock: this.#clock, timers, config: CONFIG, ...bound })
  }
}

test('with few files open, what was durable survives, and what is read is what was written', async () => {
  let refusedCount = 0
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 - 1 }), async (seed) => {
      const run = new CrowdedRun(seed)
      await run.run()
      refusedCount += run.refusedCount
    }),
    { numRuns: 20, examples: [[2105969937]] },
  )
  // Else nothing was crowded.
  expect(refusedCount).toBeGreaterThan(0)
})
