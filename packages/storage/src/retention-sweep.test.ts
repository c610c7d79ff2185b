import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import type { Log } from './index.ts'
import { fill, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
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
