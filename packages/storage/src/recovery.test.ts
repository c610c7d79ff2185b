import { SimulatedDisk } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { CLEAN_SHUTDOWN_FILE } from './file-names.ts'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { FILES_CHANGED } from './testing/live-check.ts'
import {
  append,
  extendSlowly,
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
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * What a start walks, which is to be little after an ordinary end of the process whatever happened before it, and what it keeps: data
 * that recovery cannot use is set aside, never deleted.
 */

async function create(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log }> {
  const opened = await open(disk)
  return { opened, log: opened.manager.createLog('topic', 0, TOPIC_ID) }
}

function strays(disk: SimulatedDisk): string[] {
  return disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.stray'))
}

async function expectValues(log: Log, from: number, to: number): Promise<void> {
  const out = new ReadResult()
  for (let offset = from; offset < to; offset++) {
    expect(await log.read(offset, 1, to, true, out)).toBe(true)
    expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${offset}.`)
  }
}

test('a log that was appended to between two clean stops is not walked', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 5)
  await opened.manager.shutdown()
  for (const endOffset of [8, 40]) {
    const again = await open(disk)
    expect(again.warnings).not.toContain(WALKED)
    await fill(again, logOf(again), endOffset)
    await again.manager.shutdown()
  }
  const last = await open(disk)
  expect(last.warnings).not.toContain(WALKED)
  expect(logOf(last).recoveryPoint).toBe(40)
})

test('a log whose active segment was closed after a clean stop is not walked when the process is killed', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 5)
  await opened.manager.shutdown()
  const again = await open(disk)
  await fill(again, logOf(again), 40)
  await settle(again, logOf(again))
  const killed = await open(disk.killed())
  expect(killed.warnings).not.toContain(WALKED)
  expect(logOf(killed).recoveryPoint).toBe(40)
})

test('segments that retention gave up may come back, and are not read', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 60)
  await settle(opened, log)
  const bases = log.segments.all.map(({ baseOffset }) => baseOffset)
  expect(bases.length).toBeGreaterThan(4)
  log.setHighWatermark(60)
  log.updateConfig({ ...log.config, retentionBytes: 2 * 3000 })
  const forks: SimulatedDisk[] = []
  disk.onChange = (operation, path) => {
    if (operation === 'rename' && path.endsWith('.log')) forks.push(disk.killed().copy())
  }
  const count = await log.applyRetention(0)
  disk.onChange = () => undefined
  expect(forks.length).toBe(count)
  expect(count).toBeGreaterThan(1)
  for (const fork of forks) {
    const again = await open(fork)
    expect(again.warnings).not.toContain(WALKED)
    const recovered = logOf(again)
    expect(recovered.recoveryPoint).toBe(60)
    expect(recovered.logStartOffset).toBe(bases[count])
    await expectValues(recovered, bases[count]!, 60)
    await recovered.applyRetention(0)
    expect(recovered.segments.first.baseOffset).toBe(bases[count])
  }
})

test.each(['cut', 'gone'])(
  'a closed segment that is %s while its log rests after a clean stop is missed by the start after a kill',
  async (damage) => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log, 40)
    const [, second, third] = log.segments.all
    const { logPath, sizeBytes } = second!
    const { position } = second!.locate(third!.baseOffset - 1)
    await opened.manager.shutdown()
    // Once more: the mark is the same after any number of clean stops.
    await (await open(disk)).manager.shutdown()
    const rested = await open(disk)
    expect(rested.warnings).not.toContain(WALKED)
    rested.timers.advance(120_000)
    await turns()
    const killed = disk.killed().copy()
    const sound = await open(killed.copy())
    expect([sound.warnings, sound.errors]).toEqual([[], []])
    expect(logOf(sound).recoveryPoint).toBe(40)
    await expectValues(logOf(sound), 0, 40)
    // Whole batches are left: only the sizes tell.
    if (damage === 'cut') overwriteFile(killed, logPath, killed.peek(logPath).subarray(0, position))
    else killed.removeFile(logPath)
    expect(position).toBeLessThan(sizeBytes)
    const again = await open(killed)
    expect(again.warnings).toContain(WALKED)
    expect(again.errors.length).toBeGreaterThan(0)
    expect(logOf(again).logEndOffset).toBe(40)
    const lost = third!.baseOffset - 1
    const out = new ReadResult()
    expect(await logOf(again).read(lost, 1, 40, true, out)).toBe(false)
    await expectValues(logOf(again), third!.baseOffset, 40)
  },
)

test('records deleted from a log that nothing was appended to since a clean stop stay deleted after a crash', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 60)
  log.setHighWatermark(60)
  await opened.manager.shutdown()
  const again = await open(disk)
  const reopened = logOf(again)
  reopened.raiseLogStart(33)
  again.timers.advance(60_000)
  await turns(1000)
  expect(await reopened.applyRetention(0)).toBeGreaterThan(0)
  const firstBase = reopened.segments.first.baseOffset
  for (let minute = 0; minute < 3; minute++) {
    again.timers.advance(60_000)
    await turns(1000)
  }
  for (const choose of [() => 0, (count: number) => count - 1]) {
    const third = await open(disk.crashed({ choose }))
    expect(third.warnings).not.toContain(WALKED)
    // The start itself is written at leisure; below what is left there is nothing in any case.
    expect(logOf(third).logStartOffset).toBeGreaterThanOrEqual(firstBase)
    await expectValues(logOf(third), firstBase, 60)
  }
})

test('a segment whose successor could not get its file is known all the same', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
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
  expect(killed.stat(`${log.path}/00000000000000000020.log`)).toBeNull()
  const again = await open(killed)
  expect(again.warnings).not.toContain(WALKED)
  expect(logOf(again).segments.count).toBe(before)
  expect(logOf(again).logEndOffset).toBe(20)
})

test('index entries that reached their file before the epochs did are no reason to walk the log', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 13)
  await settle(opened, log)
  const { active } = log.segments
  for (let count = 0; count < 5; count++) append(log, ['of the next epoch'.padEnd(200, '.')], 2)
  opened.manager.flushStaged()
  await turns()
  expect(log.segments.active).toBe(active)
  active.flushIndexes(false)
  const again = await open(disk.killed())
  expect(logOf(again).recoveryPoint).toBe(13)
  expect(logOf(again).epochOf(17)).toBe(2)
})

/** A checkpointed log of 60 records, with the offsets at which its epochs start. */
async function withEpochs(disk: SimulatedDisk, starts: readonly number[]): Promise<{ opened: Opened; log: Log }> {
  const { opened, log } = await create(disk)
  while (log.logEndOffset < 60) {
    const epoch = starts.filter((start) => start <= log.logEndOffset).length
    expect(append(log, [`value ${log.logEndOffset}.`.padEnd(200, '.')], epoch)).toBe(0)
    opened.manager.flushStaged()
  }
  await settle(opened, log)
  return { opened, log }
}

test.each([3, 12, 40, 59])(
  'records deleted up to %i before a crash are back with their epochs, without a walk',
  async (offset) => {
    const disk = new SimulatedDisk()
    const starts = [0, 2, 11, 30, 31, 47]
    const { opened, log } = await withEpochs(disk, starts)
    log.setHighWatermark(60)
    log.raiseLogStart(offset)
    append(log, ['later'], starts.length)
    opened.manager.flushStaged()
    await turns()
    // The epochs are checkpointed with the log; log starts of all logs once a minute.
    await settle(opened, log)
    expect(disk.peek('/data/topic-0/leader-epoch-checkpoint').toString()).toContain(` ${offset}\n`)
    const killed = disk.killed()
    const again = await open(killed)
    const found = logOf(again)
    expect(found.logStartOffset).toBe(0)
    expect(found.recoveryPoint).toBe(61)
    expect(found.epochs.cache.entries()).toEqual(starts.map((startOffset, slot) => ({ epoch: slot + 1, startOffset })))
    await expectValues(found, 0, 60)
    await again.manager.shutdown()
    const third = await open(killed)
    expect(third.warnings).toEqual([])
    expect(logOf(third).epochOf(1)).toBe(1)
  },
)

test.each([
  ['did not end', true],
  ['ended', false],
])('all records deleted before a stop that %s without the log starts are back with their epochs', async (_, isCut) => {
  const disk = new SimulatedDisk()
  const { opened, log } = await withEpochs(disk, [0, 11, 30])
  log.setHighWatermark(60)
  log.raiseLogStart(60)
  // Of a leader that got no records. A log without records keeps it.
  log.assignEpoch(4, 60)
  await opened.manager.shutdown()
  expect(disk.peek('/data/topic-0/leader-epoch-checkpoint').toString()).toContain('4 60\n')
  // The mark has been written, and the checkpoints after it have not.
  disk.removeFile('/data/log-start-offset-checkpoint')
  if (isCut) disk.removeFile(`/data/${CLEAN_SHUTDOWN_FILE}`)
  const again = await open(disk)
  const found = logOf(again)
  expect([found.logStartOffset, found.logEndOffset, found.recoveryPoint]).toEqual([0, 60, 60])
  expect(found.epochs.cache.entries()).toEqual(
    [0, 11, 30].map((startOffset, slot) => ({ epoch: slot + 1, startOffset })),
  )
  expect([again.warnings, again.errors]).toEqual([[], []])
})

test.each([
  ['is damaged', false],
  ['cannot be read', true],
])('a log whose head %s is not walked by the starts after clean stops', async (_, isUnreadable) => {
  const disk = new SimulatedDisk()
  const { opened } = await withEpochs(disk, [0])
  await opened.manager.shutdown()
  const head = '/data/topic-0/00000000000000000000.log'
  for (let position = 0; position < 61; position++) disk.corrupt(head, position, 0xff)
  // Something that makes a start walk all of it, which finds the epochs from behind the damage on.
  disk.removeFile('/data/topic-0/leader-epoch-checkpoint')
  const walked = await open(disk)
  expect(logOf(walked).epochs.cache.entries()).toEqual([{ epoch: 1, startOffset: 1 }])
  await turns()
  await walked.manager.shutdown()
  for (let start = 0; start < 2; start++) {
    disk.fault = (operation, path) => (isUnreadable && operation === 'read' && path === head ? 'DISK_IO' : null)
    const again = await open(disk)
    expect(logOf(again).recoveryPoint).toBe(60)
    expect(logOf(again).epochs.cache.entries()).toEqual([{ epoch: 1, startOffset: 1 }])
    disk.fault = () => null
    await turns()
    await again.manager.shutdown()
  }
})

test('of records that are back many epochs are found without a walk', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  for (let epoch = 1; epoch <= 100; epoch++) {
    expect(append(log, ['x'.repeat(50)], epoch)).toBe(0)
    opened.manager.flushStaged()
    await turns(3)
  }
  await settle(opened, log)
  log.setHighWatermark(100)
  log.raiseLogStart(98)
  await opened.manager.shutdown()
  disk.removeFile('/data/log-start-offset-checkpoint')
  disk.removeFile(`/data/${CLEAN_SHUTDOWN_FILE}`)
  const found = logOf(await open(disk))
  expect([found.logStartOffset, found.recoveryPoint]).toEqual([0, 100])
  expect(found.epochs.cache.entries()).toHaveLength(100)
})

test('a kill while a log is begun anew at its start is no damage, at whatever moment it comes', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 40)
  await settle(opened, log)
  log.setHighWatermark(40)
  // The checkpoint of log starts is of a log that reached further than what a crash leaves of this one.
  const start = Buffer.from('0\n1\ntopic 0 90\n')
  overwriteFile(disk, '/data/log-start-offset-checkpoint', start)
  const killed = disk.killed()
  const moments: SimulatedDisk[] = []
  killed.onChange = () => moments.push(killed.fork())
  const begun = logOf(await open(killed))
  expect([begun.logStartOffset, begun.logEndOffset]).toEqual([90, 90])
  killed.onChange = () => undefined
  expect(moments.length).toBeGreaterThan(10)
  for (const moment of moments) {
    const again = await open(moment.killed())
    expect(again.warnings).not.toContain(FILES_CHANGED)
    expect([again.errors, logOf(again).logStartOffset, logOf(again).logEndOffset]).toEqual([[], 90, 90])
  }
})

test.each([
  ['is damaged', true],
  ['was never there, as in a directory of Kafka,', false],
])('where the mark %s a gap between segments ends the log: %s', async (_, isOurs) => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 60)
  const gapStart = log.segments.at(1).baseOffset
  const killed = disk.killed()
  killed.removeFile(log.segments.at(1).logPath)
  if (isOurs) overwriteFile(killed, '/data/durable-mark', Buffer.alloc(128, 7))
  else killed.removeFile('/data/durable-mark')
  const again = await open(killed)
  expect(again.warnings.includes('log ends at a gap')).toBe(isOurs)
  expect(logOf(again).logEndOffset).toBe(isOurs ? gapStart : 60)
})

test('an index that was lost is derived again by every start until it has been synced', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  const result = new AppendResult()
  const producer = { producerId: 7, producerEpoch: 0 }
  const data = batchOf(['aborted'], { ...producer, baseSequence: 0, transactional: true })
  const marker = buildEndTxnMarker({ type: ControlRecordType.ABORT, coordinatorEpoch: 0, ...producer, timestamp: 1 })
  expect(log.append(data, 0, data.length, 'client', 1, result)).toBe(0)
  expect(log.append(marker, 0, marker.length, 'coordinator', 1, result)).toBe(0)
  await fill(opened, log, 40)
  await settle(opened, log)
  const aborted = log.abortedTransactions(0, 40)
  expect(aborted).toHaveLength(1)
  const index = '/data/topic-0/00000000000000000000.txnindex'
  const killed = disk.killed().copy()
  killed.removeFile(index)
  for (let start = 0; start < 3; start++) {
    const again = await open(killed.killed())
    expect(again.warnings.includes(WALKED)).toBe(start === 0)
    expect(logOf(again).abortedTransactions(0, 40)).toEqual(aborted)
    expect(logOf(again).recoveryPoint).toBe(0)
    // The mark is written anew with the next record, before the index is.
    append(logOf(again), ['one more'])
    again.manager.flushStaged()
    await turns()
    again.timers.advance(100)
    expect(killed.stat(index)?.sizeBytes ?? 0).toBe(0)
  }
})

test('a fingerprint names a closed segment only when it ends on the disk where its data do', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { ...SMALL, segmentBytes: 8 << 20 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 1)
  await log.checkpointer.complete()
  const endExtensions = await extendSlowly(disk, opened, log)
  const endOffset = log.logEndOffset
  log.roll(endOffset)
  append(log, ['in the next segment'])
  opened.manager.flushStaged()
  await turns()
  expect(log.durableOffset).toBe(endOffset + 1)
  expect(log.recoveryPoint).toBe(1)
  endExtensions()
  await settle(opened, log)
  expect(log.recoveryPoint).toBe(endOffset + 1)
  const again = await open(disk.crashed({ choose: (count) => Math.min(1, count - 1) }))
  expect(again.warnings).not.toContain(WALKED)
  expect(again.errors).toEqual([])
})

test.each(['with the mark', 'without it'])(
  'blocks that were reserved behind a closed segment cost nothing that follows, %s',
  async (mark) => {
    const disk = new SimulatedDisk()
    const { opened, log } = await create(disk)
    await fill(opened, log, 40)
    await settle(opened, log)
    const closed = log.segments.at(1)
    const killed = disk.killed().copy()
    const file = killed.openFile(closed.logPath, { create: false })
    file.truncate(closed.sizeBytes + 100_000)
    file.close()
    for (const name of ['durable-mark', 'recovery-point-offset-checkpoint']) {
      if (mark === 'without it' && killed.stat(`/data/${name}`) !== null) killed.removeFile(`/data/${name}`)
    }
    const again = await open(killed)
    expect(again.errors).toEqual([])
    expect(logOf(again).logEndOffset).toBe(40)
    expect(logOf(again).faultyRanges).toEqual([])
    expect(strays(killed)).toEqual([])
    await expectValues(logOf(again), 0, 40)
    expect(killed.stat(closed.logPath)?.sizeBytes).toBe(closed.sizeBytes)
  },
)

test('a log that ends below its start begins anew there, and what it held is set aside', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 20)
  await settle(opened, log)
  const killed = disk.killed().copy()
  const contents = killed.readFile('/data/topic-0/00000000000000000000.log')
  overwriteFile(killed, '/data/log-start-offset-checkpoint', Buffer.from('0\n1\ntopic 0 50\n'))
  const again = await open(killed)
  const recovered = logOf(again)
  expect([recovered.logStartOffset, recovered.logEndOffset, recovered.durableOffset]).toEqual([50, 50, 50])
  const stray = strays(killed).find((name) => name.startsWith('00000000000000000000.log.'))
  expect(killed.readFile(`/data/topic-0/${stray}`)).toEqual(contents)
  again.timers.advance(5000)
  await turns()
  // It is as good as any other: it can be killed, appended to and stopped.
  const third = await open(killed.killed().copy())
  expect(logOf(third).logEndOffset).toBe(50)
  expect(third.errors).toEqual([])
  await fill(third, logOf(third), 51)
  await third.manager.shutdown()
  await again.manager.shutdown()
  const last = await open(killed)
  expect([logOf(last).logStartOffset, logOf(last).logEndOffset]).toEqual([50, 50])
  expect(strays(killed).length).toBeGreaterThan(1)
})

test('a truncation below the log start takes the checkpoint of the start with it', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 20)
  log.setHighWatermark(20)
  log.raiseLogStart(15)
  opened.timers.advance(61_000)
  await turns()
  expect(disk.readFile('/data/log-start-offset-checkpoint').toString()).toContain('topic 0 15')
  log.truncateTo(8)
  const survivor = disk.crashed({ choose: (count) => count - 1 })
  const again = await open(survivor)
  expect([logOf(again).logStartOffset, logOf(again).logEndOffset]).toEqual([8, 8])
  expect(strays(survivor)).toEqual([])
})

test('an aborted transaction that a crash left ahead of the data does not come back after a second one', async () => {
  const disk = new SimulatedDisk()
  const config = { ...SMALL, segmentBytes: 1 << 20, indexIntervalBytes: 4096 }
  const opened = await open(disk, config)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 10, 50)
  await settle(opened, log)
  // The index of a transaction was written back, its records were not: of them there is a torn beginning.
  const killed = disk.killed()
  const entry = Buffer.alloc(34)
  for (const [slot, value] of [7n, 12n, 14n, 15n].entries()) entry.writeBigInt64BE(value, 2 + 8 * slot)
  overwriteFile(killed, '/data/topic-0/00000000000000000000.txnindex', entry)
  killed.syncDirectory('/data/topic-0')
  const contents = killed.readFile('/data/topic-0/00000000000000000000.log')
  overwriteFile(killed, '/data/topic-0/00000000000000000000.log', Buffer.concat([contents, Buffer.alloc(70, 0x41)]))
  const second = await open(killed, config)
  expect(logOf(second).logEndOffset).toBe(10)
  await fill(second, logOf(second), 30, 50)
  await settle(second, logOf(second))
  expect(logOf(second).recoveryPoint).toBe(30)
  for (const choose of [() => 0, (count: number) => count - 1]) {
    const third = await open(killed.crashed({ choose }), config)
    expect(logOf(third).logEndOffset).toBe(30)
    expect(logOf(third).abortedTransactions(0, 100)).toEqual([])
  }
})

/** A stopped log whose mark is lost, or which is Kafka's: 60 records in several segments, of which the second is changed. */
async function withoutMark(change: (contents: Buffer) => Buffer): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 60)
  log.setHighWatermark(60)
  const path = log.segments.at(1).logPath
  await opened.manager.shutdown()
  disk.removeFile('/data/durable-mark')
  overwriteFile(disk, path, change(Buffer.from(disk.readFile(path))))
  for (const suffix of ['index', 'timeindex']) disk.removeFile(path.replace(/log$/, suffix))
  return disk
}

test.each(['clean stop', 'crash'])(
  'damage is not taken for a torn tail by a second start either, when the first one without a mark, after a %s, was killed',
  async (stop) => {
    let disk = await withoutMark((contents) => {
      contents[contents.length - 50]! ^= 1
      return contents
    })
    if (stop === 'crash') disk.removeFile('/data/.kafka_cleanshutdown')
    for (let start = 0; start < 4; start++) {
      const again = await open(disk)
      // After a clean stop nothing below the recovery point is walked, so that it is not found.
      expect(logOf(again).faultyRanges).toHaveLength(stop === 'crash' ? 1 : 0)
      expect(logOf(again).logEndOffset).toBe(60)
      expect(strays(disk)).toEqual([])
      if (start === 2) {
        again.timers.advance(61_000)
        await turns()
      }
      disk = start % 2 === 0 ? disk.killed() : disk.crashed({ choose: (count) => count - 1 })
    }
  },
)

test.each([60, 0])(
  'a gap that compaction left is none to any start of a directory without a mark, synced up to %i',
  async (syncedOffset) => {
    let disk = await withoutMark((contents) => {
      let last = 0
      for (let at = 0; at < contents.length; at += 12 + contents.readInt32BE(at + 8)) last = at
      return contents.subarray(0, last)
    })
    overwriteFile(disk, '/data/recovery-point-offset-checkpoint', Buffer.from(`0\n1\ntopic 0 ${syncedOffset}\n`))
    for (let start = 0; start < 3; start++) {
      const again = await open(disk, { ...SMALL, cleanupCompact: true, cleanupDelete: false })
      expect(logOf(again).logEndOffset).toBe(60)
      expect(logOf(again).faultyRanges).toEqual([])
      expect(strays(disk)).toEqual([])
      disk = disk.killed()
    }
  },
)

test('a log that begins late keeps its head although the first start without a mark was killed', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 60)
  log.setHighWatermark(60)
  log.raiseLogStart(40)
  await log.applyRetention(0)
  const firstBase = log.segments.first.baseOffset
  expect(firstBase).toBeGreaterThan(0)
  opened.timers.advance(2000)
  await turns()
  let killed = disk.killed()
  for (const name of ['durable-mark', 'recovery-point-offset-checkpoint', 'log-start-offset-checkpoint']) {
    if (killed.stat(`/data/${name}`) !== null) killed.removeFile(`/data/${name}`)
  }
  for (let start = 0; start < 3; start++) {
    const again = await open(killed)
    expect([logOf(again).logStartOffset, logOf(again).logEndOffset]).toEqual([firstBase, 60])
    expect(strays(killed)).toEqual([])
    killed = killed.killed()
  }
})

test('segments that nothing known leads to are set aside', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 3)
  opened.timers.advance(2000)
  await turns()
  const oldMark = disk.readFile('/data/durable-mark')
  await fill(opened, log, 60)
  await settle(opened, log)
  const killed = disk.killed().copy()
  overwriteFile(killed, '/data/durable-mark', oldMark)
  const lost = log.segments.first
  killed.removeFile(lost.logPath)
  const kept = log.segments.all.slice(1).map(({ logPath, sizeBytes }) => ({ logPath, sizeBytes }))
  const again = await open(killed)
  expect(logOf(again).logEndOffset).toBe(3)
  const moved = strays(killed).filter((name) => name.includes('.log.'))
  expect(moved.length).toBe(kept.length)
  for (const { logPath, sizeBytes } of kept) {
    const name = logPath.slice(logPath.lastIndexOf('/') + 1)
    const stray = moved.find((candidate) => candidate.startsWith(name))
    expect(killed.stat(`/data/topic-0/${stray}`)!.sizeBytes).toBeGreaterThanOrEqual(sizeBytes)
  }
  again.timers.advance(120_000)
  await turns()
  expect(strays(killed).filter((name) => name.includes('.log.'))).toEqual(moved)
})

test('what was reserved behind the last batch is none where the mark names a segment behind it that has lost its name', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  await fill(opened, log, 8)
  await settle(opened, log)
  const { logPath, writtenBytes } = log.segments.active
  log.roll(8)
  append(log, ['cut off again'])
  opened.manager.flushStaged()
  log.truncateTo(8)
  const left = disk.fork()
  // As a crash may leave it: neither the end of the one nor the name of the other were synced.
  for (const name of left.listDirectory('/data/topic-0')) {
    if (name.startsWith('00000000000000000008.')) left.removeFile(`/data/topic-0/${name}`)
  }
  const file = left.openFile(logPath, { create: false })
  file.write(Buffer.alloc(107), 0, 107, writtenBytes)
  file.close()
  const again = await open(left)
  const found = logOf(again)
  expect([found.logEndOffset, found.faultyRanges, found.sizeBytes]).toEqual([8, [], writtenBytes])
  expect(left.stat(logPath)!.sizeBytes).toBe(writtenBytes)
  expect(again.errors).toEqual([])
})
