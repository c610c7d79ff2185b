import { SimulatedDisk, type Uuid } from '@millrace/base'
import { beforeEach, describe, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { append, fill, type Opened, open, overwriteFile, turns } from './testing/log-driver.ts'
import { batchOf } from './testing/storage-harness.ts'

/**
 * Files that are well formed, or nearly, and say what is not so: found by mutating stored files. Kafka's formats have no checksum for
 * indexes and epochs, nor for a batch's base offset: what they say is held against the log.
 */

const TOPIC_ID = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid
const COUNT = 40
const FIRST = '/data/topic-0/00000000000000000000'

let disk: SimulatedDisk

/** Several segments with index entries; ended by a kill. */
beforeEach(async () => {
  disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, COUNT / 2)
  expect(append(log, ['of a later epoch'], 5)).toBe(0)
  opened.manager.flushStaged()
  await turns()
  for (let number = log.logEndOffset; number < COUNT; number++) append(log, [`value ${number}`.padEnd(200, '.')], 5)
  opened.manager.flushStaged()
  await turns()
  await log.checkpointer.complete()
  opened.timers.advance(2000)
  await turns()
  disk = disk.killed()
})

function logOf({ manager }: Opened): Log {
  return manager.log('topic', 0)!
}

/** Base offsets of the batches that reads of each offset give. */
async function basesRead(log: Log): Promise<number[]> {
  const out = new ReadResult()
  const bases: number[] = []
  for (let offset = 0; offset < COUNT; offset++) {
    const good = await log.read(offset, 1, COUNT, true, out)
    bases.push(good && out.sizeBytes > 0 ? Number(Buffer.concat(out.buffers).readBigInt64BE(0)) : -out.errorCode)
  }
  return bases
}

const all = Array.from({ length: COUNT }, (_, offset) => offset)

describe('an offset index', () => {
  test.each([
    [
      'with garbage at its end',
      (index: Buffer) => Buffer.concat([index, Buffer.alloc(64, 0xed), Buffer.alloc(64, 0x25)]),
    ],
    ['with garbage in its middle', (index: Buffer) => Buffer.from(index).fill(0xff, 8, 20)],
    ['of nothing but the lowest numbers', (index: Buffer) => Buffer.alloc(index.length, 0x80)],
  ])('%s is built anew, and no record is passed over', async (_name, damage) => {
    const path = `${FIRST}.index`
    overwriteFile(disk, path, damage(disk.readFile(path)))
    const opened = await open(disk)
    expect(await basesRead(logOf(opened))).toEqual(all)
    await opened.manager.shutdown()
  })
})

describe('a time index', () => {
  test('whose entry names a batch further on is found out, and built anew', async () => {
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 1, TOPIC_ID)
    for (let number = 0; number < 10; number++) {
      const batch = batchOf(['v'.repeat(150)], { timestamp: 1000 + number })
      expect(log.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
    }
    opened.manager.flushStaged()
    await opened.manager.shutdown()
    const path = '/data/topic-1/00000000000000000000.timeindex'
    const index = disk.readFile(path)
    const offset = index.readInt32BE(8)
    index.writeInt32BE(offset + 2, 8)
    overwriteFile(disk, path, index)
    const again = await open(disk)
    for (let number = 0; number < 10; number++) {
      const found = await again.manager.log('topic', 1)!.offsetForTimestamp(1000 + number, 10)
      expect(found?.offset, `entry of ${offset}`).toBe(number)
    }
    await again.manager.shutdown()
  })
})

describe('a base offset', () => {
  test.each([0x00, 0x01, 0x40])('with a bit of byte 3 turned on (%i) is damage, and stops nobody', async (mask) => {
    disk.corrupt(`${FIRST}.log`, 3, mask === 0 ? 0x80 : mask)
    const opened = await open(disk)
    const log = logOf(opened)
    await basesRead(log)
    expect(append(log, ['goes on'], 9)).toBe(0)
    opened.manager.flushStaged()
    await turns()
    await opened.manager.shutdown()
    const again = await open(disk)
    expect(logOf(again).logEndOffset).toBe(COUNT + 1)
    await again.manager.shutdown()
  })
})

test('a base offset far behind the segment’s end hides nothing that follows it', async () => {
  const before = await open(disk)
  const { active } = logOf(before).segments
  const { baseOffset, logPath } = active
  // The third batch of the active segment; all are of one record.
  const damaged = baseOffset + 2
  const { position } = active.locate(damaged)
  await before.manager.shutdown()
  disk.corrupt(logPath, position + 5, 0x08)
  const opened = await open(disk)
  const bases = await basesRead(logOf(opened))
  expect(bases[damaged]).toBeLessThan(0)
  expect(bases.slice(damaged + 1)).toEqual(all.slice(damaged + 1))
  await opened.manager.shutdown()
  const again = await open(disk)
  expect((await basesRead(logOf(again))).slice(damaged + 1)).toEqual(all.slice(damaged + 1))
  await again.manager.shutdown()
})

describe('leader epochs', () => {
  test.each([
    ['that start elsewhere', '0\n2\n1 0\n5 17\n'],
    ['that start inside of the log', '0\n2\n1 3\n5 20\n'],
    ['of another number at the start', '0\n2\n0 0\n5 20\n'],
    ['of another number at the end', '0\n2\n1 0\n7 20\n'],
    ['that no batch can have', '0\n2\n1 0\n9007199254740991 20\n'],
    ['that never were', '0\n3\n1 0\n4 18\n5 20\n'],
  ])('%s are read from the log again', async (_name, contents) => {
    overwriteFile(disk, '/data/topic-0/leader-epoch-checkpoint', Buffer.from(contents))
    const opened = await open(disk)
    expect(logOf(opened).epochs.cache.entries()).toEqual([
      { epoch: 1, startOffset: 0 },
      { epoch: 5, startOffset: 20 },
    ])
    await opened.manager.shutdown()
  })
})

describe('leader epochs and an index that both say what is not so', () => {
  const EPOCHS = '/data/topic-0/leader-epoch-checkpoint'
  const expected = [
    { epoch: 1, startOffset: 0 },
    { epoch: 5, startOffset: 20 },
  ]
  /** Of the active segment, which has several entries. */
  let activeIndex: string

  /** The last epoch starts in the middle of the active segment, and everything is checkpointed. */
  beforeEach(async () => {
    const opened = await open(disk)
    const log = logOf(opened)
    const { active } = log.segments
    while (log.segments.active === active) append(log, ['x'.repeat(200)], 5)
    while (log.segments.active.sizeBytes < 1000) append(log, ['x'.repeat(200)], 5)
    expected[2] = { epoch: 7, startOffset: log.logEndOffset }
    while (log.segments.active.sizeBytes < 2000) append(log, ['x'.repeat(200)], 7)
    opened.manager.flushStaged()
    await turns()
    await log.checkpointer.complete()
    opened.timers.advance(2000)
    await turns()
    expect(log.recoveryPoint).toBe(log.logEndOffset)
    activeIndex = log.segments.active.logPath.replace(/log$/, 'index')
    disk = disk.killed()
    expect(disk.readFile(activeIndex).length).toBeGreaterThan(16)
  })

  async function epochsFound(): Promise<unknown> {
    const opened = await open(disk)
    const found = logOf(opened).epochs.cache.entries()
    await opened.manager.shutdown()
    return found
  }

  test.each([
    ['is as it was', (index: Buffer) => index],
    ['is empty', () => Buffer.alloc(0)],
    ['lost its last entries', (index: Buffer) => index.subarray(0, 8)],
    ['is garbage', (index: Buffer) => Buffer.alloc(index.length, 0xff)],
    ['holds the highest numbers', (index: Buffer) => Buffer.alloc(index.length, 0x7f)],
    ['is one number off', (index: Buffer) => Buffer.from(index.map((byte, at) => (at % 8 === 3 ? byte - 1 : byte)))],
    [
      'leads between batches',
      (index: Buffer) => Buffer.from(index.map((byte, at) => (at % 8 === 7 ? byte + 1 : byte))),
    ],
  ])('an older copy is found out where the index %s', async (_name, damage) => {
    overwriteFile(disk, EPOCHS, Buffer.from('0\n2\n1 0\n5 20\n'))
    overwriteFile(disk, activeIndex, damage(disk.readFile(activeIndex)))
    expect(await epochsFound()).toEqual(expected)
  })

  test('a start within the epoch before is found out where an entry in the middle of an index leads between batches', async () => {
    const bases = disk.listDirectory('/data/topic-0').filter((name) => name.endsWith('.index'))
    const path = `/data/topic-0/${bases.findLast((name) => Number.parseInt(name, 10) <= 17)}`
    const index = disk.readFile(path)
    for (let at = 7; at < index.length - 8; at += 8) index[at]! += 1
    overwriteFile(disk, path, index)
    overwriteFile(disk, EPOCHS, Buffer.from(`0\n3\n1 0\n5 17\n7 ${expected[2]!.startOffset}\n`))
    expect(await epochsFound()).toEqual(expected)
  })

  test('an epoch that is missing between others is found out', async () => {
    overwriteFile(disk, EPOCHS, Buffer.from(`0\n2\n1 0\n7 ${expected[2]!.startOffset}\n`))
    expect(await epochsFound()).toEqual(expected)
  })

  test('an older copy is found out behind a damaged batch', async () => {
    const opened = await open(disk.copy())
    const { active } = logOf(opened).segments
    // The last batch of the epoch before: its length is gone.
    disk.corrupt(active.logPath, active.locate(expected[2]!.startOffset - 1).position + 11, 0xff)
    overwriteFile(disk, EPOCHS, Buffer.from('0\n2\n1 0\n5 20\n'))
    overwriteFile(disk, activeIndex, Buffer.alloc(0))
    expect(await epochsFound()).toEqual(expected)
  })
})
