import { SimulatedDisk } from '@millrace/base'
import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import type { LogConfig } from './log-config.ts'
import { append, fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * Base offsets are not covered by the checksum of their batch. One that was damaged upwards must neither hide nor cut what was synced
 * behind it, nor move the end of the log.
 */

const COUNT = 40
const FIRST = '/data/topic-0/00000000000000000000.log'
const KAFKA_STORAGE_ERROR = 56
/** Larger than what the tests append. */
const ONE_SEGMENT = { ...SMALL, segmentBytes: 100_000 }
/** Where in a batch the two lowest bytes of its base offset are. */
const LOW_BYTE = 7
const SECOND_BYTE = 6

function logOf({ manager }: Opened): Log {
  return manager.log('topic', 0)!
}

/** Records that are all synced, with a mark that knows, and no checkpoint; where their batches stand. Ended by a kill. */
async function killedLog(
  config: Partial<LogConfig> = ONE_SEGMENT,
): Promise<{ disk: SimulatedDisk; positions: number[] }> {
  const disk = new SimulatedDisk()
  const opened = await open(disk, config)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, COUNT)
  opened.timers.advance(2000)
  await turns()
  const positions = Array.from({ length: COUNT }, (_, offset) => {
    const { segments } = log
    return segments.at(segments.slotFor(offset)).locate(offset).position
  })
  return { disk: disk.killed().copy(), positions }
}

/** Offsets whose read is refused; what else is read is what was written. */
async function refusedOffsets(log: Log): Promise<number[]> {
  const refused: number[] = []
  const out = new ReadResult()
  for (let offset = 0; offset < COUNT; offset++) {
    if (await log.read(offset, 1, COUNT, true, out)) {
      expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${offset}.`)
    } else {
      expect(out.errorCode).toBe(KAFKA_STORAGE_ERROR)
      refused.push(offset)
    }
  }
  return refused
}

describe('below the mark', () => {
  test.each([
    ['of the first batch', [[0, LOW_BYTE, 0x08]]],
    ['of one in the middle', [[20, LOW_BYTE, 0x08]]],
    ['of one in the middle, beyond the mark', [[20, SECOND_BYTE, 0x01]]],
    ['of the last batch', [[39, LOW_BYTE, 0x08]]],
    ['of the last batch, by far', [[39, 4, 0x01]]],
    [
      'of two batches',
      [
        [20, LOW_BYTE, 0x08],
        [25, LOW_BYTE, 0x04],
      ],
    ],
    [
      'of the last two batches, apart',
      [
        [37, LOW_BYTE, 0x40],
        [39, LOW_BYTE, 0x40],
      ],
    ],
  ])('a raised base offset %s costs that batch', async (_which, damages) => {
    const { disk, positions } = await killedLog()
    for (const [offset, byte, mask] of damages) disk.corrupt(FIRST, positions[offset!]! + byte!, mask!)
    const before = disk.peek(FIRST)
    const opened = await open(disk, ONE_SEGMENT)
    const log = logOf(opened)
    expect(opened.errors).toContain('corruption below the durable mark')
    expect(log.logEndOffset).toBe(COUNT)
    expect(await refusedOffsets(log)).toEqual(damages.map(([offset]) => offset))
    // Nothing of it is cut.
    expect(
      disk
        .peek(FIRST)
        .subarray(0, before.length)
        .equals(before.subarray(0, disk.peek(FIRST).length)),
    ).toBe(true)
    expect(disk.peek(FIRST).length).toBeGreaterThan(positions.at(-1)!)
    expect(append(log, ['goes on'])).toBe(0)
    opened.manager.flushStaged()
    await turns()
    expect(log.logEndOffset).toBe(COUNT + 1)
    await opened.manager.shutdown()
  })

  test.each([
    ['beyond its segment', SECOND_BYTE, 0x01],
    ['within its segment', LOW_BYTE, 0x01],
  ])('a changed base offset in a closed segment costs that batch, %s', async (_where, byte, mask) => {
    const { disk, positions } = await killedLog(SMALL)
    const bases = disk
      .listDirectory('/data/topic-0')
      .filter((name) => name.endsWith('.log'))
      .map((name) => Number.parseInt(name, 10))
    expect(bases.length).toBeGreaterThan(2)
    // All of it is walked.
    overwriteFile(disk, '/data/topic-0/leader-epoch-checkpoint', Buffer.from('nonsense'))
    const sizeBytes = disk.stat(FIRST)!.sizeBytes
    for (const offset of [2, bases[1]! - 1]) {
      const damaged = disk.copy()
      damaged.corrupt(FIRST, positions[offset]! + byte, mask)
      const opened = await open(damaged)
      expect(opened.errors).toContain('corruption below the durable mark')
      expect(await refusedOffsets(logOf(opened)), `of ${offset}`).toEqual([offset])
      expect(logOf(opened).logEndOffset).toBe(COUNT)
      expect(damaged.stat(FIRST)!.sizeBytes).toBe(sizeBytes)
      await opened.manager.shutdown()
    }
  })
})

test('a raised base offset above the mark ends the log before it, not where it points', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ONE_SEGMENT)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, COUNT)
  opened.timers.advance(2000)
  await turns()
  await fill(opened, log, COUNT + 5)
  const { position } = log.segments.active.locate(COUNT + 2)
  const killed = disk.killed().copy()
  killed.corrupt(FIRST, position + LOW_BYTE, 0x10)
  const again = await open(killed, ONE_SEGMENT)
  expect(logOf(again).logEndOffset).toBe(COUNT + 2)
  expect(again.warnings).toContain('torn tail cut')
  expect(await refusedOffsets(logOf(again))).toEqual([])
})

test('gaps that a compacted leader left are none to a start, below the mark and above', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, ONE_SEGMENT)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const bases = [0, 7, 8, 30, 31, 500, 501, 1000]
  const result = new AppendResult()
  for (const base of bases) {
    const batch = batchOf([`value ${base}.`])
    setBaseOffset(batch, 0, base)
    setPartitionLeaderEpoch(batch, 0, 1)
    expect(log.append(batch, 0, batch.length, 'replication', 1, result)).toBe(0)
    opened.manager.flushStaged()
    await turns()
    if (base === 30) opened.timers.advance(2000)
  }
  await turns()
  const again = await open(disk.killed().copy(), ONE_SEGMENT)
  expect([again.errors, again.warnings]).toEqual([[], []])
  expect(logOf(again).logEndOffset).toBe(1001)
  const out = new ReadResult()
  for (const base of bases) {
    expect(await logOf(again).read(base, 1, 2000, true, out)).toBe(true)
    expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${base}.`)
  }
})
