import { RandomChoices, SeededRandom, SimulatedDisk, type Uuid } from '@millrace/base'
import { expect, test } from 'vitest'
import { offsetFileName, SNAPSHOT_SUFFIX } from './file-names.ts'
import { AppendResult, type Log } from './index.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts'
import { fill, type Opened, open, overwriteFile, turns } from './testing/log-driver.ts'
import { batchOf } from './testing/storage-harness.ts'

const TOPIC_ID = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid

async function openWith(count: number): Promise<{ disk: SimulatedDisk; opened: Opened; log: Log }> {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, count)
  return { disk, opened, log }
}

function pathOf(offset: number): string {
  return `/data/topic-0/${offsetFileName(offset, SNAPSHOT_SUFFIX)}`
}

test('the snapshot that a roll wrote is synced before a recovery point relies on it', async () => {
  const { disk, opened, log } = await openWith(12)
  const offset = log.logEndOffset
  log.roll(offset)
  await turns()
  expect(log.recoveryPoint).toBe(offset)
  for (let seed = 0; seed < 50; seed++) {
    const crashed = disk.crashed(new RandomChoices(new SeededRandom(seed)))
    expect(() => decodeProducerSnapshot(pathOf(offset), crashed.peek(pathOf(offset)))).not.toThrow()
  }
  await opened.manager.shutdown()
})

test('a snapshot above the recovery point, which may be of what was cut off, is not believed after a crash', async () => {
  const { disk, opened, log } = await openWith(12)
  const timestamp = opened.clock.wallMs()
  const batch = batchOf(['of a producer'], { producerId: 7, producerEpoch: 0, baseSequence: 0, timestamp })
  expect(log.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
  opened.manager.flushStaged()
  await log.checkpointer.complete()
  const point = log.recoveryPoint
  expect(point).toBe(13)
  opened.timers.advance(2000)
  await turns()
  await fill(opened, log, point + 2)
  // As a crash may bring it back: at the log's end, and of no producer.
  const killed = disk.killed()
  overwriteFile(killed, pathOf(point + 2), encodeProducerSnapshot([], 0))
  const second = await open(killed)
  const found = second.manager.log('topic', 0)!
  expect(found.logEndOffset).toBe(point + 2)
  await found.checkpointer.complete()
  expect(found.recoveryPoint).toBe(point + 2)
  await second.manager.shutdown()
  const third = await open(killed.killed())
  expect(Array.from(third.manager.log('topic', 0)!.producers(), ({ producerId }) => producerId)).toEqual([7])
  await third.manager.shutdown()
})

test('a producer is known by a batch in whose middle the log starts, after a truncation and after a kill', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const timestamp = opened.clock.wallMs()
  const first = batchOf(['deleted', 'kept'], { producerId: 7, producerEpoch: 0, baseSequence: 0, timestamp })
  expect(log.append(first, 0, first.length, 'client', 1, new AppendResult())).toBe(0)
  await fill(opened, log, 9)
  log.setHighWatermark(log.writtenOffset)
  log.raiseLogStart(1)
  const known = (found: Log) => Array.from(found.producers(), ({ producerId }) => producerId)
  opened.timers.advance(60_000)
  await turns()
  // Where no snapshot is left, a start goes through the log.
  const killed = disk.killed()
  const names = killed.listDirectory('/data/topic-0').filter((name) => name.endsWith(SNAPSHOT_SUFFIX))
  for (const name of names) killed.removeFile(`/data/topic-0/${name}`)
  const second = await open(killed)
  expect(second.manager.log('topic', 0)!.logStartOffset).toBe(1)
  expect(known(second.manager.log('topic', 0)!)).toEqual([7])
  await second.manager.shutdown()
  log.truncateTo(4)
  expect([log.logStartOffset, known(log)]).toEqual([1, [7]])
  // Sent again, it is recognized.
  const result = new AppendResult()
  expect(log.append(first, 0, first.length, 'client', 1, result)).toBe(0)
  expect([log.logEndOffset, result.baseOffset]).toEqual([4, 0])
  await opened.manager.shutdown()
})
