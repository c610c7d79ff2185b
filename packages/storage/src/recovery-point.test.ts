import { RandomChoices, SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import {
  append,
  fill,
  logOf,
  type Opened,
  open,
  overwriteFile,
  SMALL,
  settle,
  turns,
  WALKED,
} from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/**
 * What lies below the recovery point is not walked, whatever a crash left of the second before: what the mark says of it on the disk, and
 * what it says of it a moment later.
 */

/** Larger than what the tests append. */
const ONE_SEGMENT = { ...SMALL, segmentBytes: 1 << 20 }

function snapshots(disk: SimulatedDisk): number[] {
  const names = disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.snapshot'))
  return names.map((name) => Number.parseInt(name, 10))
}

/** The whole log as a consumer gets it. */
async function contentsOf(log: Log): Promise<Buffer> {
  const out = new ReadResult()
  const parts: Buffer[] = []
  for (let offset = log.logStartOffset; offset < log.logEndOffset; offset = out.lastOffset + 1) {
    expect(await log.read(offset, 1 << 20, log.logEndOffset, true, out)).toBe(true)
    expect(out.sizeBytes).toBeGreaterThan(0)
    parts.push(...out.buffers.map((buffer) => Buffer.from(buffer)))
  }
  return Buffer.concat(parts)
}

test('the producer snapshot of the recovery point on the disk stays until the mark that names a later one is synced', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ONE_SEGMENT)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  await settle(opened, log)
  expect(log.recoveryPoint).toBe(60)
  for (const endOffset of [90, 120]) {
    await fill(opened, log, endOffset)
    await log.checkpointer.complete()
    expect(log.recoveryPoint).toBe(endOffset)
  }
  // Names are synced by each checkpoint; of the mark nothing is, as no time has passed.
  const random = new SeededRandom(1)
  for (let outcome = 0; outcome < 30; outcome++) {
    const again = await open(disk.crashed(new RandomChoices(random)), ONE_SEGMENT)
    expect(logOf(again).recoveryPoint).toBeGreaterThanOrEqual(60)
    expect(again.warnings).not.toContain(WALKED)
  }
  await settle(opened, log)
  await fill(opened, log, 150)
  await settle(opened, log)
  await fill(opened, log, 180)
  await log.checkpointer.complete()
  expect(snapshots(disk)).toEqual([150, 180])
})

/**
 * A log that was checkpointed at its end and then rolled there, so that its last closed segment ends just at the recovery point, with a
 * file that was longer before: that it was cut is not synced.
 */
async function rolledAtRecoveryPoint(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log; endOffset: number }> {
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const endOffset = 45
  await fill(opened, log, endOffset)
  await settle(opened, log)
  expect(log.recoveryPoint).toBe(endOffset)
  const closed = log.segments.active
  expect(closed.fileBytes).toBeGreaterThan(closed.writtenBytes)
  disk.settle = (operation, path) =>
    operation === 'sync' && path.endsWith('.log') ? new Promise(() => undefined) : Promise.resolve()
  expect(append(log, ['x'.repeat(2800)])).toBe(0)
  opened.manager.flushStaged()
  await turns()
  expect(log.segments.active.baseOffset).toBe(endOffset)
  expect(closed.fileBytes).toBe(closed.writtenBytes)
  return { opened, log, endOffset }
}

test('a segment that was closed at the recovery point ends where its data do after any crash, and is no damage', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const { log, endOffset } = await rolledAtRecoveryPoint(disk)
  const written = await contentsOf(log)
  const random = new SeededRandom(2)
  let longCount = 0
  for (let outcome = 0; outcome < 60; outcome++) {
    const crashed = disk.crashed(new RandomChoices(random))
    const closed = log.segments.at(log.segments.count - 2)
    if (crashed.stat(closed.logPath)!.sizeBytes > closed.sizeBytes) longCount++
    const again = await open(crashed)
    expect(again.warnings).not.toContain(WALKED)
    expect(again.errors).toEqual([])
    expect(logOf(again).logEndOffset).toBeGreaterThanOrEqual(endOffset)
    const found = await contentsOf(logOf(again))
    expect(found.equals(written.subarray(0, found.length))).toBe(true)
  }
  expect(longCount).toBeGreaterThan(5)
})

test('a mark that is written meanwhile does not count a segment whose cut may be undone', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const { opened, log, endOffset } = await rolledAtRecoveryPoint(disk)
  log.setHighWatermark(endOffset)
  log.raiseLogStart(log.segments.at(1).baseOffset)
  expect(await log.applyRetention(0)).toBe(1)
  opened.timers.advance(2000)
  await turns()
  const random = new SeededRandom(3)
  for (let outcome = 0; outcome < 60; outcome++) {
    const again = await open(disk.crashed(new RandomChoices(random)))
    expect(again.warnings).not.toContain(WALKED)
    expect(again.errors).toEqual([])
  }
})

test('a cut that a killed process made is not believed to be on the disk by the next one', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const { endOffset } = await rolledAtRecoveryPoint(disk)
  const killed = disk.killed()
  killed.settle = disk.settle
  const second = await open(killed)
  const log = logOf(second)
  log.setHighWatermark(endOffset)
  log.raiseLogStart(log.segments.at(1).baseOffset)
  await log.applyRetention(0)
  second.timers.advance(2000)
  await turns()
  const random = new SeededRandom(4)
  for (let outcome = 0; outcome < 60; outcome++) {
    const again = await open(killed.crashed(new RandomChoices(random)))
    expect(again.warnings).not.toContain(WALKED)
    expect(again.errors).toEqual([])
  }
})

test('cuts of segments that were closed since the recovery point are not believed either, although their data are durable', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  // No checkpoint ends.
  disk.settle = (operation, path) =>
    operation === 'sync' && /(index|snapshot)$/.test(path) ? new Promise(() => undefined) : Promise.resolve()
  await fill(opened, log, 45)
  opened.timers.advance(2000)
  await turns()
  expect(log.recoveryPoint).toBe(0)
  const closed = log.segments.at(1)
  const { writtenBytes, logPath } = closed
  const file = disk.openFile(logPath, { create: false })
  file.write(Buffer.alloc(100), 0, 100, writtenBytes)
  file.syncDataNow()
  file.truncate(writtenBytes)
  const killed = disk.killed()
  const second = await open(killed)
  const found = logOf(second)
  await fill(second, found, found.logEndOffset + 5)
  await settle(second, found)
  expect(found.recoveryPoint).toBeGreaterThan(closed.nextOffset)
  const random = new SeededRandom(5)
  for (let outcome = 0; outcome < 20; outcome++) {
    const crashed = killed.crashed(new RandomChoices(random))
    const again = await open(crashed)
    expect(again.warnings).not.toContain(WALKED)
    expect(again.errors).toEqual([])
  }
})

test('a torn tail that a start cut does not come back behind what is acknowledged in the next segment', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  opened.timers.advance(2000)
  await turns()
  const { logPath, writtenBytes } = log.segments.active
  // On the disk, as after a loss of power: the beginning of a batch that was being written.
  const file = disk.openFile(logPath, { create: false })
  file.write(Buffer.alloc(700, 7), 0, 700, writtenBytes)
  file.syncDataNow()
  const killed = disk.killed()
  const second = await open(killed)
  expect(second.warnings).toContain('torn tail cut')
  await turns()
  // No checkpoint ends.
  killed.settle = (operation, path) =>
    operation === 'sync' && /(index|snapshot)$/.test(path) ? new Promise(() => undefined) : Promise.resolve()
  const found = logOf(second)
  expect(append(found, ['x'.repeat(2800)])).toBe(0)
  second.manager.flushStaged()
  await turns()
  second.timers.advance(2000)
  await turns()
  expect([found.segments.count, found.durableOffset]).toEqual([2, 6])
  const random = new SeededRandom(6)
  for (let outcome = 0; outcome < 20; outcome++) {
    const again = await open(killed.crashed(new RandomChoices(random)))
    expect(again.errors).toEqual([])
    expect(logOf(again).logEndOffset).toBe(6)
  }
})

test('a closed segment that gets appends again, since the next one never had a file, is no damage after a kill', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 20)
  const before = log.segments.count
  log.roll(20)
  disk.fault = (operation, path) => (operation === 'create' && path.endsWith('020.log') ? 'DISK_FULL' : null)
  append(log, ['not written'])
  opened.manager.flushStaged()
  await turns()
  expect(log.recoveryPoint).toBe(20)
  opened.timers.advance(100)
  const killed = disk.killed()
  const second = await open(killed)
  expect(logOf(second).segments.count).toBe(before)
  append(logOf(second), ['into the last segment'])
  second.manager.flushStaged()
  await turns()
  expect(logOf(second).segments.count).toBe(before)
  const third = await open(killed.killed())
  expect(third.warnings).not.toContain(WALKED)
  expect(logOf(third).logEndOffset).toBe(21)
})

test('a log whose entry was cut off the mark is walked whole, and said so', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const logs = [0, 1].map((partition) => opened.manager.createLog('topic', partition, TOPIC_ID))
  for (const log of logs) {
    await fill(opened, log, 40)
    await settle(opened, log)
  }
  opened.timers.advance(61_000)
  await turns()
  const killed = disk.killed().copy()
  const contents = killed.readFile('/data/durable-mark')
  expect(contents.length).toBe(64 + 2 * 128)
  overwriteFile(killed, '/data/durable-mark', contents.subarray(0, 64 + 128))
  killed.corrupt('/data/topic-1/00000000000000000000.log', 1000, 1)
  for (let start = 0; start < 3; start++) {
    const again = await open(killed.killed())
    const [kept, cutOff] = [0, 1].map((partition) => again.manager.log('topic', partition)!)
    // The first start makes up for what is missing, as far as the checkpoint tells.
    const isTold = again.warnings.includes('durable mark is damaged, logs that it does not tell of are walked')
    expect(isTold).toBe(start === 0)
    expect(kept!.recoveryPoint).toBe(40)
    expect(cutOff!.recoveryPoint).toBe(0)
    expect(cutOff!.faultyRanges).toHaveLength(1)
    expect(cutOff!.logEndOffset).toBe(40)
  }
})

test('a truncation lowers the checkpoint also where the start took the log for less than that says', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID), 40)
  await opened.manager.shutdown()
  // The log is walked whole.
  overwriteFile(disk, '/data/topic-0/leader-epoch-checkpoint', Buffer.from('nonsense'))
  const second = await open(disk)
  expect(logOf(second).recoveryPoint).toBe(0)
  logOf(second).truncateTo(10)
  // Of the mark nothing is left: the checkpoint tells what was synced.
  const crashed = disk.crashed(new RandomChoices(new SeededRandom(1)))
  crashed.corrupt('/data/durable-mark', 13, 1)
  const third = await open(crashed)
  expect(third.warnings).toContain('durable mark is damaged, logs that it does not tell of are walked')
  expect(third.errors).toEqual([])
  expect(logOf(third).logEndOffset).toBe(10)
  expect(logOf(third).faultyRanges).toEqual([])
})
