import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealClock, RealDisk, RealRandom, RealTimers } from '@millrace/base'
import { BatchBuilder, BatchCursor, RecordReader } from '@millrace/protocol'
import { AppendResult, CleanEngineError, type Log, LogManager, ReadResult } from '@millrace/storage'
import { afterEach, describe, expect, test } from 'vitest'
import { startCleanThread, ThreadCleanEngine } from './thread-clean-engine.ts'

const CONFIG = {
  segmentBytes: 64 * 1024,
  segmentMs: 2 ** 40,
  segmentJitterMs: 0,
  segmentIndexBytes: 10 << 20,
  indexIntervalBytes: 4096,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: false,
  cleanupCompact: true,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  deleteRetentionMs: 86_400_000,
  flushMessages: -1,
  flushMs: -1,
  fileDeleteDelayMs: 0,
  writeCaching: false,
}

const KEYS = 100
const RECORDS = 3_000

let folder: string | null = null
afterEach(() => {
  if (folder !== null) rmSync(folder, { recursive: true })
  folder = null
})

describe('the thread for compaction', () => {
  test('compacts a log on a real disk, while records are appended', async () => {
    const manager = await open(() => new ThreadCleanEngine())
    const log = manager.createLog('t', 0, 'Zm9vYmFyYmF6cXV4MTIzNA' as never)
    append(manager, log, 0, RECORDS)
    await whenCheckpointed(log)
    const sizeBytes = log.sizeBytes
    // A consumer's, who takes its time.
    const held = new ReadResult()
    expect(await log.read(0, 1 << 20, log.logEndOffset, true, held)).toBe(true)
    const views = held.buffers
    const copy = Buffer.concat(views)
    const compacted = manager.compact()
    append(manager, log, RECORDS, RECORDS + 50)
    await compacted
    expect(Buffer.concat(views).equals(copy)).toBe(true)
    expect(manager.cleanerStatus).toMatchObject({ brokenCount: 0, uncleanableCount: 0 })
    expect(log.cleanedOffset).toBeGreaterThan(RECORDS / 2)
    expect(log.sizeBytes).toBeLessThan(sizeBytes / 2)
    const newest = await newestOf(log)
    for (let key = 0; key < KEYS; key++) expect(newest.get(`key ${key}`) ?? -1).toBeGreaterThanOrEqual(RECORDS - KEYS)
    await manager.shutdown()
  })

  test('that dies costs a clean, and the next one has another', async () => {
    let startedCount = 0
    const manager = await open(
      () =>
        new ThreadCleanEngine(async () => {
          const thread = await startCleanThread()
          if (startedCount++ === 0) setImmediate(() => void thread.terminate())
          return thread
        }),
    )
    const log = manager.createLog('t', 0, 'Zm9vYmFyYmF6cXV4MTIzNA' as never)
    append(manager, log, 0, RECORDS)
    await whenCheckpointed(log)
    await manager.compact()
    expect(manager.cleanerStatus).toMatchObject({ brokenCount: 1, cleanedCount: 0 })
    // As if it had been repaired: it need not wait for its turn.
    log.generation++
    await manager.compact()
    expect(manager.cleanerStatus).toMatchObject({ brokenCount: 1, cleanedCount: 1 })
    await manager.shutdown()
  })

  test('that was closed takes nothing any more', async () => {
    const engine = new ThreadCleanEngine()
    engine.close()
    const order = { sources: [], directory: '/', suffix: '.cleaned' }
    await expect(engine.rewrite(order)).rejects.toThrow(CleanEngineError)
  })
})

function open(createEngine: () => ThreadCleanEngine): Promise<LogManager> {
  folder = mkdtempSync(join(tmpdir(), 'millrace-compaction-'))
  return LogManager.open({
    disk: new RealDisk(),
    clock: new RealClock(),
    timers: new RealTimers(),
    random: new RealRandom(),
    directories: [folder],
    nodeId: 1,
    clusterId: 'cluster',
    producerIdExpirationMs: 86_400_000,
    retentionCheckIntervalMs: 300_000,
    checkpointIntervalMs: 60_000,
    defaultConfig: CONFIG,
    configOf: () => CONFIG,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    onDurable: () => undefined,
    onDamaged: () => undefined,
    onDirectoryFailed: (_, error) => {
      throw error
    },
    cleaner: {
      createEngine,
      settings: () => ({
        enabled: true,
        threadCount: 1,
        dedupeBufferBytes: 4 << 20,
        loadFactor: 0.9,
        ioBufferBytes: 512 << 10,
        maxBytesPerSecond: Number.MAX_VALUE,
        backoffMs: 2 ** 30,
      }),
    },
  })
}

function append(manager: LogManager, log: Log, from: number, to: number): void {
  const result = new AppendResult()
  const builder = new BatchBuilder()
  for (let count = from; count < to; count++) {
    builder.reset()
    builder.append(1_700_000_000_000 + count, `key ${count % KEYS}`, `${count}`.padEnd(200, '.'))
    const batch = builder.build()
    expect(log.append(batch, 0, batch.length, 'client', 1, result)).toBe(0)
  }
  manager.flushStaged()
  log.setHighWatermark(log.logEndOffset)
}

async function whenCheckpointed(log: Log): Promise<void> {
  await log.checkpointer.complete()
}

/** Number in the newest record of each key. */
async function newestOf(log: Log): Promise<Map<string, number>> {
  const newest = new Map<string, number>()
  const out = new ReadResult()
  const reader = new RecordReader()
  for (let offset = 0; offset < log.logEndOffset; ) {
    expect(await log.read(offset, 1 << 20, log.logEndOffset, true, out)).toBe(true)
    const bytes = Buffer.concat(out.buffers)
    const cursor = new BatchCursor(bytes)
    while (cursor.next()) {
      cursor.checkCrc()
      reader.open(bytes, cursor.position)
      while (reader.next()) newest.set(reader.key()!.toString(), Number.parseInt(reader.value()!.toString(), 10))
      offset = Number(bytes.readBigInt64BE(cursor.position)) + bytes.readInt32BE(cursor.position + 23) + 1
    }
  }
  return newest
}
