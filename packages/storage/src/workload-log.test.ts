import { SimulatedDisk } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult } from './index.ts'
import { logOf, open, SMALL, settle, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'
import { WorkloadLog } from './testing/workload-log.ts'

/** What a workload appends next must be what a log takes, by Kafka's rules: else it calls a refusal a fault that is none. */

const PRODUCER_ID = 10
const EPOCH = 1

interface Restarted {
  entry: WorkloadLog
  log: ReturnType<typeof logOf>
}

/**
 * The producer's records lie below the start of the log, of which a kill leaves no trace. Told of the end of their transaction, and of
 * nothing else, is the log that was cut off behind them meanwhile.
 */
async function restartedBelow(isCut: boolean): Promise<Restarted> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const entry = new WorkloadLog(0)
  entry.onCreated(opened.manager.createLog('topic', 0, TOPIC_ID))
  const append = (values: readonly string[], producerId: number, transactional: boolean): void =>
    expect(entry.append(values, EPOCH, opened.clock.wallMs(), producerId, transactional)).toBe(ErrorCode.NONE)
  append(['a', 'b', 'c'], PRODUCER_ID, true)
  append(['d', 'e'], -1, false)
  append(['f', 'g', 'h', 'i'], -1, false)
  opened.manager.flushStaged()
  await turns()
  // Nothing is deleted yet; the high watermark goes to its file, so that the snapshot below counts.
  entry.deleteRecords(0, opened.clock.wallMs())
  opened.timers.advance(60_000)
  await turns()
  entry.deleteRecords(4, opened.clock.wallMs())
  if (isCut) entry.truncateTo(5)
  expect(entry.endTransaction(PRODUCER_ID, true, EPOCH, opened.clock.wallMs())).toBe(ErrorCode.NONE)
  // A segment more: with it goes a snapshot of what the log knows.
  for (const letter of 'xy') append([letter.repeat(SMALL.segmentBytes! * 0.6)], -1, false)
  opened.manager.flushStaged()
  await settle(opened, entry.log!)
  const restarted = await open(disk.killed())
  const log = logOf(restarted)
  entry.onReopened(log)
  expect(log.logStartOffset).toBe(0)
  return { entry, log }
}

test('a producer begins anew whose records were deleted when the log was told that its transaction ended, though they are back', async () => {
  const { entry, log } = await restartedBelow(true)
  const known = Array.from(log.producers()).find(({ producerId }) => producerId === PRODUCER_ID)
  expect(known?.lastDataOffset).toBe(-1)
  // Where they had ended is not what the log goes by.
  const batch = batchOf(['x'], { producerId: PRODUCER_ID, producerEpoch: 0, baseSequence: 3, transactional: true })
  const refused = log.append(batch, 0, batch.length, 'client', EPOCH, new AppendResult())
  expect(refused).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect(entry.append(['x'], EPOCH, 0, PRODUCER_ID, true)).toBe(ErrorCode.NONE)
})

test('a producer goes on where it was whose deleted records the log knows', async () => {
  const { entry, log } = await restartedBelow(false)
  const batch = batchOf(['x'], { producerId: PRODUCER_ID, producerEpoch: 0, baseSequence: 0, transactional: true })
  const refused = log.append(batch, 0, batch.length, 'client', EPOCH, new AppendResult())
  expect(refused).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  expect(entry.append(['x'], EPOCH, 0, PRODUCER_ID, true)).toBe(ErrorCode.NONE)
})
