import { SimulatedDisk } from '@millrace/base'
import { BatchBuilder, CodecId, sealBatch } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from '../index.ts'
import { appendKeyed, batchesIn, compact, openCompacted } from '../testing/compacted-log.ts'
import { type Opened, settle } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

const PADDING = '.'.repeat(60)

/** As a client may send it to a topic that is not compacted: the checksum is right, and the records are no gzip. */
function unreadable(): Buffer {
  const builder = new BatchBuilder({ codec: CodecId.GZIP })
  builder.append(1000, 'deleted', 'x'.repeat(100))
  const batch = Buffer.from(builder.build())
  batch.fill(0xaa, 61)
  sealBatch(batch, 0)
  return batch
}

async function fill(opened: Opened, log: Log): Promise<void> {
  for (let number = 0; number < 100; number++) appendKeyed(opened, log, [{ key: `key ${number % 5}`, value: PADDING }])
  await settle(opened, log)
}

/** Keys of all records that can be read, from behind the first batch on. */
async function keysOf(log: Log): Promise<(string | null)[]> {
  const out = new ReadResult()
  const keys: (string | null)[] = []
  for (let offset = 1; offset < log.logEndOffset; ) {
    expect(await log.read(offset, 1, log.logEndOffset, true, out)).toBe(true)
    const [batch] = batchesIn(Buffer.concat(out.buffers))
    for (const { key } of batch!.records) keys.push(key)
    offset = batch!.lastOffset + 1
  }
  return keys
}

test('a batch that cannot be read stays as it is, with the tombstones behind it, and all else is compacted', async () => {
  const opened = await openCompacted(new SimulatedDisk(), { cleanupCompact: false })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const batch = unreadable()
  expect(log.append(batch, 0, batch.length, 'client', 1, new AppendResult())).toBe(0)
  appendKeyed(opened, log, [{ key: 'deleted', value: null }])
  await fill(opened, log)
  log.updateConfig({ ...log.config, cleanupCompact: true })
  const sizeBytes = log.sizeBytes
  for (let round = 0; round < 4; round++) {
    await compact(opened)
    opened.timers.advance(20_000)
    await fill(opened, log)
  }
  const { cleanedCount } = opened.manager.cleanerStatus!
  expect(log.cleanedOffset).toBeGreaterThan(300)
  // Of five times as much.
  expect(log.sizeBytes).toBeLessThan(2 * sizeBytes)
  expect(opened.manager.cleanerStatus!.uncleanableCount).toBe(0)
  expect((await keysOf(log)).filter((key) => key === 'deleted')).toHaveLength(1)
  const out = new ReadResult()
  expect(await log.read(0, 1, log.logEndOffset, true, out)).toBe(true)
  expect(Buffer.concat(out.buffers).subarray(61, batch.length)).toEqual(batch.subarray(61))
  expect(opened.errors).toEqual([])
  expect(opened.warnings).toEqual(['a batch that cannot be read stays as it is, with the tombstones behind it'])
  // Tombstones that may not go are no reason to compact the log again and again.
  await compact(opened)
  const { cleanedCount: then } = opened.manager.cleanerStatus!
  opened.timers.advance(20_000)
  await compact(opened)
  expect(opened.manager.cleanerStatus!.cleanedCount).toBe(then)
  expect(then - cleanedCount).toBe(1)
})
