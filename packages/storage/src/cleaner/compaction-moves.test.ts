import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { type Log, LogMove } from '../index.ts'
import { appendKeyed, compact, latestOf, openCompacted, readBatches } from '../testing/compacted-log.ts'
import { logOf, type Opened, settle, turns } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

const PADDING = '.'.repeat(60)
const BOTH = ['/data', '/other']
const CONFIG = { deleteRetentionMs: 1_000 }

/** Appends records with few keys, and has all of them checkpointed. */
async function fill(opened: Opened, log: Log, count = 60): Promise<void> {
  for (let number = 0; number < count; number++)
    appendKeyed(opened, log, [{ key: `key ${number % 7}`, value: PADDING }])
  await settle(opened, log)
}

async function copy({ manager }: Opened, move: LogMove): Promise<void> {
  while (move.lag > 0) {
    expect(await move.copy(1000)).toBeGreaterThanOrEqual(0)
    manager.flushStaged()
  }
}

function moveOf({ manager, clock, timers }: Opened, source: Log, future: Log): LogMove {
  return new LogMove({ source, future, futures: manager.futures, clock, timers })
}

/** A log with a key that is deleted later, and a future one, which has all of it, in a directory that is then away for one life. */
async function goneForOneLife(isDeleted: boolean): Promise<{ opened: Opened; log: Log; future: Log }> {
  let disk = new SimulatedDisk()
  let opened = await openCompacted(disk, CONFIG, {}, { directories: BOTH })
  const { clock } = opened
  const source = opened.manager.createLog('topic', 0, TOPIC_ID, '/data')
  appendKeyed(opened, source, [{ key: 'deleted', value: PADDING }])
  await fill(opened, source, 30)
  const begun = opened.manager.futures.create(source, '/other')
  await copy(opened, moveOf(opened, source, begun))
  await settle(opened, begun)
  await opened.manager.shutdown()
  disk = disk.killed()
  if (isDeleted) {
    opened = await openCompacted(disk, CONFIG, {}, { clock, directories: ['/data'] })
    const found = logOf(opened)
    found.setHighWatermark(found.logEndOffset)
    appendKeyed(opened, found, [{ key: 'deleted', value: null }])
    for (let round = 0; round < 4; round++) {
      await fill(opened, found)
      await compact(opened)
      opened.timers.advance(20_000)
    }
    expect((await readBatches(found)).some(({ records }) => records.some(({ key }) => key === 'deleted'))).toBe(false)
    await opened.manager.shutdown()
    disk = disk.killed()
  }
  const config = isDeleted ? CONFIG : { ...CONFIG, cleanupCompact: false }
  opened = await openCompacted(disk, config, {}, { clock, directories: BOTH })
  const log = logOf(opened)
  log.setHighWatermark(log.logEndOffset)
  return { opened, log, future: opened.manager.futures.get('topic', 0)! }
}

test('a future log that was away while its source was compacted does not bring back what was deleted', async () => {
  const { opened, log, future } = await goneForOneLife(true)
  expect(future.logEndOffset).toBe(31)
  const move = moveOf(opened, log, future)
  await copy(opened, move)
  await settle(opened, future)
  await settle(opened, log)
  let isReplaced: boolean | null = null
  void move
    .replace(log.logEndOffset, 5_000, () => undefined)
    .then((done) => {
      isReplaced = done
    })
  for (let count = 0; count < 3_000 && isReplaced === null; count++) {
    await turns(20)
    opened.timers.advance(1)
    opened.manager.flushStaged()
  }
  expect(isReplaced).toBe(true)
  const now = logOf(opened)
  now.setHighWatermark(now.logEndOffset)
  expect(now.directory).toBe('/other')
  expect(latestOf(await readBatches(now)).has('deleted')).toBe(false)
  await opened.manager.shutdown()
})

test('a future log of a source that never was compacted is filled further', async () => {
  const { opened, log, future } = await goneForOneLife(false)
  await fill(opened, log, 10)
  const move = moveOf(opened, log, future)
  const copiedBytes = await move.copy(1 << 20)
  expect(copiedBytes).toBeGreaterThan(0)
  expect(copiedBytes).toBeLessThan(log.sizeBytes / 2)
  await opened.manager.shutdown()
})
