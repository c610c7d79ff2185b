import { SimulatedDisk, type Uuid } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log } from './index.ts'
import { type Opened, open, settle, turns } from './testing/log-driver.ts'
import { batchOf } from './testing/storage-harness.ts'

/** Goal: readers of committed data see what the log says below the high watermark, whatever the producer state was built from. */

const TOPIC_ID = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid
const result = new AppendResult()

async function opened(): Promise<{ disk: SimulatedDisk; opened: Opened; log: Log }> {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const storage = await open(disk)
  return { disk, opened: storage, log: storage.manager.createLog('topic', 0, TOPIC_ID) }
}

async function data(opened: Opened, log: Log, producerId: number, baseSequence: number): Promise<void> {
  const timestamp = opened.clock.wallMs()
  const batch = batchOf(['x'.repeat(200)], {
    producerId,
    producerEpoch: 0,
    baseSequence,
    transactional: true,
    timestamp,
  })
  await store(opened, log, batch)
}

async function end(opened: Opened, log: Log, producerId: number, commit = true): Promise<void> {
  const type = commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT
  const timestamp = opened.clock.wallMs()
  await store(opened, log, buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 0, timestamp }))
}

async function store(opened: Opened, log: Log, batch: Buffer): Promise<void> {
  expect(log.append(batch, 0, batch.length, 'coordinator', 1, result)).toBe(0)
  opened.manager.flushStaged()
  await turns()
}

test('a transaction that ended above the high watermark is open to readers, also after a start with a snapshot from behind it', async () => {
  const { disk, opened: first, log } = await opened()
  await data(first, log, 7, 0)
  await data(first, log, 7, 1)
  log.setHighWatermark(2)
  await end(first, log, 7)
  expect(log.lastStableOffset).toBe(0)
  log.roll(3)
  await settle(first, log)
  // Clean, and killed: in both the watermark is where it was, and the snapshot says nothing of an open transaction.
  const killed = disk.killed()
  await first.manager.shutdown()
  for (const found of [killed, disk]) {
    const again = await open(found)
    const log = again.manager.log('topic', 0)!
    log.setHighWatermark(2)
    expect(log.lastStableOffset).toBe(0)
    log.setHighWatermark(3)
    expect(log.lastStableOffset).toBe(3)
    await again.manager.shutdown()
  }
})

test('a truncation does not take the last stable offset back', async () => {
  const { opened: storage, log } = await opened()
  await data(storage, log, 7, 0)
  await end(storage, log, 7)
  await data(storage, log, 8, 0)
  log.setHighWatermark(2)
  expect(log.lastStableOffset).toBe(2)
  log.truncateTo(2)
  expect(log.highWatermark).toBe(2)
  expect(log.lastStableOffset).toBe(2)
  // The transaction that was cut off is not open any more.
  await data(storage, log, 9, 0)
  await end(storage, log, 9, false)
  log.setHighWatermark(4)
  expect(log.lastStableOffset).toBe(4)
  await storage.manager.shutdown()
})

test('a transaction whose marker was cut off is open again', async () => {
  const { opened: storage, log } = await opened()
  await data(storage, log, 7, 0)
  log.setHighWatermark(1)
  await end(storage, log, 7)
  log.roll(2)
  await data(storage, log, 8, 0)
  log.truncateTo(1)
  expect(log.lastStableOffset).toBe(0)
  await end(storage, log, 7, false)
  log.setHighWatermark(2)
  expect(log.lastStableOffset).toBe(2)
  expect(log.abortedTransactions(0, 2)).toEqual([{ producerId: 7, firstOffset: 0 }])
  await storage.manager.shutdown()
})

test('the last stable offset is never below the start of the log', async () => {
  const { disk, opened: first, log } = await opened()
  await data(first, log, 7, 0)
  await data(first, log, 7, 1)
  await data(first, log, 7, 2)
  log.setHighWatermark(3)
  expect(log.lastStableOffset).toBe(0)
  log.raiseLogStart(2)
  expect(log.lastStableOffset).toBe(2)
  await settle(first, log)
  await first.manager.shutdown()
  const again = await open(disk)
  const found = again.manager.log('topic', 0)!
  found.setHighWatermark(3)
  expect(found.lastStableOffset).toBe(2)
  await end(again, found, 7)
  found.setHighWatermark(4)
  expect(found.lastStableOffset).toBe(4)
  await again.manager.shutdown()
})

test('of a log of many aborted transactions a fetch looks at those that it needs', async () => {
  const { opened: storage, log } = await opened()
  for (let producerId = 0; producerId < 60; producerId++) {
    await data(storage, log, producerId, 0)
    await end(storage, log, producerId, false)
  }
  log.setHighWatermark(log.logEndOffset)
  const segments = log.segments.all
  let looked = 0
  for (const { indexes } of segments) {
    const { transactions } = indexes
    const from = transactions.from.bind(transactions)
    transactions.from = function* (offset, endOffset) {
      for (const entry of from(offset, endOffset)) {
        looked++
        yield entry
      }
    }
    transactions.all = () => expect.fail('the whole index is decoded')
  }
  for (let fromOffset = 0; fromOffset < 120; fromOffset++) {
    for (const endOffset of [fromOffset + 1, fromOffset + 2, fromOffset + 7]) {
      looked = 0
      const found = log.abortedTransactions(fromOffset, endOffset).map(({ firstOffset }) => firstOffset)
      const wanted = []
      for (let first = 0; first < 120; first += 2) if (first + 1 >= fromOffset && first < endOffset) wanted.push(first)
      expect(found).toEqual(wanted)
      expect(looked).toBeLessThanOrEqual(wanted.length + 1)
    }
  }
  await storage.manager.shutdown()
})
