import { SimulatedDisk } from '@millrace/base'
import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { append, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * After a clean stop nobody walks what was closed long ago. Damage of the headers that look-ups go by must not lead a reader past
 * records, to others, or to the same ones at other offsets.
 */

const KAFKA_STORAGE_ERROR = 56
const BATCHES = 16
const RECORDS = 3
const COUNT = BATCHES * RECORDS
/** Bytes of a batch and bits of them: of the base offset, which no checksum covers, of the length, and of what a checksum covers. */
const FIELDS: readonly [field: string, byte: number, mask: number][] = [
  ['base offset', 7, 0x01],
  ['base offset', 7, 0x02],
  ['base offset', 7, 0x08],
  ['base offset', 6, 0x01],
  ['base offset', 0, 0x80],
  ['length', 11, 0x01],
  ['length', 11, 0x80],
  ['length', 8, 0x80],
  ['last offset delta', 26, 0x01],
  ['last offset delta', 26, 0x02],
  ['last offset delta', 26, 0x20],
  ['last offset delta', 23, 0x80],
  ['checksum', 17, 0x01],
  ['record', 90, 0x10],
  ['record', 300, 0x01],
]

function logOf({ manager }: Opened): Log {
  return manager.log('topic', 0)!
}

/** A log of several segments, three records a batch, that was stopped cleanly; and where its batches stand. */
async function stoppedLog(mapping: boolean) {
  const disk = new SimulatedDisk({ mapping })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  for (let batch = 0; batch < BATCHES; batch++) {
    const values = Array.from({ length: RECORDS }, (_, record) => `value ${batch * RECORDS + record}.`.padEnd(100, '.'))
    expect(append(log, values)).toBe(0)
    opened.manager.flushStaged()
  }
  await turns()
  const places = Array.from({ length: BATCHES }, (_, batch) => {
    const segment = log.segments.at(log.segments.slotFor(batch * RECORDS))
    return { path: segment.logPath, position: segment.locate(batch * RECORDS).position }
  })
  expect(log.segments.count).toBeGreaterThan(2)
  await opened.manager.shutdown()
  return { disk, places }
}

/** Reads on from the start as a consumer does: offsets that were refused. What is served must be what was written there. */
async function refusedOf(log: Log, disk: SimulatedDisk, maxBytes: number): Promise<number[]> {
  const refused: number[] = []
  const out = new ReadResult()
  for (let offset = 0; offset < COUNT; ) {
    if (!(await log.read(offset, maxBytes, COUNT, true, out))) {
      expect(out.errorCode).toBe(KAFKA_STORAGE_ERROR)
      refused.push(offset++)
      continue
    }
    const text = Buffer.concat(out.buffers).toString('latin1')
    const found = Array.from(text.matchAll(/value (\d+)\./g), ([, number]) => Number(number))
    const first = offset - (offset % RECORDS)
    expect(found, `at ${offset}`).toEqual(Array.from({ length: out.lastOffset + 1 - first }, (_, slot) => first + slot))
    offset = out.lastOffset + 1
  }
  expect(disk.listDirectory('/data/topic-0').some((name) => name.endsWith('.stray'))).toBe(false)
  return refused
}

describe.each([true, false])('below the recovery point, with mappings: %s', (mapping) => {
  test.each(FIELDS)('a changed %s (byte %i, bit %i) costs its batch and no other', async (_field, byte, mask) => {
    const { disk, places } = await stoppedLog(mapping)
    // The last segment is left out: where it ends is what the log is told to end by.
    const closed = places.filter(({ path }) => path !== places.at(-1)!.path)
    for (const [batch, { path, position }] of closed.entries()) {
      for (const maxBytes of [1, 1 << 20]) {
        const damaged = disk.copy()
        damaged.corrupt(path, position + byte, mask)
        const opened = await open(damaged)
        const refused = await refusedOf(logOf(opened), damaged, maxBytes)
        const first = batch * RECORDS
        expect(refused, `batch ${batch}, ${maxBytes} bytes`).toEqual([first, first + 1, first + 2])
        expect(opened.errors).toContain('damaged batches found')
        await opened.manager.shutdown()
      }
    }
  })

  test('damage that a read meets is told, once', async () => {
    const { disk, places } = await stoppedLog(mapping)
    disk.corrupt(places[1]!.path, places[1]!.position + 90, 1)
    const opened = await open(disk)
    const log = logOf(opened)
    expect([opened.damaged, log.faultyRanges]).toEqual([[], []])
    const out = new ReadResult()
    expect(await log.read(0, 1, COUNT, true, out)).toBe(true)
    expect(opened.damaged).toEqual([])
    for (let round = 0; round < 2; round++) expect(await log.read(RECORDS, 1, COUNT, true, out)).toBe(false)
    expect(opened.damaged).toEqual([log])
    expect(log.faultyRanges).toEqual([{ startOffset: RECORDS, endOffset: 2 * RECORDS }])
    await opened.manager.shutdown()
  })

  test('what this process wrote is looked at when a follower comes for it again', async () => {
    const disk = new SimulatedDisk({ mapping })
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    for (let number = 0; number < 3; number++) append(log, [`value ${number}.`.padEnd(100, '.')])
    opened.manager.flushStaged()
    await turns()
    const out = new ReadResult()
    // As a disk does that gives back something else than what it was given, to one who reads it again.
    disk.corrupt(log.segments.active.logPath, log.segments.active.locate(1).position + 90, 1)
    log.distrust(1)
    expect(await log.read(1, 1, 3, true, out)).toBe(false)
    expect(out.errorCode).toBe(KAFKA_STORAGE_ERROR)
    expect(opened.damaged).toEqual([log])
    for (const sound of [0, 2]) expect(await log.read(sound, 1, 3, true, out)).toBe(true)
    append(log, ['goes on'])
    opened.manager.flushStaged()
    await turns()
    expect(await log.read(3, 1, 4, true, out)).toBe(true)
  })

  test('each offset is found by itself, whichever batch has a changed header', async () => {
    const { disk, places } = await stoppedLog(mapping)
    const closed = places.filter(({ path }) => path !== places.at(-1)!.path)
    const out = new ReadResult()
    for (const [batch, { path, position }] of closed.entries()) {
      for (const [, byte, mask] of FIELDS) {
        const damaged = disk.copy()
        damaged.corrupt(path, position + byte, mask)
        const opened = await open(damaged)
        for (let offset = COUNT - 1; offset >= 0; offset--) {
          const isRead = await logOf(opened).read(offset, 1, COUNT, true, out)
          const isDamaged = Math.floor(offset / RECORDS) === batch
          expect(isRead, `${offset} of ${batch}, byte ${byte}`).toBe(!isDamaged)
          if (isRead) expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${offset}.`)
        }
        await opened.manager.shutdown()
      }
    }
  })
})

test('gaps that compaction left are read across', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const bases = Array.from({ length: 30 }, (_, slot) => slot * 10 + (slot % 3))
  for (const base of bases) {
    const batch = batchOf([`value ${base}.`.padEnd(200, '.')])
    setBaseOffset(batch, 0, base)
    setPartitionLeaderEpoch(batch, 0, 1)
    expect(log.append(batch, 0, batch.length, 'replication', 1, new AppendResult())).toBe(0)
    opened.manager.flushStaged()
  }
  await turns()
  expect(log.segments.count).toBeGreaterThan(1)
  await opened.manager.shutdown()
  const again = await open(disk, SMALL)
  const out = new ReadResult()
  for (let offset = 0; offset < logOf(again).logEndOffset; offset++) {
    expect(await logOf(again).read(offset, 1, 1000, true, out)).toBe(true)
    const base = bases.find((candidate) => candidate >= offset)
    expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${base}.`)
  }
  expect([again.errors, again.warnings]).toEqual([[], []])
})
