import { SimulatedDisk, type Uuid } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType, setBaseOffset } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { offsetFileName, SNAPSHOT_SUFFIX } from './file-names.ts'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { replayBatches } from './testing/batch-replay.ts'
import { logOf, type Opened, open, settle, turns } from './testing/log-driver.ts'
import type { ModelBatch } from './testing/log-model.ts'
import { batchOf } from './testing/storage-harness.ts'

/** Goal: no bit that turned over on the disk makes a producer or a transaction that there is not, or decides one, unnoticed. */

const TOPIC_ID = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid
const KAFKA_STORAGE_ERROR = 56
const INVALID_PRODUCER_EPOCH = 47
const CONFIG = { segmentBytes: 1 << 20, indexIntervalBytes: 200, retentionMs: -1 }
type EndType = typeof ControlRecordType.ABORT | typeof ControlRecordType.COMMIT
const result = new AppendResult()

interface Place extends ModelBatch {
  path: string
  position: number
}

interface Written {
  disk: SimulatedDisk
  opened: Opened
  log: Log
  places: Place[]
}

async function begin(): Promise<Written> {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const opened = await open(disk, CONFIG)
  return { disk, opened, log: opened.manager.createLog('topic', 0, TOPIC_ID), places: [] }
}

async function store({ opened, log, places }: Written, batch: Buffer): Promise<void> {
  const {
    active,
    active: { sizeBytes: position },
  } = log.segments
  expect(log.append(batch, 0, batch.length, 'coordinator', 1, result)).toBe(0)
  opened.manager.flushStaged()
  await turns()
  const bytes = Buffer.from(batch)
  setBaseOffset(bytes, 0, result.baseOffset)
  const { baseOffset, lastOffset } = result
  places.push({ baseOffset, lastOffset, epoch: 1, bytes, path: active.logPath, position })
}

function data(written: Written, producerId: number, baseSequence: number, transactional = true): Promise<void> {
  const timestamp = written.opened.clock.wallMs()
  const options = { producerId, producerEpoch: 0, baseSequence, transactional, timestamp }
  return store(written, batchOf(['a record', 'x'.repeat(150)], options))
}

function end(written: Written, producerId: number, type: EndType): Promise<void> {
  const timestamp = written.opened.clock.wallMs()
  return store(written, buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 0, timestamp }))
}

/** Transactions that ended and others that are open, one after and within the other. */
async function transactions(written: Written): Promise<void> {
  await data(written, 7, 0)
  await end(written, 7, ControlRecordType.COMMIT)
  await data(written, 8, 0)
  await data(written, 9, 0)
  await end(written, 8, ControlRecordType.ABORT)
  await data(written, 9, 2)
  await data(written, 7, 2, false)
}

/** A clean stop, of which the producer snapshots were lost: all of the log is replayed, and none of it walked. */
async function stop({ disk, opened }: Written): Promise<void> {
  await opened.manager.shutdown()
  const names = disk.listDirectory('/data/topic-0').filter((name) => name.endsWith(SNAPSHOT_SUFFIX))
  expect(names).not.toEqual([])
  for (const name of names) disk.removeFile(`/data/topic-0/${name}`)
}

/** Transactions and last offsets that are known. */
function known(log: Log): unknown {
  const opened = log.openTransactions().map(({ producerId, firstOffset }) => `${producerId} from ${firstOffset}`)
  const last = Array.from(log.producers(), ({ producerId, lastDataOffset }) => `${producerId} at ${lastDataOffset}`)
  return { opened, last: last.filter((text) => !text.endsWith('-1')).sort() }
}

/** The same of batches as the tests know them. */
function knownOf(batches: readonly ModelBatch[]): unknown {
  const { open, last } = replayBatches(batches)
  return {
    opened: Array.from(open, ([producerId, firstOffset]) => `${producerId} from ${firstOffset}`),
    last: Array.from(last, ([producerId, { lastOffset }]) => `${producerId} at ${lastOffset}`).sort(),
  }
}

/** A batch, and a byte and bits of it. The first six are those of data, the last ones of the end markers at 1 and 4. */
const ROTS: readonly [what: string, batch: number, byte: number, mask: number][] = [
  ['a first batch gets another producer', 0, 50, 0x10],
  ['a first batch gets no producer', 2, 43, 0x80],
  ['a batch of an open transaction gets another producer', 5, 50, 0x10],
  ['a batch of an open transaction gets a later epoch', 5, 52, 0x04],
  ['a plain batch becomes one of a transaction', 6, 22, 0x10],
  ['a plain batch gets another producer', 6, 50, 0x10],
  ['a plain batch gets another sequence', 6, 56, 0x20],
  ['a batch of a transaction becomes a plain one', 2, 22, 0x10],
  ['a batch of a transaction becomes a control batch', 3, 22, 0x20],
  ['a batch claims more records', 2, 26, 0x10],
  ['a batch claims a later offset', 2, 7, 0x08],
  ['a batch claims an earlier offset', 2, 7, 0x03],
  ['a batch claims another length', 2, 11, 0x01],
  ['a batch claims to reach behind the end', 2, 8, 0x40],
  ['a commit is that of another producer', 1, 50, 0x10],
  ['an abort ends the transaction of another producer', 4, 50, 0x01],
  ['an abort is of no producer', 4, 43, 0x80],
  ['an abort becomes data', 4, 22, 0x20],
  ['an abort becomes a commit', 4, 69, 0x01],
]

test.each(ROTS)('what a damaged batch says is not believed, and told: %s', async (_, batch, byte, mask) => {
  const written = await begin()
  await transactions(written)
  await stop(written)
  const victim = written.places[batch]!
  written.disk.corrupt(victim.path, victim.position + byte, mask)
  const again = await open(written.disk, CONFIG)
  const log = logOf(again)
  expect(again.damaged).toEqual([])
  expect(known(log)).toEqual(knownOf(written.places.filter((place) => place !== victim)))
  const range = { startOffset: victim.baseOffset, endOffset: victim.lastOffset + 1 }
  expect([again.damaged, log.faultyRanges]).toEqual([[log], [range]])
  const out = new ReadResult()
  expect([await log.read(victim.baseOffset, 1, log.logEndOffset, true, out), out.errorCode]).toEqual([
    false,
    KAFKA_STORAGE_ERROR,
  ])
  // What a search of the whole segment finds is the same damage.
  await log.segments.first.soundness.searchDamage()
  expect([again.damaged, log.faultyRanges]).toEqual([[log], [range]])
  await again.manager.shutdown()
})

test('without damage nothing is told, and all is known', async () => {
  const written = await begin()
  await transactions(written)
  await stop(written)
  const again = await open(written.disk, CONFIG)
  expect(known(logOf(again))).toEqual(knownOf(written.places))
  expect([again.damaged, again.errors, logOf(again).faultyRanges]).toEqual([[], [], []])
  await again.manager.shutdown()
})

test('committed records are not held back by a transaction of a producer id that rotted', async () => {
  const written = await begin()
  await data(written, 7, 0)
  await end(written, 7, ControlRecordType.ABORT)
  await data(written, 8, 0)
  await end(written, 8, ControlRecordType.COMMIT)
  await stop(written)
  const [first] = written.places
  written.disk.corrupt(first!.path, first!.position + 50, 0x10)
  const again = await open(written.disk, CONFIG)
  const log = logOf(again)
  log.setHighWatermark(log.logEndOffset)
  expect(log.lastStableOffset).toBe(log.logEndOffset)
  await again.manager.shutdown()
})

test('an epoch that rotted does not shut its producer out', async () => {
  const written = await begin()
  await transactions(written)
  await stop(written)
  const victim = written.places[5]!
  written.disk.corrupt(victim.path, victim.position + 52, 0x04)
  const again = await open(written.disk, CONFIG)
  const marker = { type: ControlRecordType.ABORT, coordinatorEpoch: 0, producerId: 9, producerEpoch: 0, timestamp: 1 }
  const batch = buildEndTxnMarker(marker)
  const code = logOf(again).append(batch, 0, batch.length, 'coordinator', 1, result)
  expect(code).not.toBe(INVALID_PRODUCER_EPOCH)
  expect([code, logOf(again).openTransactions()]).toEqual([0, []])
  await again.manager.shutdown()
})

/** A segment with an ended transaction, rolled and checkpointed: `point` is where a start's walk begins. */
async function beginRolled() {
  const written = await begin()
  await data(written, 7, 0)
  await end(written, 7, ControlRecordType.COMMIT)
  const { log, opened } = written
  log.roll(log.logEndOffset)
  await settle(opened, log)
  return { written, point: log.recoveryPoint }
}

test('damage that a walk has found is not believed either, where the state is built anew from before it', async () => {
  const { written, point } = await beginRolled()
  const { opened } = written
  expect(point).toBe(3)
  await transactions(written)
  opened.timers.advance(2000)
  await turns()
  const victim = written.places[4]!
  const killed = written.disk.killed()
  killed.corrupt(victim.path, victim.position + 50, 0x10)
  // The high watermark was never noted: below the snapshot of the recovery point it is not known who ended a transaction since.
  const again = await open(killed, CONFIG)
  const found = logOf(again)
  expect([found.highWatermark, found.producerStates.isLoaded]).toEqual([0, false])
  const range = { startOffset: victim.baseOffset, endOffset: victim.lastOffset + 1 }
  expect(found.faultyRanges).toEqual([range])
  expect(known(found)).toEqual(knownOf(written.places.filter((place) => place !== victim)))
  expect(found.faultyRanges).toEqual([range])
  await again.manager.shutdown()
})

test.each([
  ['another producer', 50, 0x10],
  ['a later offset', 23, 0x40],
])('nor where a segment ends in it, which says %s', async (_, byte, mask) => {
  const { written, point } = await beginRolled()
  const { log, opened } = written
  await transactions(written)
  const victim = written.places.at(-1)!
  // No checkpoint ends: the start walks it.
  written.disk.settle = (operation, path) =>
    operation === 'sync' && /(index|snapshot)$/.test(path) ? new Promise(() => undefined) : Promise.resolve()
  log.roll(log.logEndOffset)
  await data(written, 9, 4)
  opened.timers.advance(2000)
  await turns()
  const killed = written.disk.killed()
  killed.corrupt(victim.path, victim.position + byte, mask)
  const again = await open(killed, CONFIG)
  const found = logOf(again)
  expect([found.recoveryPoint, found.producerStates.isLoaded]).toEqual([point, false])
  const range = { startOffset: victim.baseOffset, endOffset: victim.lastOffset + 1 }
  expect(found.faultyRanges).toEqual([range])
  expect(known(found)).toEqual(knownOf(written.places.filter((place) => place !== victim)))
  expect(found.faultyRanges).toEqual([range])
  await again.manager.shutdown()
})

test('what this process wrote is not looked at again after a truncation', async () => {
  const written = await begin()
  await transactions(written)
  const { log, opened, disk, places } = written
  disk.corrupt(places[3]!.path, places[3]!.position + 100, 0x01)
  log.truncateTo(places[6]!.baseOffset)
  expect(known(log)).toEqual(knownOf(places.slice(0, 6)))
  expect(opened.damaged).toEqual([])
  await opened.manager.shutdown()
})

test('an index that leads astray is no damage of the log', async () => {
  const written = await begin()
  const { log, opened, disk } = written
  for (let sequence = 0; sequence < 20; sequence += 2) await data(written, 7, sequence, false)
  await settle(opened, log)
  const point = log.logEndOffset
  for (let sequence = 20; sequence < 40; sequence += 2) await data(written, 7, sequence, false)
  await opened.manager.shutdown()
  // Only the snapshot in the middle is left: the index is asked for the way there.
  disk.removeFile(`/data/topic-0/${offsetFileName(log.logEndOffset, SNAPSHOT_SUFFIX)}`)
  expect(disk.listDirectory('/data/topic-0')).toContain(offsetFileName(point, SNAPSHOT_SUFFIX))
  const again = await open(disk, CONFIG)
  const { offsets } = logOf(again).segments.first.indexes
  offsets.file.loadNow()
  const position = offsets.positionFor(point)
  const slot = Array.from({ length: offsets.file.count }, (_, number) => number).find(
    (number) => offsets.file.heldBytes.readInt32BE(number * 8 + 4) === position,
  )!
  offsets.file.heldBytes.writeInt32BE(position + 1, slot * 8 + 4)
  expect(known(logOf(again))).toEqual(knownOf(written.places))
  expect([again.damaged, logOf(again).faultyRanges]).toEqual([[], []])
  await again.manager.shutdown()
})
