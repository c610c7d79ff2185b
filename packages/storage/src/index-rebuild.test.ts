import { type DiskFile, SeededRandom, SimulatedDisk } from '@millrace/base'
import { setBaseOffset } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { IndexRebuild } from './index-rebuild.ts'
import { append, fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'
import { checkIndexFiles } from './testing/stored-files.ts'

const INTERVAL_BYTES = 400

/** A log file of batches of one record each with rising and falling timestamps, and where they stand. */
function fileOf(count: number): { disk: SimulatedDisk; file: DiskFile; positions: number[]; endBytes: number } {
  const disk = new SimulatedDisk()
  const file = disk.openFile('/0.log', { create: true })
  const positions: number[] = []
  let endBytes = 0
  for (let number = 0; number < count; number++) {
    const batch = batchOf(['v'.repeat((number * 37) % 200)], { timestamp: 1000 + ((number * 7) % 50) * number })
    setBaseOffset(batch, 0, number)
    file.write(batch, 0, batch.length, endBytes)
    positions.push(endBytes)
    endBytes += batch.length
  }
  return { disk, file, positions, endBytes }
}

/** What a walk in pieces of this size finds. */
function walk(file: DiskFile, endBytes: number, pieceBytes: number): unknown {
  const rebuild = new IndexRebuild(file, endBytes, 0, 100, INTERVAL_BYTES)
  let pieceCount = 1
  while (!rebuild.walk(pieceBytes)) {
    pieceCount++
    if (pieceCount > endBytes + 1) throw new Error('the walk does not end')
  }
  const { offsetEntries, timeEntries, holes, maxTimestamp, maxTimestampOffset, bytesSinceEntry } = rebuild
  return { offsetEntries, timeEntries, holes, maxTimestamp, maxTimestampOffset, bytesSinceEntry }
}

test('a walk in pieces finds what one without pieces finds, damage included', () => {
  const random = new SeededRandom(1)
  for (let round = 0; round < 20; round++) {
    const { disk, file, endBytes } = fileOf(100)
    for (let count = round % 4; count > 0; count--)
      disk.corrupt('/0.log', random.uint32() % endBytes, 1 << (random.uint32() % 8))
    const whole = walk(file, endBytes, Number.POSITIVE_INFINITY)
    for (const pieceBytes of [1, 100, 1000, 8000]) expect(walk(file, endBytes, pieceBytes)).toEqual(whole)
  }
})

test('a base offset that is too high is the only thing that is lost', () => {
  for (const mask of [0x01, 0x20, 0x40]) {
    const { disk, file, positions, endBytes } = fileOf(100)
    const sound = walk(file, endBytes, Number.POSITIVE_INFINITY) as { maxTimestamp: number }
    disk.corrupt('/0.log', positions[30]! + 7, mask)
    const found = walk(file, endBytes, Number.POSITIVE_INFINITY) as typeof sound & { holes: unknown }
    const isRaised = (30 & mask) === 0
    expect(found.maxTimestamp).toBe(sound.maxTimestamp)
    if (isRaised) expect(found.holes).toEqual([{ startOffset: 30, endOffset: 31, endPosition: positions[31] }])
  }
})

describe('a read that meets damage in a large segment', () => {
  const COUNT = 60
  const DAMAGED = 20
  const LARGE = { ...SMALL, segmentBytes: 16 << 20 }

  interface Reading {
    opened: Opened
    disk: SimulatedDisk
    log: Log
    /** Reads that wait for the disk. */
    waiting: (() => void)[]
  }

  /** A log of some MiB in one segment, of which one batch says that it has a negative size. Reads end when they are let. */
  async function damagedLog(): Promise<Reading> {
    const disk = new SimulatedDisk()
    const before = await open(disk, LARGE)
    const filled = before.manager.createLog('topic', 0, TOPIC_ID)
    await fill(before, filled, COUNT, 50_000)
    const { active } = filled.segments
    const { position } = active.locate(DAMAGED)
    await before.manager.shutdown()
    disk.corrupt(active.logPath, position + 8, 0x80)
    const opened = await open(disk, LARGE)
    const waiting: (() => void)[] = []
    disk.settle = (operation) =>
      operation === 'read' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
    return { opened, disk, log: opened.manager.log('topic', 0)!, waiting }
  }

  /** Lets reads end, one after the other, and does something before each. */
  async function letRead({ waiting }: Reading, before: (number: number) => void): Promise<number> {
    for (let number = 0; ; number++) {
      await turns(50)
      const wake = waiting.shift()
      if (wake === undefined) return number
      before(number)
      wake()
    }
  }

  async function valuesOf({ disk, log }: Reading): Promise<(string | number)[]> {
    disk.settle = () => Promise.resolve()
    const values: (string | number)[] = []
    const out = new ReadResult()
    for (let offset = 0; offset < log.logEndOffset; offset++) {
      const good = await log.read(offset, 1, log.logEndOffset, true, out)
      const text = good ? Buffer.concat(out.buffers).toString('latin1') : ''
      values.push(good ? /(?:value \d+|new)/.exec(text)![0] : out.errorCode)
    }
    return values
  }

  function expectedValues(): (string | number)[] {
    return Array.from({ length: COUNT }, (_, offset) => (offset === DAMAGED ? 56 : `value ${offset}`))
  }

  test('has it walked in pieces, between which others have their turn and append', async () => {
    const reading = await damagedLog()
    const { opened, disk, log } = reading
    const out = new ReadResult()
    const answered = log.read(DAMAGED, 1000, COUNT, true, out)
    const pieceCount = await letRead(reading, () => {
      expect(append(log, ['new'])).toBe(0)
      opened.manager.flushStaged()
    })
    expect(await answered).toBe(false)
    expect(out.errorCode).toBe(56)
    // One reads the index and one or two the batch; the segment has three pieces.
    expect(pieceCount).toBeGreaterThanOrEqual(4)
    expect(log.logEndOffset).toBe(COUNT + pieceCount)
    expect(await valuesOf(reading)).toEqual([...expectedValues(), ...Array.from({ length: pieceCount }, () => 'new')])
    await opened.manager.shutdown()
    expect(checkIndexFiles(disk, [log.path], () => undefined)).toBeNull()
  })

  test('shares the walk with others that come meanwhile', async () => {
    const reading = await damagedLog()
    const { opened, log } = reading
    const outs = [new ReadResult(), new ReadResult()]
    const answers = outs.map((out) => log.read(DAMAGED, 1000, COUNT, true, out))
    const found = log.offsetForTimestamp(1000, COUNT)
    await letRead(reading, () => undefined)
    expect(await Promise.all(answers)).toEqual([false, false])
    expect((await found)?.offset).toBe(0)
    expect(log.faultyRanges).toEqual([{ startOffset: DAMAGED, endOffset: DAMAGED + 1 }])
    expect(await valuesOf(reading)).toEqual(expectedValues())
    await opened.manager.shutdown()
  })

  test.each([DAMAGED - 5, DAMAGED + 20])('lets the log be truncated to %i meanwhile', async (endOffset) => {
    const reading = await damagedLog()
    const { opened, disk, log } = reading
    const answered = log.read(DAMAGED, 1000, COUNT, true, new ReadResult())
    const pieceCount = await letRead(reading, (number) => {
      if (number === 3) log.truncateTo(endOffset)
    })
    expect(pieceCount).toBeGreaterThan(3)
    await answered
    expect(log.logEndOffset).toBe(endOffset)
    for (let count = 0; count < 5; count++) expect(append(log, ['new'])).toBe(0)
    opened.manager.flushStaged()
    const expected = [...expectedValues().slice(0, endOffset), ...Array.from({ length: 5 }, () => 'new')]
    expect(await valuesOf(reading)).toEqual(expected)
    // What the walk was to bring was searched for again.
    expect(log.segments.active.indexes.offsets.file.count).toBeGreaterThan(endOffset / 2)
    await opened.manager.shutdown()
    expect(checkIndexFiles(disk, [log.path], () => undefined)).toBeNull()
  })

  test('is answered when the log is deleted meanwhile', async () => {
    const reading = await damagedLog()
    const { opened, log } = reading
    const out = new ReadResult()
    const answered = log.read(DAMAGED, 1000, COUNT, true, out)
    await letRead(reading, (number) => {
      if (number === 3) opened.manager.deleteLog(log)
    })
    expect(await answered).toBe(false)
    expect(out.errorCode).toBe(56)
    await opened.manager.shutdown()
  })
})

test('a truncation takes the damage that it cut off with it', async () => {
  const disk = new SimulatedDisk()
  const before = await open(disk)
  const filled = before.manager.createLog('topic', 0, TOPIC_ID)
  await fill(before, filled, 10)
  const { position } = filled.segments.active.locate(7)
  await before.manager.shutdown()
  disk.corrupt('/data/topic-0/00000000000000000000.log', position + 8, 0x80)
  const opened = await open(disk)
  const log = opened.manager.log('topic', 0)!
  const out = new ReadResult()
  expect(await log.read(7, 1, 10, true, out)).toBe(false)
  expect(log.faultyRanges).toEqual([{ startOffset: 7, endOffset: 8 }])
  log.truncateTo(5)
  expect(log.faultyRanges).toEqual([])
  await turns()
  await fill(opened, log, 10)
  for (let offset = 0; offset < 10; offset++) expect(await log.read(offset, 1000, 10, true, out)).toBe(true)
  await opened.manager.shutdown()
})

test('a checkpoint while indexes are being built leaves no time index that a start takes for whole', async () => {
  const disk = new SimulatedDisk()
  const LARGE = { ...SMALL, segmentBytes: 64 << 20 }
  const before = await open(disk, LARGE)
  const filled = before.manager.createLog('topic', 0, TOPIC_ID)
  const appendAt = (opened: Opened, log: Log, timestamp: number): void => {
    const batch = batchOf(['x'.repeat(50_000)], { timestamp })
    expect(log.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
    opened.manager.flushStaged()
  }
  for (let count = 0; count < 60; count++) appendAt(before, filled, 9000 + count)
  await turns()
  await before.manager.shutdown()
  // Damage of a time index that has the largest timestamp looked for in the batches.
  overwriteFile(disk, '/data/topic-0/00000000000000000000.timeindex', Buffer.alloc(0))
  const opened = await open(disk, LARGE)
  const log = opened.manager.log('topic', 0)!
  const waiting: (() => void)[] = []
  disk.settle = (operation) =>
    operation === 'read' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  const loading = log.segments.active.loadMaxTimestamp()
  await turns()
  waiting.shift()?.()
  await turns()
  // Timestamps that go back, as after a correction of the producer's clock.
  for (let count = 0; count < 10; count++) appendAt(opened, log, 100 + count)
  log.checkpointer.request()
  await turns(2000)
  expect(log.recoveryPoint).toBe(70)
  opened.timers.advance(2000)
  await turns()
  const again = await open(disk.killed(), LARGE)
  expect(again.manager.log('topic', 0)!.segments.active.maxTimestamp).toBe(9059)
  disk.settle = () => Promise.resolve()
  for (const wake of waiting) wake()
  await loading
  expect(log.segments.active.maxTimestamp).toBe(9059)
})
