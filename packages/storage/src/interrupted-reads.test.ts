import { SimulatedDisk } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { append, fill, logOf, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/** Reads that take several steps of the disk, between which the log changes: what was open is closed, and is another file or none. */

interface Held {
  readonly disk: SimulatedDisk
  readonly opened: Opened
  readonly log: Log
  /** Lets the disk read on, from now on at once. */
  release(): void
}

/** A log of three segments of large batches that nothing is in memory of; its segments' files are read when {@link Held.release} lets them. */
async function heldLog(): Promise<Held> {
  const disk = new SimulatedDisk({ mapping: false })
  const config = { ...SMALL, segmentBytes: 1 << 20 }
  const before = await open(disk, config)
  await fill(before, before.manager.createLog('topic', 0, TOPIC_ID), 10, 300_000)
  await before.manager.shutdown()
  const opened = await open(disk, config)
  const log = logOf(opened)
  expect(log.segments.count).toBeGreaterThanOrEqual(3)
  log.setHighWatermark(log.logEndOffset)
  const waiting: (() => void)[] = []
  disk.settle = (operation, path) =>
    operation === 'read' && path.endsWith('.log') ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  const release = (): void => {
    expect(waiting).toHaveLength(1)
    disk.settle = () => Promise.resolve()
    for (const wake of waiting) wake()
  }
  return { disk, opened, log, release }
}

const changes: Record<string, (held: Held) => unknown> = {
  deleted: ({ opened, log }) => opened.manager.deleteLog(log),
  truncated: ({ log }) => log.truncateTo(0),
  emptied: ({ log }) => log.truncateFullyAndStartAt(7),
  'cut off at its start': async ({ log, opened }) => {
    log.raiseLogStart(log.segments.at(2).baseOffset)
    const done = log.applyRetention(0)
    await turns()
    opened.timers.advance(1000)
    await done
  },
}

const ends: Record<string, [isRead: boolean, errorCode: number]> = {
  deleted: [false, ErrorCode.KAFKA_STORAGE_ERROR],
  truncated: [true, ErrorCode.NONE],
  emptied: [true, ErrorCode.NONE],
  'cut off at its start': [false, ErrorCode.OFFSET_OUT_OF_RANGE],
}

describe.each(Object.keys(changes))('while its log is %s', (name) => {
  test('a read in several steps ends without an error of the disk', async () => {
    const held = await heldLog()
    const out = new ReadResult()
    const read = held.log.read(0, 100, held.log.logEndOffset, true, out)
    await turns()
    const change = changes[name]!(held)
    await turns()
    held.release()
    await change
    expect([await read, out.errorCode]).toEqual(ends[name])
    expect(out.sizeBytes).toBe(0)
    expect(held.opened.errors).toEqual([])
    expect(held.opened.failures).toEqual([])
  })

  test('a search by time ends with what there is', async () => {
    const held = await heldLog()
    const found = held.log.offsetForTimestamp(1, held.log.logEndOffset).then(
      (result) => result?.offset ?? null,
      (error: Error) => error.name,
    )
    await turns()
    const change = changes[name]!(held)
    await turns()
    held.release()
    await change
    const remaining =
      name === 'cut off at its start' ? held.log.logStartOffset : name === 'deleted' ? 'DiskError' : null
    expect(await found).toBe(remaining)
    expect(held.opened.failures).toEqual([])
  })
})

/** Bytes that were read from now on arrive when what this returns is called, whatever the file holds by then. */
function holdBytes(disk: SimulatedDisk): () => void {
  const waiting: (() => void)[] = []
  let isHolding = true
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    const file = openFile(path, options)
    if (!path.endsWith('.log')) return file
    const readAsync = file.readAsync.bind(file)
    file.readAsync = async (...range) => {
      const count = await readAsync(...range)
      if (isHolding) await new Promise<void>((resolve) => waiting.push(resolve))
      return count
    }
    return file
  }
  return () => {
    expect(waiting).toHaveLength(1)
    isHolding = false
    for (const wake of waiting) wake()
  }
}

test('what was read before a truncation says nothing of what is appended in its place', async () => {
  const disk = new SimulatedDisk({ mapping: false })
  const config = { ...SMALL, segmentBytes: 1 << 20 }
  const before = await open(disk, config)
  await fill(before, before.manager.createLog('topic', 0, TOPIC_ID), 40)
  await before.manager.shutdown()
  const release = holdBytes(disk)
  const opened = await open(disk, config)
  const log = logOf(opened)
  log.setHighWatermark(40)
  const out = new ReadResult()
  const read = log.read(10, 1000, 40, true, out)
  await turns()
  log.truncateTo(8)
  while (log.logEndOffset < 40) {
    append(log, [`new ${log.logEndOffset}`.padEnd(450, '-')], 2)
    opened.manager.flushStaged()
  }
  await turns()
  release()
  expect([await read, out.errorCode, out.sizeBytes]).toEqual([true, 0, 0])
  log.setHighWatermark(40)
  for (let offset = 8; offset < 40; offset++) {
    await log.read(offset, 1, 40, true, out)
    expect([offset, out.errorCode, out.lastOffset]).toEqual([offset, 0, offset])
    expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`new ${offset}-`)
  }
  expect([opened.errors, opened.failures]).toEqual([[], []])
})

test('records deleted while a read of them waits are given: they were there when it was asked', async () => {
  const { log, release } = await heldLog()
  const out = new ReadResult()
  const read = log.read(0, 100, log.logEndOffset, true, out)
  await turns()
  log.raiseLogStart(2)
  release()
  expect([await read, out.errorCode, out.lastOffset]).toEqual([true, ErrorCode.NONE, 0])
})

describe.each([0, 1, 2, 3, 4])('a search by time that waits at its step %i while its log is truncated', (step) => {
  test.each([3, 40])('finds what is there, when the log goes on up to %i', async (endOffset) => {
    const disk = new SimulatedDisk({ mapping: false })
    const config = { ...SMALL, segmentBytes: 1 << 23 }
    const before = await open(disk, config)
    const filled = before.manager.createLog('topic', 0, TOPIC_ID)
    const put = ({ manager }: Opened, log: Log, sizeBytes: number, epoch: number): void => {
      const batch = batchOf(['x'.repeat(sizeBytes)], { timestamp: 1000 + log.logEndOffset })
      expect(log.append(batch, 0, batch.length, 'client', epoch, new AppendResult())).toBe(0)
      manager.flushStaged()
    }
    while (filled.logEndOffset < 10) put(before, filled, 100_000, 1)
    await turns()
    await before.manager.shutdown()
    const opened = await open(disk, config)
    const log = logOf(opened)
    let readCount = 0
    const waiting: (() => void)[] = []
    disk.settle = (operation, path) =>
      operation === 'read' && path.endsWith('.log') && readCount++ === step
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve()
    const found = log.offsetForTimestamp(1005, log.logEndOffset)
    await turns()
    log.truncateTo(2)
    while (log.logEndOffset < endOffset) put(opened, log, 33_333, 2)
    for (const wake of waiting) wake()
    // As far as it was asked to look.
    const offset = (await found)?.offset ?? null
    const isAhead = waiting.length === 0
    expect(offset).toBe(endOffset > 5 || isAhead ? 5 : null)
    expect([opened.errors, opened.failures]).toEqual([[], []])
  })
})
