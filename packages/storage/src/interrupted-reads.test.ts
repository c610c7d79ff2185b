import { SimulatedDisk } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import { fill, logOf, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

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
