import { SimulatedDisk } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { Log } from './index.ts'
import { fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/** Retention as the manager runs it: beside the traffic, and at a cost that does not grow with what it finds. */

const CHECK_MS = 300_000

async function logOfSegments(opened: Opened, partition: number, count: number): Promise<Log> {
  const log = opened.manager.createLog('topic', partition, TOPIC_ID)
  while (log.segments.count < count) await fill(opened, log, log.logEndOffset + 12)
  log.setHighWatermark(log.logEndOffset)
  return log
}

function namesOf(disk: SimulatedDisk, log: Log, suffix: string): string[] {
  return disk.listDirectory(log.path).filter((name) => name.endsWith(suffix))
}

/** Lets time pass in small steps, in which what is under way goes on. */
async function pass(opened: Opened, durationMs: number, stepMs = 1): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
    opened.timers.advance(stepMs)
    await turns(20)
  }
}

test('many old segments go in slices, and their files off the loop', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = await logOfSegments(opened, 0, 200)
  const keptBytes = 3 * 3000
  log.updateConfig({ ...log.config, retentionBytes: keptBytes })
  let renamedCount = 0
  let removedNowCount = 0
  disk.onChange = (operation, path) => {
    if (operation === 'rename' && path.endsWith('.log')) renamedCount++
    if (operation === 'remove' && path.endsWith('.deleted')) removedNowCount++
  }
  const startOffset = log.logStartOffset
  const done = log.applyRetention(0)
  expect(log.logStartOffset).toBeGreaterThan(startOffset)
  expect(log.segments.count).toBeLessThan(6)
  await turns()
  expect(renamedCount).toBe(16)
  await pass(opened, 20)
  expect(await done).toBe(renamedCount)
  expect(renamedCount).toBeGreaterThan(190)
  expect(removedNowCount).toBe(0)
  await pass(opened, 1000, 500)
  await turns(5000)
  expect(namesOf(disk, log, '.deleted')).toEqual([])
  expect(namesOf(disk, log, '.log').length).toBe(log.segments.count)
})

test('a sweep over idle logs leaves no file open', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  for (let partition = 0; partition < 20; partition++) await logOfSegments(opened, partition, 3)
  await opened.manager.shutdown()
  const again = await open(disk, { ...SMALL, retentionMs: 3_600_000_000_000 })
  again.timers.advance(CHECK_MS)
  await turns(2000)
  for (const log of again.manager.logs()) {
    expect(log.segments.first.maxTimestamp).toBe(1000)
    expect(log.segments.all.filter(({ isOpen }) => isOpen)).toEqual([])
  }
})

test('what a truncation brings back under an old name is not taken for what retention gave up', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = await logOfSegments(opened, 0, 4)
  const waiting: (() => void)[] = []
  disk.settle = (operation) =>
    operation === 'sync' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  log.raiseLogStart(log.segments.at(2).baseOffset)
  const done = log.applyRetention(0)
  expect(namesOf(disk, log, '.deleted')).toEqual([])
  log.truncateFullyAndStartAt(0)
  expect(namesOf(disk, log, '.log')).toEqual(['00000000000000000000.log'])
  disk.settle = () => Promise.resolve()
  for (const wake of waiting) wake()
  await done
  await fill(opened, log, 3)
  expect(namesOf(disk, log, '.log')).toEqual(['00000000000000000000.log'])
  expect(log.logStartOffset).toBe(0)
})

test('a log that is deleted while retention works on it gives back its descriptors', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = await logOfSegments(opened, 0, 4)
  const { first } = log.segments
  expect(first.isOpen).toBe(true)
  const waiting: (() => void)[] = []
  disk.settle = (operation) =>
    operation === 'sync' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  log.raiseLogStart(log.segments.at(2).baseOffset)
  const done = log.applyRetention(0)
  opened.manager.deleteLog(log)
  expect(first.isOpen).toBe(false)
  disk.settle = () => Promise.resolve()
  for (const wake of waiting) wake()
  await done
  expect(opened.failures).toEqual([])
})

describe('a segment whose time index was lost', () => {
  /** Logs that one after another was stopped cleanly, of old records; then time indexes lose all they held. */
  async function reopened(): Promise<{ disk: SimulatedDisk; opened: Opened; log: Log }> {
    const disk = new SimulatedDisk()
    const before = await open(disk, { ...SMALL, segmentBytes: 2 << 20 })
    const filled = before.manager.createLog('topic', 0, TOPIC_ID)
    await fill(before, filled, 100, 50_000)
    expect(filled.segments.count).toBe(3)
    await before.manager.shutdown()
    for (const { baseOffset } of filled.segments.all) {
      const path = `${filled.path}/${String(baseOffset).padStart(20, '0')}.timeindex`
      overwriteFile(disk, path, Buffer.alloc(0))
    }
    const opened = await open(disk, { ...SMALL, segmentBytes: 2 << 20, retentionMs: 5000 })
    const log = opened.manager.log('topic', 0)!
    log.setHighWatermark(log.logEndOffset)
    return { disk, opened, log }
  }

  test('is walked in pieces before retention goes by its records', async () => {
    const { disk, opened, log } = await reopened()
    const waiting: (() => void)[] = []
    disk.settle = (operation) =>
      operation === 'read' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
    const done = log.applyRetention(7000)
    let pieceCount = 0
    for (; ; pieceCount++) {
      await turns(50)
      const wake = waiting.shift()
      if (wake === undefined) break
      expect(log.segments.count).toBe(3)
      wake()
    }
    // Of each of three segments a piece or two of a MiB, beside the index.
    expect(pieceCount).toBeGreaterThanOrEqual(6)
    await pass(opened, 20)
    expect(await done).toBe(3)
    expect([log.logStartOffset, log.segments.count]).toEqual([100, 1])
  })

  test.each(['truncated', 'emptied', 'deleted'])('may be %s while it is walked', async (change) => {
    const { disk, opened, log } = await reopened()
    const waiting: (() => void)[] = []
    disk.settle = (operation) =>
      operation === 'read' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
    const done = log.applyRetention(7000)
    await turns()
    expect(waiting).toHaveLength(1)
    if (change === 'truncated') log.truncateTo(50)
    else if (change === 'emptied') log.truncateFullyAndStartAt(7)
    else opened.manager.deleteLog(log)
    disk.settle = () => Promise.resolve()
    for (const wake of waiting) wake()
    expect(await done).toBe(0)
    expect(opened.failures).toEqual([])
  })

  test('stays where it cannot be read, and costs the log directory nothing', async () => {
    const { disk, opened, log } = await reopened()
    disk.fault = (operation, path) => (operation === 'read' && path.endsWith('.log') ? 'DISK_IO' : null)
    expect(await log.applyRetention(7000)).toBe(0)
    expect(log.segments.count).toBe(3)
    expect(opened.errors).toContain('retention cannot read a segment, which stays')
    expect([opened.failures, log.failed]).toEqual([[], false])
    // What needs no look at the records goes on.
    log.updateConfig({ ...log.config, retentionBytes: 1 })
    expect(await log.applyRetention(7000)).toBe(2)
    disk.fault = () => null
    expect(await log.applyRetention(7000)).toBe(1)
    expect(log.logStartOffset).toBe(100)
  })
})
