import { randomUuid, SeededRandom, SimulatedDisk } from '@millrace/base'
import { BatchBuilder, setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AppendResult, type Log } from '../index.ts'
import { appendKeyed, compact, latestOf, openCompacted, readBatches } from '../testing/compacted-log.ts'
import { logOf, type Opened, open, overwriteFile, SMALL, settle, turns, WALKED } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

const PADDING = '.'.repeat(60)
const CHECKPOINT = '/data/cleaner-offset-checkpoint'

async function create(disk = new SimulatedDisk(), config = {}): Promise<{ opened: Opened; log: Log }> {
  const opened = await openCompacted(disk, config)
  return { opened, log: opened.manager.createLog('topic', 0, TOPIC_ID) }
}

/** Appends records with few keys, and has all of them checkpointed. */
async function fill(opened: Opened, log: Log, count = 100, prefix = 'key'): Promise<void> {
  for (let number = 0; number < count; number++) {
    appendKeyed(opened, log, [{ key: `${prefix} ${number % 7}`, value: `${log.logEndOffset} ${PADDING}` }])
  }
  await settle(opened, log)
}

/** The checkpoints are in their files. */
async function writeCheckpoints(opened: Opened): Promise<void> {
  opened.timers.advance(60_000)
  await turns()
}

describe('how far a log is compacted', () => {
  test('is not believed of what a truncation put in its place', async () => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    appendKeyed(opened, log, [{ key: 'deleted', value: PADDING }])
    await fill(opened, log)
    await compact(opened)
    await writeCheckpoints(opened)
    const cutOffset = log.cleanedOffset - 20
    log.truncateTo(cutOffset)
    expect(log.cleanedOffset).toBeLessThanOrEqual(cutOffset)
    // A tombstone lies where records had been compacted before. Power is lost before any other checkpoint.
    appendKeyed(opened, log, [{ key: 'deleted', value: null }])
    await fill(opened, log)
    const again = await openCompacted(disk.killed())
    const found = logOf(again)
    expect(found.cleanedOffset).toBeLessThanOrEqual(cutOffset)
    found.setHighWatermark(found.logEndOffset)
    for (let round = 0; round < 3; round++) {
      await fill(again, found)
      await compact(again)
      again.timers.advance(20_000)
      expect(latestOf(await readBatches(found)).has('deleted')).toBe(false)
    }
  })

  test('is not inherited by another topic of the name', async () => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log)
    await compact(opened)
    await writeCheckpoints(opened)
    expect(disk.readFile(CHECKPOINT).toString()).toContain('topic 0 ')
    opened.manager.deleteLog(log)
    const other = opened.manager.createLog('topic', 0, randomUuid(new SeededRandom(5)))
    await fill(opened, other, 200)
    const again = await openCompacted(disk.killed())
    expect([logOf(again).logEndOffset, logOf(again).cleanedOffset]).toEqual([200, 0])
  })

  test('counts for nothing outside of the log', async () => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log)
    await opened.manager.shutdown()
    overwriteFile(disk, CHECKPOINT, Buffer.from('0\n1\ntopic 0 1000\n'))
    const again = await openCompacted(disk.killed())
    expect(logOf(again).cleanedOffset).toBe(0)
    // Nor once the log has reached it.
    expect(disk.readFile(CHECKPOINT).toString()).toBe('0\n0\n')
  })

  test('counts for nothing below where records were deleted', async () => {
    const { opened, log } = await create()
    await fill(opened, log)
    await compact(opened)
    await fill(opened, log)
    log.raiseLogStart(log.cleanedOffset + 10)
    await compact(opened)
    expect(log.cleanedOffset).toBe(log.segments.active.baseOffset)
    expect((await readBatches(log)).length).toBeGreaterThan(0)
    expect(opened.errors).toEqual([])
  })

  test('goes along to another directory, where the log is compacted again', async () => {
    const disk = new SimulatedDisk()
    const opened = await openCompacted(disk, {}, {}, { directories: ['/data', '/other'] })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID, '/data')
    await fill(opened, log)
    await compact(opened)
    const { cleanedOffset } = log
    const future = opened.manager.futures.create(log, '/other')
    await fill(opened, log)
    await compact(opened)
    // Neither of them meanwhile: what is copied must not be of two states of the log.
    expect([log.cleanedOffset, future.cleanedOffset]).toEqual([cleanedOffset, 0])
    await opened.manager.futures.drop(future)
    await compact(opened)
    expect(log.cleanedOffset).toBeGreaterThan(cleanedOffset)
  })
})

describe('an exchange of segments that is announced', () => {
  /** Compacts until new segments have their announced names, and goes no further before it is let. */
  async function announced(): Promise<{ disk: SimulatedDisk; opened: Opened; log: Log; go: () => Promise<void> }> {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log, 120)
    const { promise, resolve } = Promise.withResolvers<void>()
    const names = () => disk.listDirectory('/data/topic-0')
    disk.settle = (operation) =>
      operation === 'sync directory' && names().some((name) => name.endsWith('.swap')) ? promise : Promise.resolve()
    const compacted = compact(opened)
    for (let count = 0; count < 500 && !names().some((name) => name.endsWith('.log.swap')); count++) await turns(5)
    expect(names().filter((name) => name.endsWith('.log.swap'))).toHaveLength(1)
    const go = (): Promise<void> => {
      disk.settle = () => Promise.resolve()
      resolve()
      return compacted
    }
    return { disk, opened, log, go }
  }

  test('is taken back by a truncation, for good', async () => {
    const { disk, opened, log, go } = await announced()
    log.truncateTo(5)
    expect(disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.swap'))).toEqual([])
    for (const left of [disk.killed().fork(), disk.copy()]) {
      const again = await openCompacted(left)
      expect([logOf(again).logEndOffset, logOf(again).faultyRanges]).toEqual([5, []])
    }
    await go()
    expect(log.logEndOffset).toBe(5)
    await fill(opened, log, 60)
    expect((await readBatches(log)).map(({ baseOffset }) => baseOffset)).toContain(64)
    expect(opened.failures).toEqual([])
  })

  test('keeps retention waiting, and the other way around', async () => {
    const { opened, log, go } = await announced()
    log.updateConfig({ ...log.config, cleanupDelete: true, retentionBytes: 3_000 })
    expect(await log.applyRetention(opened.clock.wallMs())).toBe(0)
    await go()
    const expected = latestOf(await readBatches(log))
    const { first } = log.segments
    expect(await log.applyRetention(opened.clock.wallMs())).toBeGreaterThanOrEqual(0)
    expect(log.logStartOffset).toBeGreaterThanOrEqual(first.baseOffset)
    for (const [key, value] of latestOf(await readBatches(log))) expect(value).toBe(expected.get(key))
    expect(opened.errors).toEqual([])
  })
})

describe('a gap', () => {
  test('that a follower of a compacted log has at the end of a segment is no loss, whatever the policy', async () => {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    const result = new AppendResult()
    for (let number = 0; number < 60; number++) {
      const batch = replicated(number * 10)
      expect(log.append(batch, 0, batch.length, 'replication', 1, result)).toBe(0)
      opened.manager.flushStaged()
      if (number % 10 === 0) await turns()
    }
    await turns()
    expect(log.segments.count).toBeGreaterThan(2)
    // Before any checkpoint, and after it, with the mark and without.
    for (const left of [disk.fork(), await checkpointed(opened, log, disk)]) {
      for (const hasMark of [true, false]) {
        const found = left.fork()
        if (!hasMark) found.removeFile('/data/durable-mark')
        const again = await open(found, SMALL)
        expect([logOf(again).logEndOffset, logOf(again).faultyRanges]).toEqual([591, []])
        expect(again.warnings.filter((text) => text.includes('gap') || text.includes('set aside'))).toEqual([])
      }
    }
  })

  test('that compaction left is none to a walk of a log that is to be deleted by time now', async () => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    for (let number = 0; number < 300; number++) {
      appendKeyed(opened, log, [{ key: `key ${number % 5}`, value: `${number} ${PADDING}` }])
    }
    await settle(opened, log)
    await compact(opened)
    await settle(opened, log)
    const expected = await readBatches(log)
    // Nothing tells any more that the files are as they were.
    const left = disk.fork()
    overwriteFile(left, '/data/topic-0/00000000000000000000.txnindex', Buffer.alloc(34))
    const again = await open(left, SMALL)
    expect(again.warnings).toContain(WALKED)
    expect(logOf(again).faultyRanges).toEqual([])
    expect(await readBatches(logOf(again))).toEqual(expected)
  })
})

describe('a log that cannot be compacted', () => {
  test('for want of room keeps no other one waiting', async () => {
    const disk = new SimulatedDisk()
    const opened = await openCompacted(disk, { segmentBytes: 40_000 })
    const large = opened.manager.createLog('large', 0, randomUuid(new SeededRandom(1)))
    const small = opened.manager.createLog('small', 0, randomUuid(new SeededRandom(2)))
    await fill(opened, large, 500)
    await fill(opened, small, 40)
    small.roll(small.logEndOffset)
    await settle(opened, small)
    disk.space = () => ({ totalBytes: 100_000, usableBytes: 15_000 })
    await compact(opened)
    expect(large.cleanedOffset).toBe(0)
    expect(small.cleanedOffset).toBe(40)
    expect(opened.manager.cleanerStatus).toMatchObject({ uncleanableCount: 1, cleanedCount: 1 })
    expect(opened.failures).toEqual([])
    expect(namesOf(disk, '/data/large-0', /cleaned|swap/)).toEqual([])
  })

  test('since it is damaged is told to its replica’s repair, and compacted after that', async () => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    const other = opened.manager.createLog('other', 0, randomUuid(new SeededRandom(2)))
    await fill(opened, log)
    await fill(opened, other)
    const segment = log.segments.at(1)
    disk.corrupt(segment.logPath, 100, 1)
    await compact(opened)
    expect(opened.damaged).toContain(log)
    expect(log.faultyRanges).toHaveLength(1)
    expect(log.cleanedOffset).toBe(0)
    expect(other.cleanedOffset).toBeGreaterThan(0)
    // The repair fetches it anew.
    log.truncateFullyAndStartAt(0)
    expect(log.faultyRanges).toEqual([])
    await fill(opened, log)
    await compact(opened)
    expect(log.cleanedOffset).toBeGreaterThan(0)
    expect(opened.failures).toEqual([])
  })

  test('since the memory holds few keys only is compacted in several goes', async () => {
    const opened = await openCompacted(new SimulatedDisk(), {}, { dedupeBufferBytes: 24 * 4 })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    for (let number = 0; number < 300; number++) {
      appendKeyed(opened, log, [{ key: `key ${number % 20}`, value: `${number} ${PADDING}` }])
    }
    await settle(opened, log)
    const before = latestOf(await readBatches(log))
    await compact(opened)
    expect(opened.manager.cleanerStatus!.cleanedCount).toBeGreaterThan(20)
    expect(log.cleanedOffset).toBe(log.segments.active.baseOffset)
    expect(latestOf(await readBatches(log))).toEqual(before)
  })
})

describe('a disk that fails while a log is compacted', () => {
  test.each(['DISK_IO', 'DISK_FULL'] as const)('leaves the log whole, at whatever operation: %s', async (code) => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log, 120)
    const expected = latestOf(await readBatches(log))
    let offlineCount = 0
    let failing = 0
    for (let isBefallen = true; isBefallen; failing++) {
      const left = disk.fork()
      const again = await openCompacted(left)
      logOf(again).setHighWatermark(120)
      await settle(again, logOf(again))
      let count = 0
      left.fault = (operation) => {
        // What is full can still be read, cut and removed.
        const mayFail = code === 'DISK_IO' || ['write', 'create', 'rename', 'extend'].includes(operation)
        return mayFail && count++ === failing ? code : null
      }
      await compact(again)
      isBefallen = count > failing
      left.fault = () => null
      const found = logOf(again)
      if (again.failures.length > 0) offlineCount++
      else {
        expect(latestOf(await readBatches(found))).toEqual(expected)
        // What is left of it does not keep the log from being compacted later.
        again.timers.advance(3_600_000)
        await compact(again)
        expect(found.cleanedOffset).toBeGreaterThan(0)
        expect(namesOf(left, '/data/topic-0', /cleaned|swap/)).toEqual([])
      }
      const after = await openCompacted(left.killed())
      logOf(after).setHighWatermark(120)
      expect(logOf(after).faultyRanges).toEqual([])
      expect(latestOf(await readBatches(logOf(after)))).toEqual(expected)
    }
    expect(failing).toBeGreaterThan(10)
    if (code === 'DISK_IO') expect(offlineCount).toBeGreaterThan(0)
  })
})

test('a log that nobody writes to after a crash is compacted all the same', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  for (let number = 0; number < 100; number++) {
    appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }])
    if (number % 10 === 0) await turns(20)
  }
  const again = await openCompacted(disk.fork())
  const found = logOf(again)
  found.setHighWatermark(found.logEndOffset)
  for (let look = 0; look < 3; look++) {
    again.timers.advance(2_000)
    await turns()
    await compact(again)
  }
  expect(found.cleanedOffset).toBe(found.segments.active.baseOffset)
  expect(latestOf(await readBatches(found)).size).toBe(7)
})

describe('what the operator changes', () => {
  test('a topic that is compacted from now on, or no more', async () => {
    const { opened, log } = await create(new SimulatedDisk(), { cleanupCompact: false })
    await fill(opened, log)
    await compact(opened)
    expect(log.cleanedOffset).toBe(0)
    log.updateConfig({ ...log.config, cleanupCompact: true })
    await compact(opened)
    const { cleanedOffset } = log
    expect(cleanedOffset).toBeGreaterThan(0)
    log.updateConfig({ ...log.config, cleanupCompact: false })
    await fill(opened, log)
    await compact(opened)
    expect(log.cleanedOffset).toBe(cleanedOffset)
  })

  test('records stay as long as min.compaction.lag.ms says, and go when max.compaction.lag.ms does', async () => {
    const config = {
      minCompactionLagMs: 5_000,
      minCleanableDirtyRatio: 1,
      maxCompactionLagMs: 60_000,
      segmentMs: 2 ** 40,
    }
    const opened = await openCompacted(new SimulatedDisk(), config)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    const timestamp = opened.clock.wallMs()
    for (let number = 0; number < 100; number++) {
      appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }], { timestamp })
    }
    await settle(opened, log)
    await compact(opened)
    expect(log.cleanedOffset).toBe(0)
    opened.timers.advance(70_000)
    await compact(opened)
    await settle(opened, log)
    await compact(opened)
    // The active segment as well, which was closed for it.
    expect(log.cleanedOffset).toBe(100)
  })

  test('both policies: what is old goes, what is left is compacted', async () => {
    const { opened, log } = await create(new SimulatedDisk(), { cleanupDelete: true, retentionMs: 30_000 })
    const appendNow = async () => {
      for (let number = 0; number < 100; number++) {
        const timestamp = opened.clock.wallMs()
        appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }], { timestamp })
      }
      await settle(opened, log)
    }
    await appendNow()
    await compact(opened)
    opened.timers.advance(40_000)
    await appendNow()
    await log.applyRetention(opened.clock.wallMs())
    expect(log.logStartOffset).toBeGreaterThanOrEqual(90)
    await compact(opened)
    expect(log.cleanedOffset).toBe(log.segments.active.baseOffset)
    expect(latestOf(await readBatches(log)).size).toBe(7)
    expect(opened.errors).toEqual([])
  })

  test('a log that is deleted, or a broker that stops, while a log is compacted', async () => {
    for (const [number, end] of Array.from({ length: 24 }, (_, number) => [
      number,
      number % 2 ? 'deleted' : 'stopped',
    ])) {
      const { opened, log } = await create(new SimulatedDisk(), { segmentBytes: 400_000 })
      await fill(opened, log, 300)
      log.updateConfig({ ...log.config, segmentBytes: 2_000 })
      for (let count = 0; count < 4; count++) await fill(opened, log, 40)
      const compacted = opened.manager.compact()
      for (let turn = 0; turn < Number(number); turn++) {
        opened.timers.advance(1)
        await turns(3)
      }
      if (end === 'deleted') opened.manager.deleteLog(log)
      const stopped = end === 'stopped' ? opened.manager.shutdown() : Promise.resolve()
      let isDone = false
      void Promise.all([compacted, stopped]).then(() => {
        isDone = true
      })
      for (let count = 0; count < 2000 && !isDone; count++) {
        opened.timers.advance(1)
        await turns(10)
      }
      expect(isDone).toBe(true)
      expect(opened.failures).toEqual([])
    }
  })
})

function replicated(baseOffset: number): Buffer {
  const builder = new BatchBuilder()
  builder.append(1000, `key ${baseOffset}`, PADDING.repeat(4))
  const batch = Buffer.from(builder.build())
  setBaseOffset(batch, 0, baseOffset)
  setPartitionLeaderEpoch(batch, 0, 1)
  return batch
}

async function checkpointed(opened: Opened, log: Log, disk: SimulatedDisk): Promise<SimulatedDisk> {
  await settle(opened, log)
  return disk.fork()
}

function namesOf(disk: SimulatedDisk, path: string, pattern: RegExp): string[] {
  return disk.listDirectory(path).filter((name) => pattern.test(name))
}
