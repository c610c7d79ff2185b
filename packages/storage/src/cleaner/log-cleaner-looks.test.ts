import { randomUuid, SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import type { Log } from '../index.ts'
import { appendKeyed, compact, openCompacted } from '../testing/compacted-log.ts'
import { logOf, type Opened, settle, turns } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

/** Which logs the cleaner takes, and what its looks for them cost. */

const PADDING = '.'.repeat(60)

async function fill(opened: Opened, log: Log, count: number, timestamp = 1000): Promise<void> {
  for (let number = 0; number < count; number++) {
    appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }], { timestamp })
  }
  await settle(opened, log)
}

test('nothing more is begun by threads that the operator has taken away, be it the last one', async () => {
  const disk = new SimulatedDisk()
  const settings = { threadCount: 2 }
  const opened = await openCompacted(disk, {}, settings)
  const logs = [1, 2, 3, 4, 5].map((number) =>
    opened.manager.createLog(`topic-${number}`, 0, randomUuid(new SeededRandom(number))),
  )
  for (const log of logs) await fill(opened, log, 100)
  disk.onChange = (operation, path) => {
    if (operation === 'rename' && path.endsWith('.log.swap')) settings.threadCount = 0
  }
  await compact(opened)
  disk.onChange = () => undefined
  expect(logs.filter(({ cleanedOffset }) => cleanedOffset > 0)).toHaveLength(2)
  expect(opened.manager.cleanerStatus!.memoryBytes).toBe(0)
  settings.threadCount = 0
  await compact(opened)
  expect(logs.filter(({ cleanedOffset }) => cleanedOffset > 0)).toHaveLength(2)
  settings.threadCount = 1
  await compact(opened)
  expect(logs.filter(({ cleanedOffset }) => cleanedOffset > 0)).toHaveLength(5)
  expect([opened.errors, opened.warnings]).toEqual([[], []])
})

test('a log of records with old timestamps is overdue once in max.compaction.lag.ms, not with every record', async () => {
  const lagMs = 3_600_000
  const config = { segmentBytes: 20_000, maxCompactionLagMs: lagMs, segmentMs: 2 ** 40, minCleanableDirtyRatio: 1 }
  for (const timestamp of [1, -1, 1000]) {
    const opened = await openCompacted(new SimulatedDisk(), config)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    opened.timers.advance(10 * lagMs)
    await fill(opened, log, 100, timestamp)
    const lookFor = async (looks: number): Promise<number> => {
      const before = opened.manager.cleanerStatus!.cleanedCount
      for (let look = 0; look < looks; look++) {
        await fill(opened, log, 1, timestamp)
        await compact(opened)
        opened.timers.advance(15_000)
      }
      return opened.manager.cleanerStatus!.cleanedCount - before
    }
    expect(await lookFor(20)).toBeLessThanOrEqual(1)
    opened.timers.advance(lagMs)
    expect(await lookFor(20)).toBe(1)
    expect(log.cleanedOffset).toBeGreaterThanOrEqual(120)
  }
})

test('a damaged log is counted for as long as nobody has repaired it', async () => {
  const disk = new SimulatedDisk()
  const opened = await openCompacted(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  disk.corrupt(log.segments.at(1).logPath, 100, 1)
  await compact(opened)
  expect(log.faultyRanges).toHaveLength(1)
  for (let look = 0; look < 3; look++) {
    opened.timers.advance(3_600_000)
    await compact(opened)
    expect(opened.manager.cleanerStatus).toMatchObject({ uncleanableCount: 1, uncleanableBytes: log.sizeBytes })
  }
})

test.each([{ maxCompactionLagMs: 10 ** 13 }, { minCompactionLagMs: 10 ** 13 }])(
  'a look leaves no files of idle logs open: %j',
  async (lag) => {
    const config = { ...lag, segmentBytes: 700, minCleanableDirtyRatio: 1 }
    const disk = new SimulatedDisk()
    const opened = await openCompacted(disk, config)
    await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID), 40)
    await opened.manager.shutdown()
    const again = await openCompacted(disk.killed(), config)
    const log = logOf(again)
    log.setHighWatermark(log.logEndOffset)
    for (let count = 0; count < 50; count++) {
      again.timers.advance(60_000)
      await turns()
    }
    const { count } = again.manager.openSegments()
    await compact(again)
    expect(again.manager.openSegments().count).toBe(count)
  },
)
