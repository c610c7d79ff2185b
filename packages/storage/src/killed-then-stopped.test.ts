import { ExhaustiveChoices, RandomChoices, SeededRandom, SimulatedDisk } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { Log } from './index.ts'
import type { LogConfig } from './log-config.ts'
import { append, fill, logOf, type Opened, open, SMALL, settle, turns, WALKED } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/**
 * A process is killed when it has changed names or files and not synced them, the next one finds them as they are in memory, stops cleanly
 * and says so in the durable mark; then power goes. What the mark names must be there, or the whole log would be walked.
 */

/** Larger than what the tests append. */
const ROOMY: Partial<LogConfig> = { ...SMALL, segmentBytes: 100_000 }

/** Of more outcomes of a crash as many are drawn. */
const CRASHES_MAX = 8
/** Of what is appended after a kill. */
const LATER_EPOCH = 5

/** A start and a clean stop on what a killed process left, in place. */
async function startAndStop(disk: SimulatedDisk, config: Partial<LogConfig>): Promise<void> {
  const { manager, errors, warnings } = await open(disk, config)
  await manager.shutdown()
  expect(errors).toEqual([])
  expect(warnings).not.toContain(WALKED)
}

/** Disks that a loss of power may leave now: all of them where there are few. */
function* crashesOf(disk: SimulatedDisk): Generator<SimulatedDisk> {
  const choices = new ExhaustiveChoices()
  yield disk.crashed(choices)
  if (choices.estimatedCount <= CRASHES_MAX) {
    while (choices.next()) yield disk.crashed(choices)
    return
  }
  const drawn = new RandomChoices(new SeededRandom(1))
  for (let count = 1; count < CRASHES_MAX; count++) yield disk.crashed(drawn)
}

async function expectSoundAfterCrash(
  disk: SimulatedDisk,
  config: Partial<LogConfig>,
  endOffset: number,
): Promise<void> {
  for (const crashed of crashesOf(disk)) {
    const { manager, errors, warnings } = await open(crashed, config)
    expect(errors).toEqual([])
    expect(warnings).not.toContain(WALKED)
    expect(manager.log('topic', 0)?.logEndOffset ?? 0).toBe(endOffset)
  }
}

/** A log of forty records at rest, whose next segment has no file yet if it was rolled. */
async function filled(mapping: boolean, isRolled: boolean): Promise<{ disk: SimulatedDisk; opened: Opened; log: Log }> {
  const disk = new SimulatedDisk({ mapping })
  const opened = await open(disk, ROOMY)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 40)
  if (isRolled) log.roll(40)
  await settle(opened, log)
  return { disk, opened, log }
}

/** What kills find before each change of a truncation of a log of several segments to inside the first, and where it ends then. */
async function cutShort(mapping: boolean): Promise<{ disk: SimulatedDisk; endOffset: number }[]> {
  const disk = new SimulatedDisk({ mapping })
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 24)
  await settle(opened, log)
  const found: SimulatedDisk[] = []
  disk.onChange = () => found.push(disk.fork())
  log.truncateTo(5)
  disk.onChange = () => undefined
  const ends = await Promise.all(found.map(async (left) => logOf(await open(left.copy())).logEndOffset))
  expect(ends[0]).toBe(24)
  expect(ends.at(-1)).toBe(5)
  return found.map((left, slot) => ({ disk: left, endOffset: ends[slot]! }))
}

describe.each([true, false])('with syncs of the whole file system: %s', (mapping) => {
  test('the file of a log without data, made just before a kill', async () => {
    const disk = new SimulatedDisk({ mapping })
    const opened = await open(disk)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    // Staged, and the process ends before its turn does.
    append(log, ['value'])
    const found = disk.killed()
    await startAndStop(found, SMALL)
    await expectSoundAfterCrash(found, SMALL, 0)
  })

  test('the file of the next segment, made just before a kill', async () => {
    const { disk, log } = await filled(mapping, true)
    append(log, ['value'])
    const found = disk.killed()
    await startAndStop(found, ROOMY)
    await expectSoundAfterCrash(found, ROOMY, 40)
  })

  test('the tail that was cut off a log at rest just before a kill', async () => {
    const { disk, log } = await filled(mapping, false)
    const { active } = log.segments
    const file = active.file()
    file.truncate(active.writtenBytes + 4096)
    file.syncDataNow()
    file.truncate(active.writtenBytes)
    const found = disk.killed()
    await startAndStop(found, ROOMY)
    await expectSoundAfterCrash(found, ROOMY, 40)
  })

  test('the leader epochs renamed into their place just before a kill', async () => {
    const disk = new SimulatedDisk({ mapping })
    const opened = await open(disk, ROOMY)
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, log, 20)
    for (let count = 0; count < 20; count++) append(log, ['value'], 2)
    opened.manager.flushStaged()
    await settle(opened, log)
    log.raiseLogStart(30)
    // In use, so that nothing brings it to rest before the start of the log is written down.
    for (let look = 0; look < 3; look++) {
      log.use()
      opened.timers.advance(30_000)
      await turns()
    }
    expect(log.epochs.needsSave(40)).toBe(true)
    log.epochs.saveUnsynced(40)
    const found = disk.killed()
    await startAndStop(found, ROOMY)
    await expectSoundAfterCrash(found, ROOMY, 40)
  })

  test('what a truncation took away, which a kill cut short at any change', async () => {
    for (const { disk, endOffset } of await cutShort(mapping)) {
      await startAndStop(disk, SMALL)
      await expectSoundAfterCrash(disk, SMALL, endOffset)
    }
  })

  test('the file that an append made before it was refused, by the process that stops', async () => {
    const { disk, opened, log } = await filled(mapping, true)
    disk.fault = (operation) => (operation === 'write' ? 'DISK_FULL' : null)
    // Large enough to be written at once.
    expect(append(log, ['x'.repeat(40_000)])).not.toBe(0)
    disk.fault = () => null
    expect(log.segments.active.exists).toBe(true)
    await opened.manager.shutdown()
    await expectSoundAfterCrash(disk, ROOMY, 40)
  })
})

test('what a truncation took away, which a kill cut short, does not come back over what was acknowledged in its place', async () => {
  for (const { disk, endOffset } of await cutShort(true)) {
    const again = await open(disk)
    // The segment that was cut takes some more.
    await fill(again, logOf(again), endOffset + 12, 20)
    await expectSoundAfterCrash(disk, SMALL, endOffset + 12)
  }
})

test('nor does it come back behind what was not acknowledged yet', async () => {
  let writtenBackCount = 0
  for (const { disk, endOffset } of await cutShort(true)) {
    const opened = await open(disk)
    // In the segment that was cut, up to where the next one began.
    for (let count = 0; count < 12; count++) expect(append(logOf(opened), ['value'], LATER_EPOCH)).toBe(0)
    opened.manager.flushStaged()
    // The system writes the data back on its own, before any sync has begun.
    logOf(opened).segments.active.file().syncDataNow()
    for (const crashed of crashesOf(disk)) {
      const log = logOf(await open(crashed))
      if (log.latestEpoch !== LATER_EPOCH) continue
      writtenBackCount++
      expect(log.logEndOffset).toBe(endOffset + 12)
    }
  }
  expect(writtenBackCount).toBeGreaterThan(0)
})
