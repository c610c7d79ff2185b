import { DiskError, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import type { Log } from './index.ts'
import { append, extendSlowly, fill, type Opened, open, SMALL, turns, WALKED } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** Logs that come to rest: idle, at the end of the process, and when what was to go could not. */

/** Lets operations of one kind end only when told, and counts them. */
function holdBack(disk: SimulatedDisk, held: string): { release: () => void; count: () => number } {
  let waiting: (() => void)[] = []
  let count = 0
  disk.settle = (operation) => {
    if (operation !== held) return Promise.resolve()
    count++
    return new Promise((resolve) => waiting.push(resolve))
  }
  const release = () => {
    const all = waiting
    waiting = []
    for (const wake of all) wake()
  }
  return { release, count: () => count }
}

test('a stop comes to its end although checkpoints wait for syncs that had not begun', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 1 << 30 })
  const logs = Array.from({ length: 20 }, (_, partition) => opened.manager.createLog('topic', partition, TOPIC_ID))
  const { release } = holdBack(disk, 'sync')
  const large = 'x'.repeat(17 << 20)
  for (const [number, log] of logs.entries()) append(log, [number === 15 || number === 16 ? large : 'x'])
  opened.manager.flushStaged()
  await turns()
  expect(logs.filter(({ syncState }) => syncState === 'queued').length).toBeGreaterThan(10)
  let isDone = false
  const stopped = opened.manager.shutdown().then(() => {
    isDone = true
  })
  for (let round = 0; round < 100 && !isDone; round++) {
    release()
    await turns()
  }
  expect(isDone).toBe(true)
  await stopped
  expect((await open(disk.killed())).manager.recoveredUncleanly).toBe(false)
})

test.each([false, true])(
  'a log that is appended to again is not checkpointed without end (write caching %s)',
  async (writeCaching) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk, { ...SMALL, segmentBytes: 1 << 30, writeCaching })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    for (let count = 0; count < 60; count++) append(log, ['x'.repeat(300)])
    opened.manager.flushStaged()
    await turns()
    const { release, count } = holdBack(disk, 'sync')
    let isDone = false
    void log.closeIdle().then(() => {
      isDone = true
    })
    for (let round = 0; round < 60; round++) {
      append(log, ['y'])
      opened.manager.flushStaged()
      release()
      await turns(40)
    }
    expect(isDone).toBe(true)
    if (writeCaching) expect(count()).toBeLessThan(10)
  },
)

async function logToBeCut(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log }> {
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  log.setHighWatermark(100)
  log.updateConfig({ ...log.config, retentionBytes: 3000 })
  return { opened, log }
}

test('segments that could not be removed are removed by the next sweep', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await logToBeCut(disk)
  let count = 0
  disk.fault = (operation, path) =>
    operation === 'rename' && path.endsWith('.log') && ++count === 2 ? 'DISK_FULL' : null
  await log.applyRetention(0)
  disk.fault = () => null
  await log.applyRetention(0)
  opened.timers.advance(60_000)
  await turns(3000)
  const names = disk.listDirectory('/data/topic-0')
  expect(names.filter((name) => name.endsWith('.log'))).toHaveLength(log.segments.count)
  expect(names.filter((name) => name.endsWith('.log.deleted'))).toEqual([])
})

test('what retention leaves to be removed keeps no timer after the end', async () => {
  const { opened, log } = await logToBeCut(new SimulatedDisk())
  expect(await log.applyRetention(0)).toBeGreaterThan(0)
  await opened.manager.shutdown()
  expect(opened.timers.pendingCount).toBe(0)
})

test('a segment that was cut for a roll which failed is synced and closed when the log is idle', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 100_000 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  for (let count = 0; count < 9; count++) {
    append(log, ['x'.repeat(10_000)])
    opened.manager.flushStaged()
  }
  await turns(2000)
  disk.fault = (operation, path) => (operation === 'create' && path.endsWith('.log') ? 'DISK_FULL' : null)
  expect(append(log, ['y'.repeat(60_000)])).not.toBe(0)
  disk.fault = () => null
  expect(log.needsSync).toBe(true)
  for (let round = 0; round < 5; round++) {
    await log.closeIdle()
    await turns()
  }
  expect(log.needsSync).toBe(false)
  expect(log.segments.active.isOpen).toBe(false)
})

test('a start after deleted records does not walk the whole log', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  log.setHighWatermark(60)
  log.raiseLogStart(3)
  await log.checkpointer.complete()
  opened.timers.advance(62_000)
  await turns(2000)
  const { recoveryPoint } = log
  expect(recoveryPoint).toBe(60)
  const again = await open(disk.killed())
  expect(again.manager.log('topic', 0)!.recoveryPoint).toBe(recoveryPoint)
})

test('an opening that fails leaves nothing that goes on: no removal, no timer, no lock', async () => {
  const disk = new SimulatedDisk()
  await (await openStorage({ disk, directories: ['/other'] })).manager.shutdown()
  const opened = await open(disk)
  for (let partition = 0; partition < 5; partition++) {
    const log = opened.manager.createLog('topic', partition, TOPIC_ID)
    await fill(opened, log, 3)
    opened.manager.deleteLog(log)
  }
  await opened.manager.shutdown()
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const { release, count } = holdBack(disk, 'remove')
  const directories = ['/data', '/other']
  disk.fault = (_operation, path) => (path === '/other/.kafka_cleanshutdown' ? 'DISK_IO' : null)
  const failed = openStorage({ disk, clock, timers, directories }).catch((error: unknown) => error)
  await turns()
  disk.fault = () => null
  expect(count()).toBe(1)
  release()
  expect(await failed).toBeInstanceOf(DiskError)
  await turns()
  expect([count(), timers.pendingCount]).toEqual([1, 0])
  const again = await openStorage({ disk, clock, timers })
  for (let round = 0; round < 5; round++) {
    await turns()
    release()
  }
  await turns()
  expect(disk.listDirectory('/data').filter((name) => name.endsWith('-delete'))).toEqual([])
  await again.manager.shutdown()
})

test('a log that rolls where its only checkpoint ended keeps what came before when it is killed then', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 9)
  await log.checkpointer.complete()
  opened.timers.advance(2000)
  await turns()
  expect([log.segments.count, log.recoveryPoint]).toEqual([1, 9])
  append(log, ['x'.repeat(2000)])
  opened.manager.flushStaged()
  expect(log.segments.count).toBe(2)
  const recovered = (await open(disk.killed())).manager.log('topic', 0)!
  expect([recovered.logStartOffset, recovered.logEndOffset, recovered.faultyRanges]).toEqual([0, 10, []])
})

/** Has a file that is extended ahead of its writes soon. */
const ROOMY = { ...SMALL, segmentBytes: 1 << 30 }

/** Stops the process, and starts another: the last file ends where its data do, so that it need not be walked. */
async function expectCleanStop(disk: SimulatedDisk, { manager }: Opened, log: Log): Promise<void> {
  const { logPath, writtenBytes } = log.segments.active
  await manager.shutdown()
  expect(disk.stat(logPath)?.sizeBytes).toBe(writtenBytes)
  const again = await open(disk.killed(), ROOMY)
  expect(again.warnings).not.toContain(WALKED)
  expect(again.manager.recoveredUncleanly).toBe(false)
}

test('a log that got appends while it was closed stays open, although it was looked at since', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ROOMY)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  const { release } = holdBack(disk, 'sync')
  const appendSome = () => {
    for (let count = 0; count < 5; count++) {
      append(log, ['x'.repeat(200)])
      opened.manager.flushStaged()
    }
  }
  appendSome()
  // Covers less than the log has when it is closed: another one must follow, which covers what is appended until it begins.
  log.checkpointer.request()
  appendSome()
  opened.timers.advance(60_000)
  const { active } = log.segments
  expect([log.touched, active.fileBytes]).toEqual([false, active.writtenBytes])
  appendSome()
  expect(log.touched).toBe(true)
  opened.timers.advance(30_000)
  expect([log.touched, active.fileBytes > active.writtenBytes]).toEqual([false, true])
  for (let round = 0; round < 20; round++) {
    release()
    await turns()
  }
  expect([log.recoveryPoint, log.needsSync, active.isOpen]).toEqual([115, false, true])
  disk.settle = () => Promise.resolve()
  await expectCleanStop(disk, opened, log)
})

test('a log whose file grew while it was closed stays open, and its file is cut at the end of the process', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ROOMY)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const endExtensions = await extendSlowly(disk, opened, log)
  const closed = log.closeIdle()
  endExtensions()
  await closed
  const { active } = log.segments
  expect([active.extending, active.fileBytes > active.writtenBytes, active.isOpen]).toEqual([false, true, true])
  await expectCleanStop(disk, opened, log)
})

test('a stop waits for the checkpoint of a log that was closed before', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ROOMY)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  await log.closeIdle()
  const waiting: (() => void)[] = []
  disk.settle = (_operation, path) =>
    path === '/data/recovery-point-offset-checkpoint.tmp'
      ? new Promise((resolve) => waiting.push(resolve))
      : Promise.resolve()
  log.checkpointer.request()
  expect([log.segments.active.isOpen, log.checkpointer.isRunning]).toEqual([false, true])
  const stopped = opened.manager.shutdown()
  await turns()
  expect([log.checkpointer.isRunning, waiting.length]).toEqual([false, 1])
  waiting[0]!()
  await stopped
  expect((await open(disk.killed(), ROOMY)).manager.recoveredUncleanly).toBe(false)
})

test('no mark says that a log was closed whose file could not be cut', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ROOMY)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  await log.checkpointer.complete()
  // Others need a descriptor, and then there is none.
  expect(log.segments.active.closeUnused()).toBe(true)
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    if (path.endsWith('.log')) throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
    return openFile(path, options)
  }
  const { logPath, writtenBytes } = log.segments.active
  await opened.manager.shutdown()
  expect(disk.stat(logPath)!.sizeBytes).toBeGreaterThan(writtenBytes)
  const again = await open(disk.killed(), ROOMY)
  expect(again.warnings).not.toContain(WALKED)
  expect(again.manager.recoveredUncleanly).toBe(true)
  expect(again.manager.log('topic', 0)!.logEndOffset).toBe(100)
})
