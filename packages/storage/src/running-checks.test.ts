import { SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { CLEAN_SHUTDOWN_FILE, SNAPSHOT_SUFFIX } from './file-names.ts'
import { CrashCheck } from './testing/crash-check.ts'
import { CrashExplorer } from './testing/crash-explorer.ts'
import { type CrashPoint, CrashWorkload, type WorkloadOptions } from './testing/crash-workload.ts'
import { checkDamagedIndex, checkDamagedMark, checkFileDamage } from './testing/damage-kinds.ts'
import { newEvaluations } from './testing/invariant.ts'
import { checkRunning, checkStarted, noteEnds } from './testing/live-check.ts'
import { open, overwriteFile } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

/** Checks of running logs, of stops, and of damaged disks: each is shown something sound, and something bad made by hand. */

const OPTIONS: WorkloadOptions = {
  seed: 5,
  stepCount: 150,
  crashShare: 0,
  mapping: true,
  partitionCount: 1,
  steps: {
    append: 30,
    transaction: 10,
    'end transaction': 6,
    flush: 25,
    settle: 40,
    'next epoch': 3,
    checkpoint: 6,
    wait: 6,
  },
  checksRunning: true,
}

/** A workload at rest, with its last checkpoint in the mark. */
async function atRest(options: Partial<WorkloadOptions> = {}): Promise<{ workload: CrashWorkload; point: CrashPoint }> {
  const workload = new CrashWorkload({ ...OPTIONS, ...options })
  await workload.run()
  const { log } = workload.logs[0]!
  log!.checkpointer.request()
  await turns()
  workload.timers.advance(2000)
  await turns()
  const point = workload.pointNow('the end')
  expect(point.logs[0]!.durableOffset).toBe(log!.logEndOffset)
  expect(log!.recoveryPoint).toBe(log!.logEndOffset)
  return { workload, point }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 500; turn++) await Promise.resolve()
}

/** Everything is there. */
function crashed(point: CrashPoint): SimulatedDisk {
  return point.disk.crashed({ choose: () => 0 })
}

async function messageOf(check: Promise<unknown>): Promise<string> {
  try {
    await check
    return 'well'
  } catch (error) {
    return (error as Error).message
  }
}

test('a running log that does not serve what was appended is found', async () => {
  const { workload } = await atRest()
  const [entry] = workload.logs
  const { model } = entry!
  expect(await messageOf(checkRunning(entry!, newEvaluations()))).toBe('well')
  model.batches = model.batches.map((batch, slot) => (slot === 3 ? { ...batch, epoch: batch.epoch + 1 } : batch))
  expect(await messageOf(checkRunning(entry!, newEvaluations()))).toContain('S4: epoch')
  model.logEndOffset++
  expect(await messageOf(checkRunning(entry!, newEvaluations()))).toContain('S1: the running log ends at')
})

test('a start that does not find what the stop left is found', async () => {
  const { workload } = await atRest({ steps: { ...OPTIONS.steps, stop: 3, 'delete records': 3 } })
  const { manager } = workload.harness
  const ends = noteEnds(manager.logs())
  const found = (changed: Partial<(typeof ends)[0]>, unclean = false, warnings: string[] = []): Promise<string> => {
    const harness = { manager: Object.create(manager, { recoveredUncleanly: { value: unclean } }), warnings }
    harness.manager.log = (topic: string, partition: number) => manager.log(topic, partition)
    return messageOf(
      Promise.resolve().then(() => checkStarted(harness, [{ ...ends[0]!, ...changed }], newEvaluations())),
    )
  }
  expect(await found({})).toBe('well')
  expect(await found({ logStartOffset: ends[0]!.logStartOffset + 1 })).toContain('S1: start, end and high watermark')
  expect(await found({ topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' as CrashPoint['logs'][0]['topicId'] })).toContain('is gone')
  expect(await found({}, true)).toContain('S6: a clean stop')
  expect(await found({}, false, ['files are not as they were, walking the log'])).toContain(
    'S8: what a clean stop left',
  )
})

test('a crash that is taken for a clean stop is found', async () => {
  const { point } = await atRest()
  expect(point.isRunning).toBe(true)
  expect(await messageOf(new CrashCheck().check(crashed(point), point))).toBe('well')
  const disk = crashed(point)
  overwriteFile(disk, `/data/${CLEAN_SHUTDOWN_FILE}`, Buffer.from('{"version":0,"brokerEpoch":-1}'))
  point.published.set(`/data/${CLEAN_SHUTDOWN_FILE}`, new Set([disk.peek(`/data/${CLEAN_SHUTDOWN_FILE}`).toString()]))
  expect(await messageOf(new CrashCheck().check(disk, point))).toContain('S6: a crash is taken for a clean stop')
})

test('a recovery that does not begin at the last checkpoint is found', async () => {
  const { workload } = await atRest()
  // Something to walk: where a log ends with what was checkpointed, nothing is looked at.
  workload.logs[0]!.append(['more'], workload.epoch, workload.clock.wallMs(), -1, false)
  workload.harness.manager.flushStaged()
  await turns()
  const point = workload.pointNow('after more')
  const config = { indexIntervalBytes: 30 }
  expect(await messageOf(new CrashCheck(config, true).check(crashed(point), point))).toBe('well')
  const disk = crashed(point)
  for (const name of disk.listDirectory('/data/topic-0')) {
    if (name.endsWith(SNAPSHOT_SUFFIX)) disk.removeFile(`/data/topic-0/${name}`)
  }
  expect(await messageOf(new CrashCheck(config, true).check(disk, point))).toContain('S8: recovery began at 0')
})

test('damaged log files, indexes and marks are seen through, whichever it is', async () => {
  const { point } = await atRest()
  const evaluations = newEvaluations()
  const damagedCounts = [0, 0, 0]
  for (let seed = 0; seed < 30; seed++) {
    const random = new SeededRandom(seed)
    if (await checkFileDamage(point, random, evaluations)) damagedCounts[0]!++
    if (await checkDamagedIndex(point, random, new CrashCheck())) damagedCounts[1]!++
    if (await checkDamagedMark(point, random, evaluations)) damagedCounts[2]!++
  }
  expect(Math.min(...damagedCounts)).toBeGreaterThan(10)
})

test('a log that damage of its mark makes longer, or shorter, is found', async () => {
  const { point } = await atRest()
  const [expected] = point.logs
  const longer = { ...point, logs: [{ ...expected!, batches: expected!.batches.slice(0, -2) }] }
  expect(await messageOf(checkDamagedMark(longer, new SeededRandom(1), newEvaluations()))).toContain(
    'S8: a bit of the mark',
  )
  const shorter = { ...point, logs: [{ ...expected!, durableOffset: expected!.durableOffset + 1 }] }
  expect(await messageOf(checkDamagedMark(shorter, new SeededRandom(1), newEvaluations()))).toContain('cut the log at')
})

test('a disk that was well is looked at again only when more is durable than it was seen to hold', async () => {
  const { point: unsynced } = await atRest()
  // One outcome only.
  const point = { ...unsynced, disk: crashed(unsynced) }
  const [expected] = point.logs
  const more = { ...point, logs: [{ ...expected!, durableOffset: expected!.durableOffset + 1 }] }
  const check = new CrashCheck()
  const limits = { seed: 1, outcomesMax: 10, secondOutcomesMax: 10, secondCrashInterval: 100 }
  const explorer = new CrashExplorer(check, limits)
  await explorer.explore([point])
  const { recoveryCount } = check
  await explorer.explore([point])
  expect(check.recoveryCount).toBe(recoveryCount)
  await expect(explorer.explore([more])).rejects.toThrow('crash 0 at the end')
})

test('an empty log is found as the stop left it, too', async () => {
  const disk = new SimulatedDisk()
  const first = await open(disk)
  first.manager.createLog('topic', 0, TOPIC_ID)
  const ends = noteEnds(first.manager.logs())
  await first.manager.shutdown()
  const second = await open(disk)
  checkStarted(second, ends, newEvaluations())
  expect(second.warnings).toEqual([])
  await second.manager.shutdown()
})
