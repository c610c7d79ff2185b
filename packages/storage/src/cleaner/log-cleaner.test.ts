import { randomUuid, SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import type { Log } from '../index.ts'
import { appendKeyed, compact, latestOf, openCompacted, readBatches } from '../testing/compacted-log.ts'
import { type Opened, settle } from '../testing/log-driver.ts'
import { TOPIC_ID } from '../testing/storage-harness.ts'

async function create(
  disk = new SimulatedDisk(),
  ...rest: Parameters<typeof openCompacted> extends [unknown, ...infer R] ? R : never
): Promise<{ opened: Opened; log: Log }> {
  const opened = await openCompacted(disk, ...rest)
  return { opened, log: opened.manager.createLog('topic', 0, TOPIC_ID) }
}

const PADDING = '.'.repeat(60)

test('the newest record of each key stays, at its offset', async () => {
  const { opened, log } = await create()
  for (let count = 0; count < 200; count++) {
    appendKeyed(opened, log, [{ key: `key ${count % 7}`, value: `${count} ${PADDING}` }])
  }
  await settle(opened, log)
  const before = await readBatches(log)
  const sizeBefore = log.sizeBytes
  await compact(opened)
  const after = await readBatches(log)
  expect(latestOf(after)).toEqual(latestOf(before))
  expect(log.sizeBytes).toBeLessThan(sizeBefore / 2)
  expect(log.cleanedOffset).toBe(log.segments.active.baseOffset)
  for (const { records } of after) for (const { offset, value } of records) expect(value).toBe(`${offset} ${PADDING}`)
  expect(opened.errors).toEqual([])
  expect(opened.warnings).toEqual([])
})

test('a deleted key goes with its tombstone, once that has been met for long enough', async () => {
  const { opened, log } = await create()
  appendKeyed(opened, log, [{ key: 'a', value: PADDING }])
  appendKeyed(opened, log, [{ key: 'a', value: null }])
  for (let count = 0; count < 60; count++) appendKeyed(opened, log, [{ key: `b ${count}`, value: PADDING }])
  await settle(opened, log)
  await compact(opened)
  const keysOf = async () => (await readBatches(log)).flatMap(({ records }) => records.map(({ key }) => key))
  expect((await keysOf()).filter((key) => key === 'a')).toHaveLength(1)
  opened.timers.advance(20_000)
  for (let count = 0; count < 60; count++) appendKeyed(opened, log, [{ key: `c ${count}`, value: PADDING }])
  await settle(opened, log)
  await compact(opened)
  expect((await keysOf()).filter((key) => key === 'a')).toHaveLength(0)
})

test('tombstones go although nothing is written any more, and without more ado after that', async () => {
  const { opened, log } = await create()
  for (let count = 0; count < 40; count++) appendKeyed(opened, log, [{ key: `a ${count}`, value: PADDING }])
  for (let count = 0; count < 40; count++) appendKeyed(opened, log, [{ key: `a ${count}`, value: null }])
  for (let count = 0; count < 20; count++) appendKeyed(opened, log, [{ key: `b ${count}`, value: PADDING }])
  await settle(opened, log)
  await compact(opened)
  const tombstones = async () =>
    (await readBatches(log)).flatMap(({ records }) => records).filter(({ value }) => value === null).length
  expect(await tombstones()).toBe(40)
  const { cleanedCount } = opened.manager.cleanerStatus!
  await compact(opened)
  expect(opened.manager.cleanerStatus!.cleanedCount).toBe(cleanedCount)
  opened.timers.advance(20_000)
  await compact(opened)
  expect(await tombstones()).toBe(0)
  expect(opened.manager.cleanerStatus!.cleanedCount).toBe(cleanedCount + 1)
  opened.timers.advance(20_000)
  await compact(opened)
  expect(opened.manager.cleanerStatus!.cleanedCount).toBe(cleanedCount + 1)
})

test('what is compacted is found again by the next start, without a walk', async () => {
  const disk = new SimulatedDisk()
  const { opened, log } = await create(disk)
  for (let count = 0; count < 200; count++) {
    appendKeyed(opened, log, [{ key: `key ${count % 7}`, value: `${count} ${PADDING}` }])
  }
  await settle(opened, log)
  await compact(opened)
  const batches = await readBatches(log)
  const { cleanedOffset } = log
  await settle(opened, log)
  const killed = await openCompacted(disk.killed())
  expect(await readBatches(killed.manager.log('topic', 0)!)).toEqual(batches)
  expect(killed.warnings).toEqual([])
  await opened.manager.shutdown()
  const again = await openCompacted(disk.killed())
  const found = again.manager.log('topic', 0)!
  expect(await readBatches(found)).toEqual(batches)
  expect(found.cleanedOffset).toBe(cleanedOffset)
  expect(again.warnings).toEqual([])
})

test('several logs at a time share memory and disk', async () => {
  const settings = { threadCount: 2, maxBytesPerSecond: 100_000 }
  const { opened, log } = await create(new SimulatedDisk(), {}, settings)
  const other = opened.manager.createLog('other', 0, randomUuid(new SeededRandom(3)))
  for (const filled of [log, other]) {
    for (let count = 0; count < 300; count++) {
      appendKeyed(opened, filled, [{ key: `key ${count % 7}`, value: `${count} ${PADDING}` }])
    }
    await settle(opened, filled)
  }
  const startMs = opened.clock.monotonicMs()
  await compact(opened)
  const { readBytes, writtenBytes, cleanedCount, memoryBytes } = opened.manager.cleanerStatus!
  expect(cleanedCount).toBe(2)
  // What is read and written takes its time, up to what each of them had not paused for yet.
  const paidBytes = readBytes + writtenBytes - 2 * (1 << 18)
  expect(opened.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual((paidBytes / 100_000) * 1000)
  // Given back with the last log.
  expect(memoryBytes).toBe(0)
  expect([log, other].map(({ cleanedOffset }) => cleanedOffset > 250)).toEqual([true, true])
})

test('the dirtiest log comes first, and before it one whose records are overdue', async () => {
  const disk = new SimulatedDisk()
  const order: string[] = []
  const { opened, log: dirty } = await create(disk)
  const overdue = opened.manager.createLog('overdue', 0, randomUuid(new SeededRandom(4)))
  const cleaner = opened.manager.createLog('cleaner', 0, randomUuid(new SeededRandom(5)))
  overdue.updateConfig({ ...overdue.config, maxCompactionLagMs: 60_000, minCleanableDirtyRatio: 1 })
  const fill = async (log: Log, count: number): Promise<void> => {
    const timestamp = opened.clock.wallMs()
    for (let number = 0; number < count; number++) {
      appendKeyed(opened, log, [{ key: `key ${number}`, value: PADDING }], { timestamp })
    }
    await settle(opened, log)
  }
  await fill(cleaner, 100)
  await compact(opened)
  await fill(cleaner, 40)
  await fill(dirty, 100)
  await fill(overdue, 60)
  opened.timers.advance(61_000)
  disk.onChange = (operation, path) => {
    const [, , name] = path.split('/')
    if (operation === 'rename' && path.endsWith('.log.swap') && order.at(-1) !== name) order.push(name!)
  }
  for (const log of [dirty, overdue, cleaner]) {
    // So that something goes.
    for (let number = 0; number < 40; number++) appendKeyed(opened, log, [{ key: `key ${number}`, value: PADDING }])
    await settle(opened, log)
  }
  await compact(opened)
  expect(order).toEqual(['overdue-0', 'topic-0', 'cleaner-0'])
})
