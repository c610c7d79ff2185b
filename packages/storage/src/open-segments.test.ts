import { DiskError, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import type { LogConfig } from './log-config.ts'
import { type OpenableSegment, OpenSegments } from './open-segments.ts'
import { append, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** More busy logs than descriptors: what goes on, what is refused, and what is closed. */

const LOG_COUNT = 40

async function openBounded(disk: SimulatedDisk, maxOpenSegments: number, config: Partial<LogConfig> = SMALL) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const opened: Opened = { ...(await openStorage({ disk, clock, timers, config, maxOpenSegments })), clock, timers }
  const logs = Array.from({ length: LOG_COUNT }, (_, partition) =>
    opened.manager.createLog('topic', partition, TOPIC_ID),
  )
  return { opened, logs }
}

/** Counts the log files that are open; no more than `limit` can be. */
function countLogFiles(disk: SimulatedDisk, limit = Number.POSITIVE_INFINITY): { now: number; most: number } {
  const count = { now: 0, most: 0 }
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    if (!path.endsWith('.log')) return openFile(path, options)
    if (count.now >= limit) throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
    const file = openFile(path, options)
    const close = file.close.bind(file)
    count.most = Math.max(count.most, ++count.now)
    file.close = () => {
      count.now--
      close()
    }
    return file
  }
  return count
}

async function flushed(opened: Opened): Promise<void> {
  opened.manager.flushStaged()
  await turns()
}

async function valuesOf(log: Log): Promise<number> {
  const out = new ReadResult()
  expect(await log.read(0, 1 << 20, log.logEndOffset, true, out)).toBe(true)
  return out.lastOffset + 1
}

test('logs that are written to one after the other go on with few descriptors, and lose nothing', async () => {
  const disk = new SimulatedDisk()
  const files = countLogFiles(disk)
  const { opened, logs } = await openBounded(disk, 8)
  for (let round = 1; round <= 3; round++) {
    for (const log of logs) {
      expect(append(log, [`round ${round}`])).toBe(0)
      await flushed(opened)
    }
    expect(logs.map(({ durableOffset }) => durableOffset)).toEqual(logs.map(() => round))
  }
  for (const log of logs) expect(await valuesOf(log)).toBe(3)
  expect(files.most).toBe(8)
  expect([opened.failures, opened.errors]).toEqual([[], []])
  await opened.manager.shutdown()
  const again = await open(disk)
  for (const { partition } of logs) expect(await valuesOf(again.manager.log('topic', partition)!)).toBe(3)
})

test('of logs that are written to at once some are refused, which can be told and tried again; the directory goes on', async () => {
  const disk = new SimulatedDisk()
  const files = countLogFiles(disk)
  const { opened, logs } = await openBounded(disk, 8)
  const acceptedCounts: number[] = []
  let waiting = logs
  while (waiting.length > 0 && acceptedCounts.length < 20) {
    const refused = waiting.filter((log) => {
      const code = append(log, ['all at once'])
      if (code !== 0) expect(code).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
      return code !== 0
    })
    acceptedCounts.push(waiting.length - refused.length)
    waiting = refused
    await flushed(opened)
    opened.timers.advance(100)
    await turns()
  }
  expect(acceptedCounts).toEqual([8, 8, 8, 8, 8])
  expect(files.most).toBe(8)
  expect(logs.every(({ durableOffset }) => durableOffset === 1)).toBe(true)
  expect(opened.failures).toEqual([])
  expect(opened.errors).toEqual([
    'no descriptor was left for a file: what needs one is refused, and may be tried again',
  ])
})

test('when the system has no descriptor left, open logs take appends, and the others soon', async () => {
  const disk = new SimulatedDisk()
  const { opened, logs } = await openBounded(disk, Number.POSITIVE_INFINITY)
  const files = countLogFiles(disk, 16)
  for (const log of logs.slice(0, 16)) expect(append(log, ['first'])).toBe(0)
  await flushed(opened)
  expect(append(logs[16]!, ['refused'])).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  expect(files.now).toBe(14)
  expect(append(logs[15]!, ['of an open log'])).toBe(0)
  expect(append(logs[16]!, ['tried again'])).toBe(0)
  await flushed(opened)
  expect([logs[15]!.durableOffset, logs[16]!.durableOffset]).toEqual([2, 1])
  expect(opened.failures).toEqual([])
  expect(opened.manager.directories()[0]!.online).toBe(true)
})

test('logs that trust the page cache are synced so that their files can be closed', async () => {
  const disk = new SimulatedDisk()
  const files = countLogFiles(disk)
  const { opened, logs } = await openBounded(disk, 8, { ...SMALL, writeCaching: true })
  for (const log of logs) {
    let tryCount = 0
    while (append(log, ['cached']) !== 0) {
      expect(++tryCount).toBeLessThan(5)
      opened.timers.advance(120)
      await turns()
    }
    await flushed(opened)
  }
  expect(files.most).toBe(8)
  expect(opened.failures).toEqual([])
})

test('a log that is being read from the disk keeps its file', async () => {
  const disk = new SimulatedDisk({ coldShare: 1 })
  const { opened, logs } = await openBounded(disk, 3)
  const [read, ...others] = logs
  append(read!, ['to be read'])
  await flushed(opened)
  opened.clock.advance(5000)
  const waiting: (() => void)[] = []
  disk.settle = (operation) =>
    operation === 'read' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  const out = new ReadResult()
  const reading = read!.read(0, 1 << 20, 1, true, out)
  expect(reading).toBeInstanceOf(Promise)
  await turns()
  expect(waiting).toHaveLength(1)
  for (const log of others.slice(0, 10)) {
    expect(append(log, ['beside it'])).toBe(0)
    await flushed(opened)
  }
  expect(read!.segments.active.isOpen).toBe(true)
  for (const wake of waiting) wake()
  expect(await reading).toBe(true)
  expect(out.lastOffset).toBe(0)
  for (const log of others.slice(10, 20)) {
    expect(append(log, ['after it'])).toBe(0)
    await flushed(opened)
  }
  expect(read!.segments.active.isOpen).toBe(false)
})

class FakeSegment implements OpenableSegment {
  wasUsed = false
  isBusy = false
  isOpen = false
  readonly #all: OpenSegments

  constructor(all: OpenSegments) {
    this.#all = all
  }

  use(): void {
    this.wasUsed = true
    if (this.isOpen) return
    this.#all.makeRoom('/data/topic-0/x.log')
    this.isOpen = true
    this.#all.onOpened(this)
  }

  closeUnused(): boolean {
    if (this.isBusy) return false
    this.isOpen = false
    this.#all.onClosed(this)
    return true
  }
}

function fakeSegments(count: number, maxCount: number) {
  const clock = new SimulatedClock()
  const ignore = () => undefined
  const all = new OpenSegments(clock, { info: ignore, warn: ignore, error: ignore }, ignore)
  all.maxCount = maxCount
  return { clock, segments: Array.from({ length: count }, () => new FakeSegment(all)) }
}

test('where more are open than a search looks at, and all were used lately, one of them is closed before any is refused', () => {
  const { segments } = fakeSegments(6000, 5000)
  for (const segment of segments) segment.use()
  expect(segments.filter(({ isOpen }) => isOpen)).toHaveLength(5000)
})

test('what was used since the last look stays open, what was not is closed', () => {
  const { segments } = fakeSegments(20, 4)
  const [always, ...others] = segments
  let closedCount = 0
  for (const segment of others) {
    if (!always!.isOpen) closedCount++
    always!.use()
    segment.use()
  }
  expect(segments.filter(({ isOpen }) => isOpen)).toHaveLength(4)
  // Where all were used, the first one goes.
  expect(closedCount).toBeLessThanOrEqual(4)
})

test('a search in vain is not repeated at once', () => {
  const { clock, segments } = fakeSegments(6, 4)
  for (const segment of segments.slice(0, 4)) {
    segment.use()
    segment.isBusy = true
  }
  expect(() => segments[4]!.use()).toThrow('EMFILE')
  segments[0]!.isBusy = false
  expect(() => segments[4]!.use()).toThrow('EMFILE')
  clock.advance(30)
  segments[4]!.use()
  expect(segments.map(({ isOpen }) => isOpen)).toEqual([false, true, true, true, true, false])
})

test('a search among very many goes on a part at a time, and finds the only one that can be closed', () => {
  const { clock, segments } = fakeSegments(20_001, 20_000)
  for (const segment of segments.slice(0, 20_000)) {
    segment.use()
    segment.isBusy = true
  }
  segments[19_990]!.isBusy = false
  const last = segments[20_000]!
  const markedCount = () => segments.filter(({ wasUsed }) => wasUsed).length
  const counts: number[] = []
  let isOpen = false
  for (let tryCount = 0; tryCount < 20 && !isOpen; tryCount++) {
    counts.push(markedCount())
    try {
      last.use()
      isOpen = true
    } catch {
      last.wasUsed = false
    }
    clock.advance(5)
  }
  expect(isOpen).toBe(true)
  expect(segments[19_990]!.isOpen).toBe(false)
  expect(counts.slice(0, 6)).toEqual([20_000, 15_904, 11_808, 7712, 3616, 0])
  expect(counts.length).toBeLessThan(12)
})
