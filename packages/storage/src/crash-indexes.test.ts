import { SimulatedDisk } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { append, fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/** What the campaign `traces` found about index files after a crash, each as the few steps that showed it. */

const PREFIX = '/data/topic-0/00000000000000000000'
/** Larger than what the tests append. */
const CONFIG = { ...SMALL, segmentBytes: 100_000 }

/** A log whose mark says: synced and checkpointed up to its end, offset 12. */
async function checkpointed(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log }> {
  const opened = await open(disk, CONFIG)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 12)
  await log.checkpointer.complete()
  opened.timers.advance(5000)
  await turns()
  expect(log.recoveryPoint).toBe(12)
  return { opened, log }
}

/** A transaction of two records that is aborted. */
function abortTransaction({ manager }: Opened, log: Log): void {
  const producer = { producerId: 7, producerEpoch: 0 }
  const result = new AppendResult()
  const data = batchOf(['a', 'b'], { ...producer, baseSequence: 0, transactional: true })
  expect(log.append(data, 0, data.length, 'client', 1, result)).toBe(0)
  const type = ControlRecordType.ABORT
  const marker = Buffer.from(buildEndTxnMarker({ type, coordinatorEpoch: 0, ...producer, timestamp: 1000 }))
  expect(log.append(marker, 0, marker.length, 'coordinator', 1, result)).toBe(0)
  manager.flushStaged()
}

test('index entries of batches that a crash took are not believed where the log ends as it was synced', async () => {
  const disk = new SimulatedDisk()
  await checkpointed(disk)
  // The crash left sizes of index files and entries for batches that never reached the disk.
  const offsets = disk.peek(`${PREFIX}.index`)
  overwriteFile(disk, `${PREFIX}.index`, Buffer.concat([offsets, Buffer.from([0, 0, 0, 20, 0, 0, 16, 0])]))
  const times = disk.peek(`${PREFIX}.timeindex`)
  const late = Buffer.alloc(12)
  late.writeBigInt64BE(5000n, 0)
  late.writeInt32BE(20, 8)
  overwriteFile(disk, `${PREFIX}.timeindex`, Buffer.concat([times, late]))
  overwriteFile(disk, `${PREFIX}.txnindex`, Buffer.alloc(34))
  disk.syncDirectory('/data/topic-0')
  const again = await open(disk.killed(), CONFIG)
  const log = again.manager.log('topic', 0)!
  const result = new AppendResult()
  const batch = batchOf(['late'], { timestamp: 5000 })
  expect(log.append(batch, 0, batch.length, 'client', 1, result)).toBe(0)
  await fill(again, log, 40)
  expect(log.abortedTransactions(0, 40)).toEqual([])
  expect((await log.offsetForTimestamp(5000, 40))?.offset).toBe(12)
})

test('an aborted transaction behind the log’s end, whose records a crash took, does not come back with other records', async () => {
  const disk = new SimulatedDisk()
  const { opened, log: before } = await checkpointed(disk)
  // Its file ends where its data do, as the mark knows: the start walks nothing.
  await before.closeIdle()
  opened.timers.advance(5000)
  await turns()
  expect(before.segments.active.fileBytes).toBe(before.segments.active.writtenBytes)
  // Sound in itself: nothing but the end of the log tells that it never was.
  const entry = Buffer.alloc(34)
  for (const [slot, value] of [7n, 13n, 15n, 16n].entries()) entry.writeBigInt64BE(value, 2 + 8 * slot)
  overwriteFile(disk, `${PREFIX}.txnindex`, entry)
  disk.syncDirectory('/data/topic-0')
  const killed = disk.killed()
  const again = await open(killed, CONFIG)
  const log = again.manager.log('topic', 0)!
  expect(log.recoveryPoint).toBe(12)
  await fill(again, log, 20)
  expect(log.abortedTransactions(0, 20)).toEqual([])
  await again.manager.shutdown()
  const third = await open(killed, CONFIG)
  expect(third.manager.log('topic', 0)!.abortedTransactions(0, 20)).toEqual([])
})

test('an aborted transaction that was truncated away does not come back with other records', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await checkpointed(disk)
  abortTransaction(opened, log)
  await turns()
  log.segments.active.flushIndexes(false)
  expect(log.abortedTransactions(0, 15)).toHaveLength(1)
  log.truncateTo(12)
  await fill(opened, log, 20)
  expect(log.abortedTransactions(0, 20)).toEqual([])
  for (const found of [disk.killed(), disk.crashed({ choose: () => 0 })]) {
    const again = await open(found, CONFIG)
    expect(again.manager.log('topic', 0)!.logEndOffset).toBe(20)
    expect(again.manager.log('topic', 0)!.abortedTransactions(0, 20)).toEqual([])
  }
})

test('zeros in a transaction index are not believed by the walk either', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await checkpointed(disk)
  append(log, ['not checkpointed'])
  opened.manager.flushStaged()
  await turns()
  overwriteFile(disk, `${PREFIX}.txnindex`, Buffer.alloc(34))
  disk.syncDirectory('/data/topic-0')
  const again = await open(disk.killed(), CONFIG)
  const found = again.manager.log('topic', 0)!
  expect(found.logEndOffset).toBe(13)
  expect(found.abortedTransactions(0, 13)).toEqual([])
})

test('indexes that a truncation cut are cut after a crash', async () => {
  const disk = new SimulatedDisk()
  const { log } = await checkpointed(disk)
  const sizeBytes = disk.stat(`${PREFIX}.index`)!.sizeBytes
  log.truncateTo(6)
  const mildest = disk.crashed({ choose: () => 0 })
  const worst = disk.crashed({ choose: (count) => count - 1 })
  expect(mildest.stat(`${PREFIX}.index`)!.sizeBytes).toBeLessThan(sizeBytes)
  expect(worst.stat(`${PREFIX}.index`)!.sizeBytes).toBe(mildest.stat(`${PREFIX}.index`)!.sizeBytes)
})

test('a walk leaves the transaction index as it is where it finds the same, and has it synced with the next checkpoint', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, CONFIG)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  abortTransaction(opened, log)
  await turns()
  // In its file, and not synced: the process is killed before.
  log.segments.active.flushIndexes(false)
  const killed = disk.killed()
  const changed: string[] = []
  killed.onChange = (operation, path) => {
    if (path === `${PREFIX}.txnindex`) changed.push(operation)
  }
  const again = await open(killed, CONFIG)
  const found = again.manager.log('topic', 0)!
  expect(found.abortedTransactions(0, 3)).toEqual([{ producerId: 7, firstOffset: 0 }])
  expect(changed).toEqual([])
  await turns()
  await found.checkpointer.complete()
  expect(changed).toEqual(['sync'])
})

test('damage of the batch where a walk begins costs no other batch of its segment', async () => {
  const disk = new SimulatedDisk()
  const { log } = await checkpointed(disk)
  const file = disk.peek(`${PREFIX}.log`)
  const index = disk.peek(`${PREFIX}.index`)
  const start = index.readInt32BE(index.length - 4)
  expect(start).toBeGreaterThan(0)
  // The mark ends the walk at the log's end only where something lies behind it.
  overwriteFile(disk, `${PREFIX}.log`, Buffer.concat([file, Buffer.alloc(100)]))
  disk.corrupt(`${PREFIX}.log`, start + 80, 1)
  const again = await open(disk.killed(), CONFIG)
  const found = again.manager.log('topic', 0)!
  const damagedOffset = Number(file.readBigInt64BE(start))
  expect(found.faultyRanges.map(({ startOffset }) => startOffset)).toEqual([damagedOffset])
  const out = new ReadResult()
  expect(await found.read(damagedOffset - 1, 1, 12, true, out)).toBe(true)
  expect(out.sizeBytes).toBeGreaterThan(0)
  expect(log.logEndOffset).toBe(12)
})
