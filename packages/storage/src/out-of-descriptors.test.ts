import { DiskError, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import type { LogConfig } from './log-config.ts'
import { append, fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { refuseOpens } from './testing/refused-opens.ts'
import { batchOf, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * A process without descriptors: what needs one is refused, and nothing else. Each test once lost records, took a directory offline or
 * left something undone for good: a state that had been changed before the call that failed, or an error that nobody took up again.
 */

const LARGE = { ...SMALL, segmentBytes: 1 << 20 }

async function openBounded(disk: SimulatedDisk, maxOpenSegments: number, config: Partial<LogConfig> = SMALL) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const opened: Opened = { ...(await openStorage({ disk, clock, timers, config, maxOpenSegments })), clock, timers }
  return opened
}

/** Lets opens of what matches fail until the answer is called. */
function starve(disk: SimulatedDisk, pattern: RegExp): () => void {
  let isStarved = true
  refuseOpens(disk, (path) => isStarved && pattern.test(path))
  return () => {
    isStarved = false
  }
}

async function passMs(opened: Opened, durationMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 500) {
    opened.timers.advance(500)
    await turns()
  }
}

async function valueAt(log: Log, offset: number): Promise<string> {
  const out = new ReadResult()
  expect(await log.read(offset, 1, log.logEndOffset, true, out)).toBe(true)
  return Buffer.concat(out.buffers).toString('latin1')
}

test('an append that is refused for want of an index leaves nothing behind, and what is accepted after it stays', async () => {
  const disk = new SimulatedDisk()
  const first = await open(disk, LARGE)
  await fill(first, first.manager.createLog('topic', 0, TOPIC_ID), 8)
  await first.manager.shutdown()
  const opened = await open(disk, LARGE)
  const log = opened.manager.log('topic', 0)!
  const end = starve(disk, /index$/)
  expect(append(log, ['REFUSED'.padEnd(300, 'r')])).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  end()
  expect([log.hasStaged, log.logEndOffset]).toEqual([false, 8])
  for (let count = 0; count < 4; count++) {
    expect(append(log, [`accepted ${count}`.padEnd(100 + 50 * count, 'a')])).toBe(0)
    opened.manager.flushStaged()
    await turns()
  }
  expect(log.durableOffset).toBe(12)
  const recovered = (await open(disk.killed(), LARGE)).manager.log('topic', 0)!
  expect(recovered.logEndOffset).toBe(12)
  for (let count = 0; count < 4; count++) expect(await valueAt(recovered, 8 + count)).toContain(`accepted ${count}`)
})

test('data whose names could not be synced does not count before they are, though its file was closed in between', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  log.roll(log.logEndOffset)
  await log.checkpointer.whenIdle()
  await turns()
  expect(append(log, ['in the new segment'])).toBe(0)
  const syncDirectoryAsync = disk.syncDirectoryAsync.bind(disk)
  disk.syncDirectoryAsync = async (path) => {
    // Others need a descriptor meanwhile.
    log.segments.active.closeUnused()
    throw new DiskError('DISK_OTHER', 'sync directory', path, 'EMFILE')
  }
  opened.manager.flushStaged()
  await turns()
  const end = starve(disk, /topic-0\/.*\.log$/)
  await passMs(opened, 1000)
  expect([log.durableOffset, log.needsSync, opened.failures.length]).toEqual([5, true, 0])
  disk.syncDirectoryAsync = syncDirectoryAsync
  end()
  await passMs(opened, 1000)
  expect([log.durableOffset, log.needsSync]).toEqual([6, false])
  expect(append(log, ['acknowledged'])).toBe(0)
  opened.manager.flushStaged()
  await turns()
  expect(log.durableOffset).toBe(7)
  for (const choose of [(count: number) => count - 1, (count: number) => (count === 3 ? 1 : count - 1)]) {
    const recovered = (await open(disk.crashed({ choose }))).manager.log('topic', 0)
    expect(recovered?.logEndOffset).toBe(7)
  }
})

/** Six logs of many segments in a directory without a mark, as Kafka leaves it: all is to be synced. */
async function unsyncedDisk(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  for (let partition = 0; partition < 6; partition++) {
    await fill(opened, opened.manager.createLog('topic', partition, TOPIC_ID), 400)
  }
  await opened.manager.shutdown()
  disk.removeFile('/data/durable-mark')
  disk.syncDirectory('/data')
  return disk
}

// With 60, a part of the logs is left to be synced behind the start.
test.each([24, 60])(
  'logs with more unsynced segments than may be open (%i) are synced wholly before any of it counts',
  async (maxOpenSegments) => {
    const disk = await unsyncedDisk()
    const synced = new Set<string>()
    disk.fault = (operation, path) => {
      if (operation === 'sync' && path.endsWith('.log')) synced.add(path)
      return null
    }
    const opened = await openBounded(disk, maxOpenSegments)
    await turns(2000)
    await passMs(opened, 20_000)
    const logs = [0, 1, 2, 3, 4, 5].map((partition) => opened.manager.log('topic', partition)!)
    expect(logs.map(({ durableOffset }) => durableOffset)).toEqual([400, 400, 400, 400, 400, 400])
    expect(opened.failures).toEqual([])
    expect(synced.size).toBe(logs.reduce((count, { segments }) => count + segments.count, 0))
  },
)

test('a start whose own syncs fail is refused: nobody may sync that file again', async () => {
  const disk = await unsyncedDisk()
  const path = '/data/topic-5/00000000000000000000.log'
  disk.fault = (operation, at) => (operation === 'sync' && at === path ? 'DISK_IO' : null)
  await expect(openBounded(disk, 24)).rejects.toMatchObject({ code: 'DISK_IO', path })
})

test('the failed sync of an index is heard of although another index finds no descriptor', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, LARGE)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  const { indexes } = log.segments.active
  indexes.flush(true)
  indexes.times.file.close()
  starve(disk, /\.timeindex$/)
  disk.fault = (operation, path) => (operation === 'sync' && path.endsWith('.index') ? 'DISK_IO' : null)
  await expect(indexes.sync()).rejects.toMatchObject({ code: 'DISK_IO' })
})

function idempotent(sequence: number, timestamp: number): Buffer {
  return batchOf(['p'.repeat(200)], { producerId: 7, producerEpoch: 0, baseSequence: sequence, timestamp })
}

test.each(['EMFILE', 'EACCES'])(
  'a producer snapshot that cannot be read (%s) stays, and is read later',
  async (errno) => {
    const disk = new SimulatedDisk()
    const first = await open(disk)
    const nowMs = first.clock.wallMs()
    const created = first.manager.createLog('topic', 0, TOPIC_ID)
    for (let sequence = 0; sequence < 3; sequence++) {
      const batch = idempotent(sequence, nowMs)
      expect(created.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
      first.manager.flushStaged()
    }
    await fill(first, created, 43)
    created.setHighWatermark(43)
    created.raiseLogStart(35)
    await created.applyRetention(1000)
    await first.manager.shutdown()
    const opened = await open(disk)
    const log = opened.manager.log('topic', 0)!
    const snapshots = () => disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.snapshot'))
    const before = snapshots()
    const { readFile } = disk
    disk.readFile = (path) => {
      if (path.endsWith('.snapshot')) throw new DiskError('DISK_OTHER', 'open', path, errno)
      return readFile.call(disk, path)
    }
    const batch = idempotent(2, nowMs)
    expect(log.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    disk.readFile = readFile
    expect(snapshots()).toEqual(before)
    if (errno === 'EACCES') return
    const result = new AppendResult()
    expect(log.append(batch, 0, batch.length, 'client', 1, result)).toBe(0)
    expect([result.duplicate, result.baseOffset]).toEqual([true, 2])
  },
)

const DAY_MS = 86_400_000

test.each(['EIO', 'EMFILE'])(
  'a walk that fails (%s) halfway does not make a segment older than it is',
  async (errno) => {
    const disk = new SimulatedDisk()
    const config = { segmentMs: 30 * DAY_MS, retentionMs: 7 * DAY_MS }
    const first = await open(disk, config)
    const created = first.manager.createLog('topic', 0, TOPIC_ID)
    for (let count = 0; count < 48; count++) {
      const batch = batchOf(['x'.repeat(100_000)], { timestamp: 1_000_000 + Math.floor(count / 8) * DAY_MS })
      expect(created.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
      first.manager.flushStaged()
    }
    await turns()
    created.setHighWatermark(48)
    await first.manager.shutdown()
    overwriteFile(disk, '/data/topic-0/00000000000000000000.timeindex', Buffer.alloc(0))
    const opened = await open(disk, config)
    const log = opened.manager.log('topic', 0)!
    let isBad = true
    const { openFile } = disk
    disk.openFile = (path, options) => {
      const file = openFile.call(disk, path, options)
      const readAsync = file.readAsync.bind(file)
      file.readAsync = (buffer, start, end, position) => {
        if (!isBad || position < 2_000_000) return readAsync(buffer, start, end, position)
        return Promise.reject(new DiskError(errno === 'EIO' ? 'DISK_IO' : 'DISK_OTHER', 'read', path, errno))
      }
      return file
    }
    await expect(log.offsetForTimestamp(1_000_000 + 3 * DAY_MS, 48)).rejects.toMatchObject({ errno })
    isBad = false
    // The youngest records are 5 days old.
    expect(await log.applyRetention(1_000_000 + 10 * DAY_MS)).toBe(0)
    expect(log.segments.first.maxTimestamp).toBe(1_000_000 + 5 * DAY_MS)
    expect((await log.offsetForTimestamp(1_000_000 + 3 * DAY_MS, 48))?.offset).toBe(24)
  },
)

test('timestamps that could not be looked at are looked at again', async () => {
  const disk = new SimulatedDisk()
  const config = { ...SMALL, retentionMs: 1e12 }
  const first = await open(disk, config)
  const created = first.manager.createLog('topic', 0, TOPIC_ID)
  for (let count = 0; count < 12; count++) {
    const batch = batchOf(['y'.repeat(200)], { timestamp: 5000 + count })
    created.append(batch, 0, batch.length, 'client', 1, new AppendResult())
    first.manager.flushStaged()
  }
  await turns()
  created.setHighWatermark(12)
  await first.manager.shutdown()
  const opened = await open(disk, config)
  const log = opened.manager.log('topic', 0)!
  const end = starve(disk, /index$/)
  expect(await log.applyRetention(6000)).toBe(0)
  end()
  expect(opened.failures).toEqual([])
  expect((await log.offsetForTimestamp(5003, 12))?.offset).toBe(3)
})

test.each([3, -1])('a truncation to %i without a descriptor is refused, and costs nothing', async (offset) => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const other = opened.manager.createLog('topic', 1, TOPIC_ID)
  await fill(opened, log, 5)
  await fill(opened, other, 5)
  for (let round = 0; round < 4; round++) await passMs(opened, 30_000)
  expect(log.segments.active.isOpen).toBe(false)
  const end = starve(disk, /./)
  const truncate = () => (offset < 0 ? log.truncateFullyAndStartAt(9) : log.truncateTo(offset))
  expect(truncate).toThrow('EMFILE')
  expect([log.logEndOffset, log.failed, opened.failures.length]).toEqual([5, false, 0])
  end()
  expect([append(other, ['x']), append(log, ['x'])]).toEqual([0, 0])
  opened.manager.flushStaged()
  await turns()
  expect([log.durableOffset, other.durableOffset]).toEqual([6, 6])
  truncate()
  expect(log.logEndOffset).toBe(offset < 0 ? 9 : 3)
})

test('a truncation whose names cannot be synced takes no appends before they are', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  const end = starve(disk, /topic-0$/)
  log.producerStates.listSnapshots()
  log.truncateTo(5)
  expect([log.logEndOffset, append(log, ['too early'])]).toEqual([5, ErrorCode.KAFKA_STORAGE_ERROR])
  await passMs(opened, 1000)
  expect([append(log, ['too early']), opened.failures.length]).toEqual([ErrorCode.KAFKA_STORAGE_ERROR, 0])
  end()
  await passMs(opened, 1000)
  expect(append(log, ['behind the cut'])).toBe(0)
  opened.manager.flushStaged()
  await turns()
  expect(log.durableOffset).toBe(6)
  const recovered = (await open(disk.crashed({ choose: (count) => count - 1 }))).manager.log('topic', 0)!
  expect([recovered.logEndOffset, await valueAt(recovered, 5)]).toEqual([6, expect.stringContaining('behind the cut')])
})

test('index files are closed with the segments they belong to, and where nobody would sync them', async () => {
  const disk = new SimulatedDisk()
  let openCount = 0
  const { openFile } = disk
  disk.openFile = (path, options) => {
    const file = openFile.call(disk, path, options)
    if (!/index$/.test(path)) return file
    const close = file.close.bind(file)
    let isOpen = true
    openCount++
    file.close = () => {
      if (isOpen) openCount--
      isOpen = false
      close()
    }
    return file
  }
  const opened = await openBounded(disk, 4, { writeCaching: true, retentionMs: -1 })
  const value = 'x'.repeat(600_000)
  for (let partition = 0; partition < 8; partition++) {
    const log = opened.manager.createLog('topic', partition, TOPIC_ID)
    for (let count = 0, tries = 0; count < 30 && tries < 200; tries++) {
      if (append(log, [value]) === 0) {
        count++
        opened.manager.flushStaged()
      } else {
        opened.timers.advance(25)
        await turns(100)
      }
    }
    expect(log.logEndOffset).toBe(30)
  }
  expect(openCount).toBe(0)
})

test('a batch that was accepted is written, whatever found no descriptor in between', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  for (let round = 0; round < 4; round++) await passMs(opened, 30_000)
  expect(append(log, ['x'])).toBe(0)
  void log.applyRetention(1000)
  const end = starve(disk, /\.log$/)
  opened.manager.flushStaged()
  await turns()
  end()
  await passMs(opened, 1000)
  expect([log.writtenOffset, log.durableOffset]).toEqual([6, 6])
})

test('a write that finds no descriptor is tried again', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  expect(append(log, ['x'])).toBe(0)
  log.segments.active.closeUnsynced()
  const end = starve(disk, /\.log$/)
  opened.manager.flushStaged()
  await passMs(opened, 1000)
  expect([log.writtenOffset, opened.failures.length]).toEqual([5, 0])
  end()
  await passMs(opened, 1000)
  expect([log.writtenOffset, log.durableOffset]).toEqual([6, 6])
})

test('flush.ms is kept although index entries could not be written', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { writeCaching: true, flushMs: 1000, retentionMs: -1 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const end = starve(disk, /index$/)
  for (let count = 0; count < 3; count++) expect(append(log, ['x'.repeat(6_000_000)])).toBe(0)
  opened.manager.flushStaged()
  await turns()
  end()
  await passMs(opened, 3000)
  expect(log.durableOffset).toBe(3)
})

test('many refusals at once close no more than one does', async () => {
  const disk = new SimulatedDisk()
  const opened = await openBounded(disk, 1000)
  const logs = Array.from({ length: 80 }, (_, partition) => opened.manager.createLog('topic', partition, TOPIC_ID))
  for (const log of logs) append(log, ['x'])
  opened.manager.flushStaged()
  await turns(5000)
  expect(opened.manager.openSegments().count).toBe(80)
  starve(disk, /\/new-/)
  for (let partition = 0; partition < 30; partition++) {
    expect(() => opened.manager.createLog('new', partition, TOPIC_ID)).toThrow('EMFILE')
  }
  expect(opened.manager.openSegments().count).toBe(70)
})

test('retention leaves a segment whose name a crash keeps, also where it found no descriptor the first time', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 30)
  log.setHighWatermark(30)
  await log.checkpointer.complete()
  log.updateConfig({ ...log.config, retentionMs: 1 })
  const end = starve(disk, /00000000000000000030\.log$/)
  expect(await log.applyRetention(1_000_000)).toBe(0)
  end()
  expect(await log.applyRetention(1_000_000)).toBeGreaterThan(0)
  const again = await open(disk.killed())
  expect([again.manager.log('topic', 0)!.logEndOffset, again.errors]).toEqual([30, []])
})
