import type { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { CrashCheck } from './testing/crash-check.ts'
import { CrashExplorer } from './testing/crash-explorer.ts'
import { type CrashPoint, CrashWorkload, type StepWeights } from './testing/crash-workload.ts'
import { checkIndexFiles, inventory, missingOf } from './testing/stored-files.ts'

/** A check that cannot fail proves nothing: each is shown something bad made by hand. */

const STEPS: StepWeights = {
  append: 30,
  transaction: 10,
  flush: 25,
  settle: 40,
  'next epoch': 3,
  checkpoint: 4,
  'wait a minute': 3,
}

async function lastPoint(): Promise<CrashPoint> {
  const workload = new CrashWorkload({
    seed: 3,
    stepCount: 80,
    crashShare: 0,
    mapping: true,
    partitionCount: 1,
    steps: STEPS,
  })
  await workload.run()
  workload.letAllGo()
  for (let turn = 0; turn < 200; turn++) await Promise.resolve()
  const point = workload.pointNow('the end')
  expect(point.logs[0]!.durableOffset).toBeGreaterThan(10)
  return point
}

/** The mildest outcome: everything is there. */
const MILDEST = { choose: () => 0 }

async function checked(point: CrashPoint, disk: SimulatedDisk = point.disk.crashed(MILDEST)): Promise<string> {
  try {
    await new CrashCheck().check(disk, point)
    return 'well'
  } catch (error) {
    return (error as Error).message
  }
}

test('what is well passes, and each invariant was looked at', async () => {
  const check = new CrashCheck()
  const point = await lastPoint()
  await check.check(point.disk.crashed(MILDEST), point)
  const { S9, ...looked } = check.evaluations
  expect(S9).toBe(0)
  expect(Object.values(looked).every((count) => count > 0)).toBe(true)
})

test('an acknowledged batch that is missing is found', async () => {
  const point = await lastPoint()
  const [expected] = point.logs
  point.logs = [{ ...expected!, durableOffset: expected!.batches.at(-1)!.lastOffset + 5 }]
  expect(await checked(point)).toContain('S1: log ends at')
})

test('a log that is gone is found', async () => {
  const point = await lastPoint()
  point.logs = [{ ...point.logs[0]!, topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' as CrashPoint['logs'][0]['topicId'] }]
  expect(await checked(point)).toContain('S1: partition 0 is gone')
})

test('bytes that were never appended are found', async () => {
  const point = await lastPoint()
  const [expected] = point.logs
  const batches = expected!.batches.map((batch, slot) => {
    const bytes = Buffer.from(batch.bytes)
    if (slot === 2) bytes[bytes.length - 1]! ^= 1
    return { ...batch, bytes }
  })
  point.logs = [{ ...expected!, batches }]
  expect(await checked(point)).toContain('S1: other bytes at')
})

test('a leader epoch that is not that of the batch is found', async () => {
  const point = await lastPoint()
  const [expected] = point.logs
  const batches = expected!.batches.map((batch, slot) => ({ ...batch, epoch: batch.epoch + (slot === 1 ? 1 : 0) }))
  point.logs = [{ ...expected!, batches }]
  expect(await checked(point)).toContain('S4: epoch')
})

test('a small file that is half old, half new is found', async () => {
  const point = await lastPoint()
  const disk = point.disk.crashed(MILDEST)
  const path = '/data/recovery-point-offset-checkpoint'
  const contents = Buffer.from('0\n1\ntopic 0 1\n')
  disk.openFile(path, { create: true }).write(contents, 0, contents.length, 0)
  expect(await checked(point, disk)).toContain(`S6: ${path}`)
})

test('damage below the mark without a crash to blame is found', async () => {
  const point = await lastPoint()
  const disk = point.disk.crashed(MILDEST)
  const file = disk.openFile('/data/topic-0/00000000000000000000.log', { create: false })
  file.truncate(file.sizeBytes() - 1)
  file.syncDataNow()
  expect(await checked(point, disk)).toMatch(/^S\d/)
})

test('a log file that recovery threw away is found', async () => {
  const { disk } = await lastPoint()
  const before = inventory(disk)
  expect(missingOf(before, disk)).toBeNull()
  disk.rename('/data/topic-0/00000000000000000000.log', '/data/topic-0/00000000000000000000.log.0123.stray')
  expect(missingOf(before, disk)).toBeNull()
  disk.removeFile('/data/topic-0/00000000000000000000.log.0123.stray')
  expect(missingOf(before, disk)).toBe('/data/topic-0/00000000000000000000.log')
  await disk.removeTree('/data/topic-0')
  expect(missingOf(before, disk)).toBe('/data/topic-0')
})

test('index entries that do not increase, or lead astray, are found', async () => {
  const { disk } = await lastPoint()
  expect(checkIndexFiles(disk, ['/data/topic-0'], () => undefined)).toBeNull()
  const index = disk.openFile('/data/topic-0/00000000000000000000.index', { create: true })
  index.truncate(0)
  index.write(Buffer.from([0, 0, 0, 9, 0, 0, 0, 1]), 0, 8, 0)
  expect(checkIndexFiles(disk, ['/data/topic-0'], () => undefined)).toContain('offset index entry 0')
  index.truncate(0)
  const times = disk.openFile('/data/topic-0/00000000000000000000.timeindex', { create: true })
  times.truncate(0)
  times.write(Buffer.alloc(24), 0, 24, 0)
  expect(checkIndexFiles(disk, ['/data/topic-0'], () => undefined)).toContain('time index entry 1')
})

test('every outcome of the crashes of a short trace recovers', async () => {
  const workload = new CrashWorkload({
    seed: 1,
    stepCount: 1000,
    operationCount: 20,
    crashShare: 1,
    mapping: true,
    partitionCount: 1,
    steps: STEPS,
    disk: { finePageBytes: 1024 },
    valueBytesMax: 100,
  })
  await workload.run()
  const explorer = new CrashExplorer(new CrashCheck(), {
    seed: 1,
    outcomesMax: 100,
    secondOutcomesMax: 10,
    secondCrashInterval: 8,
  })
  await explorer.explore(workload.crashPoints)
  expect(explorer.figures.exhaustiveCrashes + explorer.figures.sampledCrashes).toBe(workload.crashPoints.length)
  expect(explorer.figures.exhaustiveCrashes).toBeGreaterThan(15)
  expect(explorer.figures.distinctOutcomes).toBeGreaterThan(50)
})

test('the search names the crash whose outcome does not recover', async () => {
  const point = await lastPoint()
  const wrong = { ...point, logs: [{ ...point.logs[0]!, durableOffset: 1_000_000 }] }
  const explorer = new CrashExplorer(new CrashCheck(), {
    seed: 1,
    outcomesMax: 10,
    secondOutcomesMax: 10,
    secondCrashInterval: 1,
  })
  await expect(explorer.explore([wrong])).rejects.toThrow('crash 0 at the end, outcome 0')
})
