import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import type { Log } from '../index.ts'
import { appendKeyed, compact, latestOf, openCompacted, readBatches } from '../testing/compacted-log.ts'
import { logOf, type Opened, overwriteFile, settle, turns, WALKED } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

/** Files that compaction takes out of use, or does not come to use. */

const PADDING = '.'.repeat(60)
const DIRECTORY = '/data/topic-0'
/** Room for so few keys that a log is compacted in several goes. */
const FEW_KEYS = { dedupeBufferBytes: 24 * 8 }

async function create(disk: SimulatedDisk, settings = {}): Promise<{ opened: Opened; log: Log }> {
  const opened = await openCompacted(disk, {}, settings)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  for (let number = 0; number < 200; number++) {
    appendKeyed(opened, log, [{ key: `key ${number % 30}`, value: PADDING }])
  }
  await settle(opened, log)
  return { opened, log }
}

function namesOf(disk: SimulatedDisk, suffix: string): string[] {
  return disk.listDirectory(DIRECTORY).filter((name) => name.endsWith(suffix))
}

/** A topic with many files is being deleted, or a large file takes its time. */
function slowDown(disk: SimulatedDisk, { timers }: Opened): void {
  disk.settle = (operation) =>
    operation === 'remove' ? new Promise((resolve) => timers.setTimer(50, resolve)) : Promise.resolve()
}

test('a process that is killed while files of an earlier exchange are still there leaves nothing to be walked', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk, FEW_KEYS)
  const expected = latestOf(await readBatches(log))
  slowDown(disk, opened)
  const left: SimulatedDisk[] = []
  let between: SimulatedDisk | null = null
  let changeCount = 0
  const keepSome = (from: SimulatedDisk, every: number) => (): void => {
    if (changeCount++ % every === 0) left.push(from.fork())
  }
  const keep = keepSome(disk, 7)
  disk.onChange = (operation) => {
    if (operation === 'remove' && namesOf(disk, '.log.deleted').length > 1) between ??= disk.fork()
    keep()
  }
  await compact(opened)
  disk.onChange = () => undefined
  // Also those that a start finds, and does not wait for.
  const second: SimulatedDisk = between!
  const again = await openCompacted(second, {}, FEW_KEYS)
  slowDown(second, again)
  logOf(again).setHighWatermark(200)
  await settle(again, logOf(again))
  second.onChange = keepSome(second, 7)
  await compact(again)
  expect(left.length).toBeGreaterThan(100)
  for (const found of left) {
    const opened = await openCompacted(found)
    logOf(opened).setHighWatermark(200)
    expect(opened.warnings).not.toContain(WALKED)
    expect(latestOf(await readBatches(logOf(opened)))).toEqual(expected)
  }
})

test('what was exchanged while the mark could not be written goes with the next clean', async () => {
  const disk = new SimulatedDisk()
  const { opened } = await create(disk)
  disk.fault = (operation, path) => {
    const isMark = operation === 'write' && path.endsWith('durable-mark')
    return isMark && namesOf(disk, '.log.deleted').length > 0 ? 'DISK_FULL' : null
  }
  await compact(opened)
  disk.fault = () => null
  expect(opened.failures).toEqual([])
  expect(namesOf(disk, '.log.deleted').length).toBeGreaterThan(0)
  opened.timers.advance(3_600_000)
  // Still without room for a copy: that is what they take.
  disk.space = () => ({ totalBytes: 100_000, usableBytes: 0 })
  await compact(opened)
  await turns()
  expect(namesOf(disk, '.deleted')).toEqual([])
})

test('an incomplete segment of nobody goes before a log is compacted', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  const expected = latestOf(await readBatches(log))
  overwriteFile(disk, `${DIRECTORY}/00000000000000000000.timeindex.cleaned`, Buffer.alloc(12))
  overwriteFile(disk, `${DIRECTORY}/00000000000000000001.log.cleaned`, Buffer.alloc(100))
  let seenCount = 0
  disk.onChange = (operation, path) => {
    if (operation !== 'rename' || !path.endsWith('.swap')) return
    if (namesOf(disk, '.cleaned').includes('00000000000000000001.log.cleaned')) seenCount++
  }
  await compact(opened)
  disk.onChange = () => undefined
  expect(seenCount).toBe(0)
  expect(namesOf(disk, '.cleaned')).toEqual([])
  const again = await openCompacted(disk.killed())
  logOf(again).setHighWatermark(200)
  expect(latestOf(await readBatches(logOf(again)))).toEqual(expected)
})
