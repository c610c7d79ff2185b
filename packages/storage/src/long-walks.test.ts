import { SimulatedDisk } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { ReadResult } from './index.ts'
import { append, logOf, open, SMALL, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/** Reads where index entries are missing: what lies between two entries can be far longer than the interval says. */

const sizes: Record<string, readonly number[]> = {
  'many small batches': Array.from({ length: 1500 }, () => 2000),
  'a large batch': [100, 3_000_000, 100],
  'large and small batches in turn': Array.from({ length: 60 }, (_, number) => (number % 2 === 0 ? 90_000 : 300)),
}

/** A log in one segment whose index has no entries, since `index.interval.bytes` was longer when it was written, and of which nothing is in memory. */
async function unindexedLog(valueSizes: readonly number[]) {
  const disk = new SimulatedDisk({ mapping: false })
  const before = await open(disk, { ...SMALL, segmentBytes: 1 << 23, indexIntervalBytes: 1 << 23 })
  const log = before.manager.createLog('topic', 0, TOPIC_ID)
  for (const size of valueSizes) {
    expect(append(log, ['.'.repeat(size)])).toBe(0)
    before.manager.flushStaged()
  }
  await turns()
  await before.manager.shutdown()
  return { disk, opened: await open(disk, { ...SMALL, segmentBytes: 1 << 23, indexIntervalBytes: 200 }) }
}

describe.each(Object.keys(sizes))('behind %s', (name) => {
  test('a read finds its batch without reading all of it again at each step', async () => {
    const { disk, opened } = await unindexedLog(sizes[name]!)
    const log = logOf(opened)
    log.setHighWatermark(log.logEndOffset)
    let readCount = 0
    disk.settle = (operation, path) => {
      if (operation === 'read' && path.endsWith('.log')) readCount++
      return Promise.resolve()
    }
    const out = new ReadResult()
    for (const offset of [log.logEndOffset - 1, Math.floor(log.logEndOffset / 2)]) {
      expect(await log.read(offset, 1, log.logEndOffset, true, out)).toBe(true)
      expect([out.errorCode, out.lastOffset]).toEqual([0, offset])
    }
    expect(readCount).toBeGreaterThan(2)
    expect(readCount).toBeLessThan(120)
    expect([opened.errors, opened.failures]).toEqual([[], []])
  })
})
