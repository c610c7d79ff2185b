import { DiskError, SimulatedDisk, type Uuid } from '@millrace/base'
import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, ReadResult } from './index.ts'
import { append, extendSlowly, fill, open, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * What must hold of a log when disks fill up, processes are killed, files go bad and readers are slow. Each test once failed: the
 * sequence that showed the fault is played on the simulated disk.
 */

test('closing an idle log on a full disk gives up instead of trying without end', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 3)
  let refused = 0
  disk.fault = (_, path) => {
    if (!path.endsWith('.snapshot')) return null
    // A loop without end would never come back to the test: it is broken from inside.
    if (++refused > 1000) throw new Error('tries without end')
    return 'DISK_FULL'
  }
  await log.closeIdle()
  expect(refused).toBeLessThan(20)
  disk.fault = () => null
  opened.timers.advance(5000)
  expect(append(log, ['after'])).toBe(0)
})

test('a clean stop on a full disk ends, and what could not be written is looked at again', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 1 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 31)
  expect(log.recoveryPoint).toBeLessThan(31)
  let refused = 0
  disk.fault = (_, path) => {
    if (!path.endsWith('.snapshot')) return null
    if (++refused > 1000) throw new Error('tries without end')
    return 'DISK_FULL'
  }
  await opened.manager.shutdown()
  disk.fault = () => null
  expect(refused).toBeGreaterThan(0)
  const again = await open(disk)
  expect(again.manager.recoveredUncleanly).toBe(true)
  expect(again.manager.log('topic', 0)!.logEndOffset).toBe(31)
})

test('segments below the recovery point know where they end after a crash', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  await log.checkpointer.complete()
  log.setHighWatermark(40)
  opened.timers.advance(60_000)
  await turns()
  append(log, ['one more'])
  opened.manager.flushStaged()
  await turns()
  const again = await open(disk.killed())
  const recovered = again.manager.log('topic', 0)!
  expect(recovered.segments.count).toBeGreaterThan(2)
  const out = new ReadResult()
  expect(await recovered.read(0, 1 << 20, 40, true, out)).toBe(true)
  expect(out.lastOffset).toBe(recovered.segments.at(1).baseOffset - 1)
  expect(await recovered.read(0, 1 << 20, 2, true, out)).toBe(true)
  expect(out.lastOffset).toBe(1)
  expect(recovered.bytesAvailable(0, 40, 1 << 20)).toBeGreaterThan(40 * 200)
})

/** The outcome that loses all that a crash may lose. */
const WORST = { choose: (count: number) => count - 1 }
/** Of each file and directory, nothing that was not synced. */
const NOTHING_UNSYNCED = { choose: (count: number) => (count === 3 ? 1 : count - 1) }

test.each([WORST, NOTHING_UNSYNCED])(
  'a log that was killed before its first sync is durable after it is synced',
  async (choices) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    disk.settle = () => new Promise(() => undefined)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    append(log, ['value'])
    opened.manager.flushStaged()
    const survivor = disk.killed()
    const again = await open(survivor)
    await turns()
    expect(again.manager.log('topic', 0)!.durableOffset).toBe(1)
    const third = await open(survivor.crashed(choices))
    const found = third.manager.log('topic', 0)
    expect(found?.topicId).toBe(TOPIC_ID)
    expect(found?.logEndOffset).toBe(1)
  },
)

test.each([WORST, NOTHING_UNSYNCED])(
  'a log that was empty at a clean stop is durable after its first sync',
  async (choices) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    opened.manager.createLog('topic', 0, TOPIC_ID)
    await opened.manager.shutdown()
    const again = await open(disk)
    await fill(again, again.manager.log('topic', 0)!, 1)
    const third = await open(disk.crashed(choices))
    expect(third.manager.log('topic', 0)?.topicId).toBe(TOPIC_ID)
    expect(third.manager.log('topic', 0)?.logEndOffset).toBe(1)
  },
)

test('damaged leader epochs are rebuilt after a clean stop, too', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  append(log, ['a'], 3)
  append(log, ['b'], 5)
  await opened.manager.shutdown()
  for (const contents of ['0\n2\n3 0\n', '']) {
    const file = disk.openFile('/data/topic-0/leader-epoch-checkpoint', { create: true })
    file.truncate(0)
    file.write(Buffer.from(contents), 0, contents.length, 0)
    file.close()
    const again = await open(disk)
    expect(again.manager.log('topic', 0)!.epochs.cache.entries()).toEqual([
      { epoch: 3, startOffset: 0 },
      { epoch: 5, startOffset: 1 },
    ])
    await again.manager.shutdown()
  }
})

test('a truncation spares the views that readers got before the log was closed as idle', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  const out = new ReadResult()
  expect(await log.read(0, 1 << 20, 5, true, out)).toBe(true)
  const view = Buffer.concat(out.buffers)
  await log.closeIdle()
  expect(log.segments.active.isOpen).toBe(false)
  log.truncateTo(2)
  expect(opened.failures).toEqual([])
  await fill(opened, log, 5, 300)
  expect(Buffer.concat(out.buffers).equals(view)).toBe(true)
})

test('a truncation that finds no space for its copy is refused, and done when there is some', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  const out = new ReadResult()
  expect(await log.read(0, 1 << 20, 5, true, out)).toBe(true)
  disk.fault = (operation, path) => (operation === 'write' && path.endsWith('.log.tmp') ? 'DISK_FULL' : null)
  expect(() => log.truncateTo(2)).toThrow('ENOSPC')
  expect(opened.failures).toEqual([])
  expect(log.logEndOffset).toBe(5)
  expect(disk.stat('/data/topic-0/00000000000000000000.log.tmp')?.sizeBytes).toBe(0)
  disk.fault = () => null
  opened.timers.advance(5000)
  log.truncateTo(2)
  expect(log.logEndOffset).toBe(2)
  await fill(opened, log, 3)
  expect(log.durableOffset).toBe(3)
  expect(opened.failures).toEqual([])
})

test('a log that is to begin anew and finds no space at the mark goes on no more: the mark may say less than it has', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  disk.fault = (operation, path) => (operation === 'write' && path.endsWith('durable-mark') ? 'DISK_FULL' : null)
  log.truncateFullyAndStartAt(9)
  expect(opened.failures).toHaveLength(1)
  expect(log.failed).toBe(true)
})

test('what a truncation leaves is synced without another append', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const waiting: (() => void)[] = []
  disk.settle = () => new Promise((resolve) => waiting.push(resolve))
  for (let count = 0; count < 4; count++) append(log, ['value'])
  opened.manager.flushStaged()
  log.truncateTo(2)
  disk.settle = () => Promise.resolve()
  for (const wake of waiting) wake()
  await turns()
  expect(log.logEndOffset).toBe(2)
  expect(log.durableOffset).toBe(2)
})

test('after a truncation recovery starts no higher than where it cut', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  await log.checkpointer.complete()
  opened.timers.advance(60_000)
  await turns()
  expect(disk.readFile('/data/recovery-point-offset-checkpoint').toString()).toContain('topic 0 40')
  log.truncateTo(20)
  const after = disk.crashed(WORST)
  expect(after.readFile('/data/recovery-point-offset-checkpoint').toString()).toContain('topic 0 20')
  // New history over the old: nothing derived from the old one may be trusted.
  while (log.logEndOffset < 50) {
    append(log, [`other ${log.logEndOffset}`.padEnd(90, '.')], 7)
    opened.manager.flushStaged()
  }
  await turns()
  for (const choices of [WORST, NOTHING_UNSYNCED]) {
    const recovered = (await open(disk.crashed(choices))).manager.log('topic', 0)!
    expect(recovered.logEndOffset).toBe(50)
    expect(recovered.endOffsetForEpoch(1)).toEqual({ epoch: 1, endOffset: 20 })
    const out = new ReadResult()
    for (let offset = 0; offset < 50; offset++) {
      expect(await recovered.read(offset, 1, 50, true, out)).toBe(true)
      expect(out.lastOffset).toBe(offset)
    }
  }
})

test('a look-up by time gives back what it opened once the log is idle again', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 30)
  await log.closeIdle()
  expect(log.segments.all.some(({ isOpen }) => isOpen)).toBe(false)
  expect((await log.offsetForTimestamp(1000, 30))?.offset).toBe(0)
  expect((await log.offsetOfMaxTimestamp())?.offset).toBe(0)
  for (let round = 0; round < 3; round++) {
    opened.timers.advance(30_000)
    await turns()
  }
  expect(log.segments.all.some(({ isOpen }) => isOpen)).toBe(false)
})

test('idle logs are closed a few at a time, so that they leave disk and descriptors to others', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const logs = Array.from({ length: 100 }, (_, partition) => opened.manager.createLog('topic', partition, TOPIC_ID))
  for (const log of logs) await fill(opened, log, 1)
  let running = 0
  let most = 0
  disk.settle = async () => {
    most = Math.max(most, ++running)
    await Promise.resolve()
    running--
  }
  for (let round = 0; round < 3; round++) {
    opened.timers.advance(30_000)
    await turns(20_000)
  }
  expect(logs.some((log) => log.segments.active.isOpen)).toBe(false)
  expect(most).toBeLessThan(30)
})

test('a cold read that retention overtakes says that the offset is out of range', async () => {
  const disk = new SimulatedDisk({ mapping: false })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  opened.clock.advance(10_000)
  await log.closeIdle()
  log.setHighWatermark(40)
  const waiting: (() => void)[] = []
  disk.settle = () => new Promise((resolve) => waiting.push(resolve))
  const out = new ReadResult()
  const read = log.read(0, 1000, 40, true, out)
  await turns()
  log.raiseLogStart(30)
  const removed = log.applyRetention(0)
  disk.settle = () => Promise.resolve()
  for (const wake of waiting) wake()
  expect(await removed).toBeGreaterThan(0)
  expect(await read).toBe(false)
  expect(out.errorCode).toBe(1)
})

test('an extension that ends after its segment was closed cuts it, and the cut is synced', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 8 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 1)
  const { active } = log.segments
  const endExtensions = await extendSlowly(disk, opened, log)
  log.roll(log.logEndOffset)
  await turns()
  endExtensions()
  await turns()
  expect(disk.stat(active.logPath)?.sizeBytes).toBe(active.sizeBytes)
  const inBetween = { choose: (count: number) => Math.min(1, count - 1) }
  expect(disk.crashed(inBetween).stat(active.logPath)?.sizeBytes).toBe(active.sizeBytes)
})

test('empty logs hold no descriptor', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  let openCount = 0
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    const file = openFile(path, options)
    const close = file.close.bind(file)
    openCount++
    file.close = () => {
      openCount--
      close()
    }
    return file
  }
  for (let partition = 0; partition < 10; partition++)
    opened.manager.createLog('topic', partition, `${TOPIC_ID}` as Uuid)
  expect(openCount).toBe(0)
})

test('an extension whose tail cannot be cut takes the directory offline', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 8 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const endExtensions = await extendSlowly(disk, opened, log)
  log.roll(log.logEndOffset)
  await turns()
  disk.fault = (operation) => (operation === 'truncate' ? 'DISK_IO' : null)
  expect(endExtensions()).toBe(1)
  await turns()
  expect(opened.failures.map(({ error }) => error.code)).toEqual(['DISK_IO'])
})

/** Further from the start of a segment than its index can tell. */
const FAR = 2 ** 32

test('an empty segment that is left behind for a far offset is no gap to recovery', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  log.truncateFullyAndStartAt(50)
  const batch = batchOf(['a', 'b'])
  setBaseOffset(batch, 0, FAR)
  setPartitionLeaderEpoch(batch, 0, 1)
  expect(log.append(batch, 0, batch.length, 'replication', 1, new AppendResult())).toBe(0)
  opened.manager.flushStaged()
  await turns()
  expect(log.durableOffset).toBe(FAR + 2)
  opened.timers.advance(2000)
  await turns()
  const recovered = (await open(disk.crashed(NOTHING_UNSYNCED))).manager.log('topic', 0)!
  expect(recovered.logEndOffset).toBe(FAR + 2)
  expect(recovered.faultyRanges).toEqual([])
})

test('a segment that was emptied and left behind is not synced again', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 3)
  disk.settle = () => new Promise(() => undefined)
  log.truncateTo(0)
  disk.settle = () => Promise.resolve()
  const batch = batchOf(['a'])
  setBaseOffset(batch, 0, FAR)
  setPartitionLeaderEpoch(batch, 0, 1)
  append(log, ['in the file'])
  log.truncateTo(0)
  expect(log.append(batch, 0, batch.length, 'replication', 1, new AppendResult())).toBe(0)
  opened.manager.flushStaged()
  await turns()
  expect(opened.failures).toEqual([])
  expect(log.logEndOffset).toBe(FAR + 1)
})

test('a segment that could not be rolled on a full disk is appended to later', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 8 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const endExtensions = await extendSlowly(disk, opened, log)
  disk.fault = (_, path) => (path.endsWith('.snapshot') ? 'DISK_FULL' : null)
  expect(() => log.roll(log.logEndOffset)).toThrow('ENOSPC')
  expect(log.segments.active.sealed).toBe(false)
  disk.fault = () => null
  expect(append(log, ['staged when the extension ends'])).toBe(0)
  endExtensions()
  await turns()
  opened.manager.flushStaged()
  await turns()
  expect(opened.failures).toEqual([])
  expect(log.durableOffset).toBe(8)
})

test.each(['index', 'snapshot', 'timeindex'])(
  'a sync of a derived file (.%s) that finds no space is final: nothing counts as synced by the next one',
  async (kind) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk, { ...SMALL, segmentBytes: 1 << 20 })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, log, 39)
    const before = log.recoveryPoint
    let failedCount = 0
    disk.fault = (operation, path) =>
      operation === 'sync' && path.endsWith(`.${kind}`) && failedCount++ === 0 ? 'DISK_FULL' : null
    await log.checkpointer.complete()
    opened.timers.advance(3000)
    await turns()
    await log.checkpointer.complete()
    expect(failedCount).toBeGreaterThan(0)
    expect(opened.failures.map(({ error }) => error.code)).toEqual(['DISK_FULL'])
    expect(log.recoveryPoint).toBe(before)
  },
)

test('a mark that cannot be synced for want of space before segments go is final, and they stay', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  log.setHighWatermark(60)
  log.raiseLogStart(40)
  disk.fault = (operation, path) => (operation === 'sync' && path.endsWith('durable-mark') ? 'DISK_FULL' : null)
  expect(await log.applyRetention(0)).toBe(0)
  expect(opened.failures.map(({ error }) => error.code)).toEqual(['DISK_FULL'])
  expect(disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.deleted'))).toEqual([])
})

test.each(['the end of the segment', 'the commit'])(
  'of two syncs of one file that begin together none succeeds when that of %s fails',
  async (first) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk, { ...SMALL, segmentBytes: 8 << 20 })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, log, 3)
    const closed = log.segments.active
    const waiting: (() => void)[] = []
    disk.settle = (operation, path) =>
      operation === 'sync' && path === closed.logPath
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve()
    // Staged, written and cut when the segment is closed: the commit and whoever settles its end both have something to sync.
    append(log, ['acknowledged only if it is synced'])
    log.roll(log.logEndOffset)
    expect(closed.hasUnsettledEnd).toBe(true)
    append(log, ['in the next segment'])
    const settleEnd = (): Promise<unknown> => closed.settleEnd().catch((error: unknown) => error)
    const settling = first === 'the commit' ? null : settleEnd()
    await turns(5)
    opened.manager.flushStaged()
    const settled = settling ?? settleEnd()
    await turns()
    // The system tells of the lost write once: whoever asks next is told that all is well.
    let toldCount = 0
    disk.fault = (operation, path) =>
      operation === 'sync' && path === closed.logPath && toldCount++ === 0 ? 'DISK_IO' : null
    for (const wake of waiting.splice(0)) wake()
    await turns()
    for (const wake of waiting.splice(0)) wake()
    await turns()
    expect(await settled).toBeInstanceOf(DiskError)
    expect(log.durableOffset).toBe(3)
    expect(opened.failures.map(({ error }) => error.code)).toEqual(['DISK_IO'])
  },
)

test('a directory that could not be synced for want of a descriptor is not taken for synced', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  await log.checkpointer.complete()
  await fill(opened, log, 45)
  log.producerStates.hasRemovedNames = true
  disk.fault = (operation, path) => {
    if (operation === 'sync directory') throw new DiskError('DISK_OTHER', operation, path, 'EMFILE')
    return null
  }
  await log.checkpointer.complete()
  expect(opened.failures).toEqual([])
  expect(log.recoveryPoint).toBeLessThan(45)
  expect(log.producerStates.hasRemovedNames).toBe(true)
  disk.fault = () => null
  await log.checkpointer.complete()
  expect(log.recoveryPoint).toBe(45)
  expect(log.producerStates.hasRemovedNames).toBe(false)
})

test.each([
  ['the directory', 'stays open'],
  ['the metadata', 'stays open'],
  ['the directory', 'is closed in between'],
  ['the metadata', 'is closed in between'],
])(
  'a first sync that finds no descriptor for %s is tried again, and nothing counts as durable before, whether the file %s',
  async (what, file) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    const { openFile } = disk
    let isSynced = false
    disk.openFile = (path, options) => {
      // Of the log itself, too, once others have taken the descriptor.
      const isClosed = file === 'is closed in between' && path.endsWith('.log') && isSynced
      if (isClosed || (what === 'the metadata' && path.endsWith('partition.metadata'))) {
        throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
      }
      return openFile.call(disk, path, options)
    }
    disk.fault = (operation, path) => {
      if (what === 'the directory' && operation === 'sync directory') {
        throw new DiskError('DISK_OTHER', operation, path, 'EMFILE')
      }
      return null
    }
    append(log, ['value'])
    opened.manager.flushStaged()
    await turns()
    expect([log.durableOffset, log.needsSync]).toEqual([0, true])
    if (file === 'is closed in between') {
      isSynced = true
      expect(log.segments.active.closeUnused()).toBe(true)
      for (let round = 0; round < 3; round++) {
        opened.timers.advance(100)
        await turns()
      }
      expect([log.durableOffset, log.needsSync]).toEqual([0, true])
      isSynced = false
    }
    expect(append(log, ['meanwhile'])).toBe(0)
    opened.manager.flushStaged()
    await turns()
    disk.openFile = openFile
    disk.fault = () => null
    opened.timers.advance(100)
    await turns()
    expect([log.durableOffset, log.needsSync]).toEqual([2, false])
    expect(opened.failures).toEqual([])
    const third = await open(disk.crashed(NOTHING_UNSYNCED))
    expect(third.manager.log('topic', 0)?.logEndOffset).toBe(2)
  },
)

test('retention of a log that a start found and nobody writes to leaves no file open', async () => {
  const disk = new SimulatedDisk()
  const before = await open(disk)
  const log = before.manager.createLog('topic', 0, TOPIC_ID)
  await fill(before, log, 60)
  await log.checkpointer.complete()
  log.setHighWatermark(60)
  log.raiseLogStart(40)
  // The checkpoint of log starts.
  before.timers.advance(60_000)
  await turns()
  const opened = await open(disk.killed())
  const found = opened.manager.log('topic', 0)!
  const countBefore = found.segments.count
  expect([found.logStartOffset, found.needsSync, opened.manager.openSegments().count]).toEqual([40, false, 0])
  await found.applyRetention(0)
  expect(found.segments.count).toBeLessThan(countBefore)
  for (let look = 0; look < 3; look++) {
    opened.timers.advance(31_000)
    await turns()
  }
  expect(opened.manager.openSegments().count).toBe(0)
})

test('a directory that was full takes appends again once there is well more room than it needs, and says how much', async () => {
  const disk = new SimulatedDisk({ capacityBytes: 4_000_000 })
  const opened = await open(disk, { ...SMALL, segmentBytes: 1 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const ballast = disk.openFile('/ballast', { create: true })
  const leave = (usableBytes: number): void => {
    ballast.truncate(0)
    const { totalBytes } = disk.space('/')
    const size = disk.space('/').usableBytes - usableBytes
    ballast.write(Buffer.alloc(size), 0, size, 0)
    expect([totalBytes, disk.space('/').usableBytes]).toEqual([4_000_000, usableBytes])
  }
  leave(100)
  append(log, ['x'.repeat(1000)])
  opened.manager.flushStaged()
  await turns()
  const refused = append(log, ['refused'])
  expect(refused).not.toBe(0)
  for (const [usableBytes, isTaken] of [
    [399_000, false],
    [401_000, true],
  ] as const) {
    leave(usableBytes)
    opened.timers.advance(1000)
    await turns()
    expect(append(log, ['again']) === 0).toBe(isTaken)
  }
  expect(opened.errors).toEqual(['no space left, appends are refused until there is'])
})
