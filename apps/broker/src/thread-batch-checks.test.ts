import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { BatchBuilder, CodecId, ErrorCode, inspectRecords, type ProduceRules } from '@millrace/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { startBatchThread, ThreadBatchChecks } from './thread-batch-checks.ts'

const NOW_MS = 1_700_000_000_000

const rules: ProduceRules = {
  apiVersion: 12,
  nowMs: NOW_MS,
  maxMessageBytes: 1_048_588,
  compactedTopic: false,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: 2 ** 53,
  timestampAfterMaxMs: 3_600_000,
  targetCodec: CodecId.ZSTD,
  level: null,
  deep: false,
  maxRecordErrorCount: 10,
}

/** In memory of its own, which moves to the thread. */
function batchOf(codec: CodecId, recordCount: number, value: Buffer): Buffer {
  const builder = new BatchBuilder({ codec })
  for (let record = 0; record < recordCount; record++) builder.append(NOW_MS, `k${record}`, value)
  const batch = builder.build()
  const own = Buffer.allocUnsafeSlow(batch.length)
  batch.copy(own)
  return own
}

const open: ThreadBatchChecks[] = []
afterEach(() => {
  for (const checks of open.splice(0)) checks.close()
})

function start(startThread = startBatchThread): ThreadBatchChecks {
  const checks = new ThreadBatchChecks(startThread)
  open.push(checks)
  return checks
}

describe('the thread for batches', () => {
  test('gives a batch back in the codec of its topic, and its own memory', async () => {
    const batch = batchOf(CodecId.GZIP, 50, Buffer.alloc(10_000, 'v'))
    const validation = await start().check(batch, rules)
    expect([validation.errorCode, validation.rebuilt, validation.recordCount]).toEqual([ErrorCode.NONE, true, 50])
    const { failure, recordCount } = inspectRecords(validation.batch, validation.start, validation.end)
    expect([failure, recordCount]).toEqual([null, 50])
  })

  test('refuses what must not be expanded, and goes on', async () => {
    const checks = start()
    const [bomb, good] = await Promise.all([
      checks.check(batchOf(CodecId.GZIP, 4, Buffer.alloc(20_000_000)), rules),
      checks.check(batchOf(CodecId.LZ4, 1, Buffer.from('v')), rules),
    ])
    expect([bomb.errorCode, good.errorCode]).toEqual([ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.NONE])
  })

  test('that is closed fails what waits', async () => {
    const checks = start()
    await checks.check(batchOf(CodecId.LZ4, 1, Buffer.from('v')), rules)
    const waiting = checks.check(batchOf(CodecId.GZIP, 4, Buffer.alloc(20_000_000)), rules)
    const failed = expect(waiting).rejects.toThrow()
    checks.close()
    await failed
    await expect(checks.check(batchOf(CodecId.LZ4, 1, Buffer.from('v')), rules)).rejects.toThrow()
  })

  test('survives a check that breaks off, and so do the other batches', async () => {
    let startedCount = 0
    const checks = start(() => {
      startedCount++
      return startBatchThread()
    })
    const small = () => batchOf(CodecId.LZ4, 1, Buffer.from('v'))
    // No codec has this number.
    const broken = checks.check(small(), { ...rules, targetCodec: 99 as CodecId })
    const failed = expect(broken).rejects.toThrow()
    const other = checks.check(small(), rules)
    await failed
    expect((await other).errorCode).toBe(ErrorCode.NONE)
    expect((await checks.check(small(), rules)).errorCode).toBe(ErrorCode.NONE)
    expect(startedCount).toBe(1)
  })

  test('that dies fails what waits for it, and not what waits for its successor, which is closed in the end', async () => {
    const threads: Worker[] = []
    const checks = start(async () => {
      const thread = await startBatchThread()
      threads.push(thread)
      return thread
    })
    const small = () => batchOf(CodecId.LZ4, 1, Buffer.from('v'))
    await checks.check(small(), rules)
    const failed = expect(checks.check(small(), rules)).rejects.toThrow('out of memory')
    const [first] = threads
    first!.emit('error', new Error('out of memory'))
    await failed
    const next = checks.check(small(), rules)
    const ended = once(first!, 'exit')
    await first!.terminate()
    await ended
    expect((await next).errorCode).toBe(ErrorCode.NONE)
    expect((await checks.check(small(), rules)).errorCode).toBe(ErrorCode.NONE)
    expect(threads).toHaveLength(2)
    const closed = once(threads[1]!, 'exit')
    checks.close()
    await closed
  })

  test('that cannot be started fails who asks; the next one tries again', async () => {
    const starts = [() => Promise.reject(new Error('no more threads')), startBatchThread]
    const checks = start(() => starts.shift()!())
    const small = () => batchOf(CodecId.LZ4, 1, Buffer.from('v'))
    await expect(checks.check(small(), rules)).rejects.toThrow('no more threads')
    expect((await checks.check(small(), rules)).errorCode).toBe(ErrorCode.NONE)
  })

  test('that is closed while it starts ends', async () => {
    const started = Promise.withResolvers<Worker>()
    const checks = start(() => started.promise)
    const waiting = checks.check(batchOf(CodecId.LZ4, 1, Buffer.from('v')), rules)
    const failed = expect(waiting).rejects.toThrow('stopping')
    checks.close()
    const thread = await startBatchThread()
    const ended = once(thread, 'exit')
    started.resolve(thread)
    await failed
    await ended
  })
})
