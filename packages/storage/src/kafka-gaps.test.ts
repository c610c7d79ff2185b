import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import { appendKeyed, compact, latestOf, openCompacted, readBatches } from './testing/compacted-log.ts'
import { logOf, type Opened, overwriteFile, settle, turns, WALKED } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/** What Kafka's compaction leaves: segments that end before the next one begins. */

const PADDING = '.'.repeat(60)
const DIRECTORY = '/data/topic-0'
const NOTE = `${DIRECTORY}/gaps-below`
const FIRST = `${DIRECTORY}/00000000000000000000`

async function fill(opened: Opened, log: Log, count: number): Promise<void> {
  log.setHighWatermark(log.logEndOffset)
  for (let number = 0; number < count; number++)
    appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }])
  await settle(opened, log)
}

/** A directory as Kafka leaves it: its first segment ends behind offset 2, and there is no mark. */
async function kafkas(config: object): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const opened = await openCompacted(disk, config)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  await opened.manager.shutdown()
  cutFirst(disk)
  disk.removeFile('/data/durable-mark')
  return disk.killed()
}

function cutFirst(disk: SimulatedDisk): void {
  const contents = disk.readFile(`${FIRST}.log`)
  const batchBytes = contents.readInt32BE(8) + 12
  overwriteFile(disk, `${FIRST}.log`, Buffer.from(contents.subarray(0, 3 * batchBytes)))
  for (const kind of ['index', 'timeindex'])
    if (disk.stat(`${FIRST}.${kind}`) !== null) disk.removeFile(`${FIRST}.${kind}`)
}

/** Another file was there before: the next start does not know the files, and walks the log. */
function confuse(disk: SimulatedDisk, log: Log): SimulatedDisk {
  const left = disk.fork()
  overwriteFile(left, log.segments.at(2).logPath.replace('.log', '.txnindex'), Buffer.alloc(34))
  return left
}

test.each(['compact', 'delete'])('is no loss to a later walk either, with the policy %s', async (policy) => {
  const config = policy === 'compact' ? {} : { cleanupCompact: false, cleanupDelete: true }
  const disk = await kafkas(config)
  const opened = await openCompacted(disk, config)
  const log = logOf(opened)
  expect([log.logEndOffset, log.faultyRanges]).toEqual([100, []])
  await fill(opened, log, 30)
  opened.timers.advance(60_000)
  await turns()
  const left = confuse(disk, log)
  const again = await openCompacted(left, config)
  expect(again.warnings).toContain(WALKED)
  const found = logOf(again)
  expect(found.faultyRanges).toEqual([])
  found.setHighWatermark(found.logEndOffset)
  const out = new ReadResult()
  expect(await found.read(3, 5000, found.logEndOffset, true, out)).toBe(true)
  expect(out.sizeBytes).toBeGreaterThan(0)
  if (policy === 'delete') return
  const expected = latestOf(await readBatches(found))
  await settle(again, found)
  await compact(again)
  expect(found.cleanedOffset).toBeGreaterThan(100)
  expect(latestOf(await readBatches(found))).toEqual(expected)
  // Filled: from now on each gap is a loss.
  expect(left.stat(NOTE)).toBeNull()
})

test('a segment that was cut behind what Kafka left is a loss', async () => {
  const disk = await kafkas({})
  const opened = await openCompacted(disk)
  const log = logOf(opened)
  await fill(opened, log, 100)
  const segment = log.segments.all.find(({ baseOffset }) => baseOffset > 100)!
  const left = confuse(disk, log)
  const contents = left.readFile(segment.logPath)
  overwriteFile(left, segment.logPath, Buffer.from(contents.subarray(0, contents.readInt32BE(8) + 12)))
  const again = await openCompacted(left)
  expect(logOf(again).faultyRanges).toHaveLength(1)
  expect(logOf(again).faultyRanges[0]!.startOffset).toBe(segment.baseOffset + 1)
})

test('what is appended behind a truncation may have no gap', async () => {
  const disk = await kafkas({})
  const opened = await openCompacted(disk)
  const log = logOf(opened)
  expect(disk.readFile(NOTE).toString()).toBe('0\n1\n100\n')
  log.truncateTo(50)
  expect(disk.readFile(NOTE).toString()).toBe('0\n1\n50\n')
  log.truncateFullyAndStartAt(0)
  expect(disk.stat(NOTE)).toBeNull()
  expect(opened.failures).toEqual([])
})

test('a log of our own needs no note', async () => {
  const disk = new SimulatedDisk()
  const opened = await openCompacted(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 100)
  const left = disk.fork()
  const again = await openCompacted(left)
  expect(logOf(again).logEndOffset).toBe(100)
  expect(left.stat(NOTE)).toBeNull()
  // One that cannot be read says nothing: no gap is taken for a loss then.
  const other = disk.fork()
  overwriteFile(other, NOTE, Buffer.from('nonsense'))
  cutFirst(other)
  const third = await openCompacted(other)
  expect(logOf(third).faultyRanges).toEqual([])
  expect(other.readFile(NOTE).toString()).toBe('0\n1\n100\n')
})
