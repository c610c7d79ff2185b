import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Disk, RealDisk, SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { LogModel } from './testing/log-model.ts'
import { batchOf, type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** The log must answer as a list of batches does, whatever is done to it, on every disk. */

type Step =
  | { kind: 'append'; sizes: number[]; timestamp: number }
  | { kind: 'flush' }
  | { kind: 'read'; from: number; maxBytes: number; upper: number; minOneBatch: boolean }
  | { kind: 'truncate'; at: number }
  | { kind: 'delete records'; at: number }
  | { kind: 'retain bytes'; bytes: number }
  | { kind: 'find time'; timestamp: number }
  | { kind: 'reopen' }
  | { kind: 'idle' }

const share = fc.integer({ min: 0, max: 9999 }).map((number) => number / 10_000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizes: fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 4 }),
      timestamp: fc.integer({ min: 0, max: 100 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'flush' as const }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      from: share,
      maxBytes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 300, max: 8000 })),
      upper: share,
      minOneBatch: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), at: share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete records' as const), at: share }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('retain bytes' as const), bytes: fc.integer({ min: 0, max: 9000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('find time' as const), timestamp: fc.integer({ min: 0, max: 101 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'idle' as const }) },
)

const CONFIG = { segmentBytes: 4000, indexIntervalBytes: 300, retentionMs: -1 }

class Comparison {
  readonly #disk: Disk
  readonly #directory: string
  readonly #model: LogModel
  readonly #clock: SimulatedClock
  #harness: Harness | null
  #timestamps: number[]

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#model = new LogModel()
    this.#clock = new SimulatedClock(1000)
    this.#harness = null
    this.#timestamps = []
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#open()
    this.#harness!.manager.createLog('topic', 0, TOPIC_ID)
    for (const next of steps) await this.#step(next)
    await this.#harness!.manager.shutdown()
    expect(this.#harness!.failures).toEqual([])
    expect(this.#harness!.errors).toEqual([])
  }

  async #open(): Promise<void> {
    this.#harness = await openStorage({
      disk: this.#disk,
      directories: [this.#directory],
      clock: this.#clock,
      timers: new SimulatedTimers(this.#clock),
      config: CONFIG,
    })
  }

  get #log(): Log {
    return this.#harness!.manager.log('topic', 0)!
  }

  async #step(next: Step): Promise<void> {
    const log = this.#log
    switch (next.kind) {
      case 'append':
        this.#append(log, next.sizes, next.timestamp)
        break
      case 'flush':
        this.#harness!.manager.flushStaged()
        break
      case 'read':
        await this.#read(log, next)
        break
      case 'truncate':
        this.#truncate(log, Math.floor(next.at * log.logEndOffset))
        break
      case 'delete records':
        log.setHighWatermark(log.writtenOffset)
        log.raiseLogStart(Math.floor(next.at * log.writtenOffset))
        this.#model.logStartOffset = log.logStartOffset
        break
      case 'retain bytes':
        await this.#retain(log, next.bytes)
        break
      case 'find time':
        await this.#findTime(log, next.timestamp)
        break
      case 'reopen':
        await this.#harness!.manager.shutdown()
        await this.#open()
        this.#compareEnds(this.#log)
        break
      case 'idle':
        this.#harness!.manager.flushStaged()
        await log.closeIdle()
        break
    }
  }

  #append(log: Log, sizes: number[], timestamp: number): void {
    const baseOffset = this.#model.logEndOffset
    const batch = batchOf(
      sizes.map((size) => Buffer.alloc(size, baseOffset & 0xff)),
      { timestamp },
    )
    const result = new AppendResult()
    const before = Buffer.from(batch)
    expect(log.append(batch, 0, batch.length, 'client', 5, result)).toBe(0)
    expect(batch.equals(before)).toBe(true)
    expect(result).toMatchObject({ baseOffset, lastOffset: baseOffset + sizes.length - 1, duplicate: false })
    setBaseOffset(batch, 0, baseOffset)
    setPartitionLeaderEpoch(batch, 0, 5)
    const lastOffset = baseOffset + sizes.length - 1
    this.#model.append({ baseOffset, lastOffset, epoch: 5, bytes: batch })
    this.#timestamps[baseOffset] = timestamp
  }

  #truncate(log: Log, offset: number): void {
    const batch = this.#model.find(offset)
    const target = batch !== null && batch.baseOffset < offset ? batch.baseOffset : offset
    if (target < log.logStartOffset) return
    if (this.#disk instanceof SimulatedDisk) this.#disk.forgetViews()
    log.truncateTo(offset)
    this.#model.truncateTo(offset)
    this.#model.logEndOffset = Math.min(this.#model.logEndOffset, target)
    this.#compareEnds(log)
  }

  async #retain(log: Log, retentionBytes: number): Promise<void> {
    this.#harness!.manager.flushStaged()
    while (log.durableOffset < log.logEndOffset) await new Promise((resolve) => setImmediate(resolve))
    log.setHighWatermark(log.logEndOffset)
    log.updateConfig({ ...log.config, retentionBytes })
    await log.applyRetention(0)
    log.updateConfig({ ...log.config, retentionBytes: -1 })
    const first = log.segments.first
    expect(log.logStartOffset).toBeGreaterThanOrEqual(first.baseOffset)
    // Nothing is deleted that the limit would keep.
    const kept = this.#model.batches.filter(({ lastOffset }) => lastOffset >= first.baseOffset)
    expect(log.sizeBytes).toBe(kept.reduce((sum, { bytes }) => sum + bytes.length, 0))
    this.#model.logStartOffset = log.logStartOffset
  }

  async #read(log: Log, next: Extract<Step, { kind: 'read' }>): Promise<void> {
    const span = log.logEndOffset - log.logStartOffset
    const from = log.logStartOffset + Math.floor(next.from * (span + 1))
    const upper = log.logStartOffset + Math.floor(next.upper * (span + 1))
    const out = new ReadResult()
    const good = await log.read(from, next.maxBytes, upper, next.minOneBatch, out)
    expect(good).toBe(true)
    const got = Buffer.concat(out.buffers)
    const want = this.#model.read(from, next.maxBytes, Math.min(upper, log.writtenOffset), next.minOneBatch)
    expect(got.equals(want.subarray(0, got.length))).toBe(true)
    if (got.length === want.length) return
    // One read gives batches of one segment only.
    expect(got.length).toBeGreaterThan(0)
    expect(log.segments.all.some(({ baseOffset }) => baseOffset === out.lastOffset + 1)).toBe(true)
    expect(log.bytesAvailable(from, upper, 1 << 30)).toBeGreaterThanOrEqual(got.length)
  }

  async #findTime(log: Log, timestamp: number): Promise<void> {
    const found = await log.offsetForTimestamp(timestamp, Number.MAX_SAFE_INTEGER)
    const want = this.#model.batches.find(
      ({ baseOffset, lastOffset }) =>
        lastOffset >= log.logStartOffset &&
        lastOffset < log.writtenOffset &&
        this.#timestamps[baseOffset]! >= timestamp,
    )
    expect(found?.offset).toBe(want === undefined ? undefined : Math.max(want.baseOffset, log.logStartOffset))
  }

  #compareEnds(log: Log): void {
    expect(log.logEndOffset).toBe(this.#model.logEndOffset)
  }
}

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-log-'))
  directories.push(directory)
  return directory
}

const steps = fc.array(step, { minLength: 1, maxLength: 60 })

test('a log on a simulated disk with mappings answers as a list of batches', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer(), async (list, seed) => {
      const disk = new SimulatedDisk({ random: new SeededRandom(seed), coldShare: 0.3 })
      await new Comparison(disk, '/data').run(list)
    }),
    { numRuns: 400 },
  )
})

test('a log on a simulated disk without mappings answers as a list of batches', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      await new Comparison(new SimulatedDisk({ mapping: false }), '/data').run(list)
    }),
    { numRuns: 250 },
  )
})

test('a log on the real disk answers as a list of batches', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      await new Comparison(new RealDisk(), temporaryDirectory()).run(list)
    }),
    { numRuns: 15 },
  )
})

test('a log on the real disk without native calls answers as a list of batches', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      await new Comparison(new RealDisk({ portable: true }), temporaryDirectory()).run(list)
    }),
    { numRuns: 10 },
  )
})

test('a read from the disk takes all that fits, also behind a batch longer than the index interval', async () => {
  const list: Step[] = [
    { kind: 'append', sizes: [292], timestamp: 0 },
    { kind: 'append', sizes: [0, 215, 197, 373], timestamp: 0 },
    { kind: 'append', sizes: [87, 549], timestamp: 0 },
    { kind: 'append', sizes: [567], timestamp: 0 },
    { kind: 'reopen' },
    { kind: 'read', from: 0.1112, maxBytes: 2232, upper: 0.8889, minOneBatch: false },
  ]
  await new Comparison(new SimulatedDisk({ mapping: false }), '/data').run(list)
})

test('a read from memory takes all that fits, also behind a batch longer than the index interval', async () => {
  const disk = new SimulatedDisk({ random: new SeededRandom(0) })
  const sizes = [[88, 195], [127, 296], [373, 46, 249], [0], [0]]
  const exact = { kind: 'read' as const, from: 0.2, maxBytes: 1256, upper: 0.7, minOneBatch: false }
  await new Comparison(disk, '/data').run([
    ...sizes.map((each) => ({ kind: 'append' as const, sizes: each, timestamp: 0 })),
    { kind: 'flush' },
    exact,
  ])
})
