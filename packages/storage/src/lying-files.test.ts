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
