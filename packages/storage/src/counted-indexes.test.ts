import { RandomChoices, SeededRandom, SimulatedDisk } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log } from './index.ts'
import { fill, type Opened, open, overwriteFile, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * Transaction indexes that the durable mark's fingerprint counts, and that a start builds anew all the same, since it walks the log from
 * a point below the mark's: until they have been synced, a crash may leave what it made of them, and no later start may rely on that.
 */

const WALKED = 'files are not as they were, walking the log'
const DIRECTORY = '/data/topic-0'

function logOf({ manager }: Opened): Log {
  return manager.log('topic', 0)!
}

/** Waits for checkpoint and durable mark to be in their files. */
async function settle({ timers }: Opened, log: Log): Promise<void> {
  await log.checkpointer.complete()
  timers.advance(2000)
  await turns()
}

/** Appends one record of a transaction. */
function begin(log: Log, producerId: number): void {
  const data = batchOf(['in doubt'], { producerId, producerEpoch: 0, baseSequence: 0, transactional: true })
  expect(log.append(data, 0, data.length, 'client', 1, new AppendResult())).toBe(0)
}

function abort(log: Log, producerId: number): void {
  const type = ControlRecordType.ABORT
  const marker = buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 0, timestamp: 1 })
  expect(log.append(marker, 0, marker.length, 'coordinator', 1, new AppendResult())).toBe(0)
}

/** Several segments, an aborted transaction in the second one, and one of another producer that is open from the first on. */
async function withAborted(disk: SimulatedDisk): Promise<{ opened: Opened; log: Log; index: string }> {
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 5)
  begin(log, 8)
  await fill(opened, log, 15)
  begin(log, 7)
  abort(log, 7)
  await fill(opened, log, 40)
  await settle(opened, log)
  expect(log.recoveryPoint).toBe(40)
  expect(log.segments.at(1).baseOffset).toBeLessThan(15)
  expect(log.segments.at(2).baseOffset).toBeGreaterThan(16)
  return { opened, log, index: log.segments.at(1).logPath.replace(/log$/, 'txnindex') }
}

test('an index that was lost while the process was stopped is derived again by every start until it has been synced', async () => {
  const disk = new SimulatedDisk()
  const { opened, log, index } = await withAborted(disk)
  const aborted = log.abortedTransactions(0, 40)
  expect(aborted).toHaveLength(1)
  await opened.manager.shutdown()
  disk.removeFile(index)
  let stopped = disk
  for (let start = 0; start < 3; start++) {
    const again = await open(stopped)
    expect(again.warnings.includes(WALKED)).toBe(start === 0)
    expect(logOf(again).abortedTransactions(0, 40)).toEqual(aborted)
    stopped = stopped.killed()
  }
})

test('an index that a start builds anew, and with it other contents, is no damage after a crash at any moment of that', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 1024 })
  const { opened, log, index } = await withAborted(disk)
  log.setHighWatermark(40)
  log.raiseLogStart(log.segments.at(1).baseOffset)
  expect(await log.applyRetention(0)).toBe(1)
  await settle(opened, log)
  const aborted = log.abortedTransactions(0, 40)
  const killed = disk.killed().copy()
  const before = killed.readFile(index)
  // Of another log: all is walked, and of the transaction that was open before the first segment that is left nobody knows.
  overwriteFile(killed, `${DIRECTORY}/leader-epoch-checkpoint`, Buffer.from('0\n1\n9 0\n'))
  const moments: SimulatedDisk[] = []
  killed.onChange = () => moments.push(killed.fork())
  const again = await open(killed)
  await settle(again, logOf(again))
  expect(killed.readFile(index).equals(before)).toBe(false)
  expect(moments.length).toBeGreaterThan(20)
  const random = new SeededRandom(1)
  for (const moment of moments) {
    for (let outcome = 0; outcome < 4; outcome++) {
      const third = await open(moment.crashed(new RandomChoices(random)))
      expect(third.warnings).not.toContain(WALKED)
      expect(logOf(third).abortedTransactions(0, 40)).toEqual(aborted)
    }
  }
})

test('an index is derived again after a kill also where only the file of lost ranges was unreadable', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await withAborted(disk)
  log.setHighWatermark(40)
  log.raiseLogStart(log.segments.at(1).baseOffset)
  expect(await log.applyRetention(0)).toBe(1)
  const aborted = log.abortedTransactions(0, 40)
  await opened.manager.shutdown()
  overwriteFile(disk, `${DIRECTORY}/damaged-ranges`, Buffer.from('nonsense'))
  const again = await open(disk)
  expect(again.warnings).toContain('damaged ranges unreadable, walking the log')
  expect(logOf(again).abortedTransactions(0, 40)).toEqual(aborted)
  const third = await open(disk.killed())
  expect(logOf(third).abortedTransactions(0, 40)).toEqual(aborted)
})

test.each(['stopped', 'killed'])(
  'a fingerprint taken before a rebuilt index was in its file is not that of the log when it is %s',
  async (end) => {
    const disk = new SimulatedDisk()
    const { opened, index } = await withAborted(disk)
    await opened.manager.shutdown()
    disk.removeFile(index)
    const again = await open(disk)
    const found = logOf(again)
    expect(again.warnings).toContain(WALKED)
    expect(found.segments.at(1).indexes.transactions.file.isFlushed).toBe(false)
    // Takes the fingerprint of what stays, to lower the mark.
    found.truncateTo(35)
    expect(disk.stat(index)).toBe(null)
    await settle(again, found)
    expect(disk.stat(index)?.sizeBytes).toBe(34)
    const aborted = found.abortedTransactions(0, 35)
    expect(aborted).toHaveLength(1)
    if (end === 'stopped') await again.manager.shutdown()
    const third = await open(disk.killed())
    expect(third.manager.recoveredUncleanly).toBe(end === 'killed')
    expect(third.warnings).not.toContain(WALKED)
    expect([logOf(third).logEndOffset, logOf(third).recoveryPoint]).toEqual([35, 35])
    expect(logOf(third).abortedTransactions(0, 35)).toEqual(aborted)
  },
)
