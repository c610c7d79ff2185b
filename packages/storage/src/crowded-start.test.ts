import { DiskError, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { ReadResult } from './index.ts'
import { fill, type Opened, open, SMALL, turns } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** A start that must walk more segments than the process has descriptors for. */

const LOG_COUNT = 12
const RECORD_COUNT = 100
const MAX_OPEN = 16

/** Counts open files by the end of their names; no more log files than `limit` can be. */
function countOpen(
  disk: SimulatedDisk,
  limit = Number.POSITIVE_INFINITY,
): { logs: number; all: number; mostLogs: number } {
  const count = { logs: 0, all: 0, mostLogs: 0 }
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    const isLog = path.endsWith('.log')
    if (isLog && count.logs >= limit) throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
    const file = openFile(path, options)
    const close = file.close.bind(file)
    count.all++
    if (isLog) count.mostLogs = Math.max(count.mostLogs, ++count.logs)
    file.close = () => {
      count.all--
      if (isLog) count.logs--
      close()
    }
    return file
  }
  return count
}

/** Logs of several segments that were killed. */
async function killed(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  for (let partition = 0; partition < LOG_COUNT; partition++) {
    await fill(opened, opened.manager.createLog('topic', partition, TOPIC_ID), RECORD_COUNT)
  }
  opened.timers.advance(5000)
  await turns()
  return disk.killed()
}

async function openCrowded(disk: SimulatedDisk): Promise<Opened> {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const options = { disk, clock, timers, config: SMALL, maxOpenSegments: MAX_OPEN }
  return { ...(await openStorage(options)), clock, timers }
}

async function expectAll({ manager, failures, errors }: Opened): Promise<void> {
  const out = new ReadResult()
  for (let partition = 0; partition < LOG_COUNT; partition++) {
    const log = manager.log('topic', partition)!
    expect([partition, log.logEndOffset, log.durableOffset]).toEqual([partition, RECORD_COUNT, RECORD_COUNT])
    for (let offset = 0; offset < RECORD_COUNT; offset += 9) {
      expect(await log.read(offset, 1, RECORD_COUNT, true, out)).toBe(true)
      expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${offset}.`)
    }
  }
  expect([failures, errors]).toEqual([[], []])
}

describe('a start that walks more segments than can be open', () => {
  const CHANGES = {
    'the header of the mark is damaged': (disk: SimulatedDisk) => disk.corrupt('/data/durable-mark', 2, 1),
    'there is no mark, as after an unclean stop of another broker': (disk: SimulatedDisk) => {
      disk.removeFile('/data/durable-mark')
      disk.syncDirectory('/data')
    },
  }

  test.each(Object.entries(CHANGES))('comes to its end, and again after a crash, where %s', async (_, change) => {
    let disk = await killed()
    for (let start = 0; start < 2; start++) {
      change(disk)
      const count = countOpen(disk, MAX_OPEN + 4)
      const opened = await openCrowded(disk)
      expect(count.mostLogs).toBeLessThanOrEqual(MAX_OPEN + 1)
      for (let round = 0; round < 5; round++) {
        await turns()
        opened.timers.advance(1000)
      }
      await expectAll(opened)
      // Only what is known to be synced counts for that.
      disk = disk.crashed({ choose: () => 0 })
      await expectAll(await open(disk.copy()))
    }
  })

  test('syncs what it closes, with its names, before it counts as durable', async () => {
    const disk = await killed()
    disk.corrupt('/data/durable-mark', 2, 1)
    const seen = new Set<string>()
    disk.onChange = (operation, path) => {
      if (operation === 'sync' || operation === 'sync directory') seen.add(path)
    }
    const opened = await openCrowded(disk)
    const durable = [...opened.manager.logs()].filter(({ durableOffset }) => durableOffset === RECORD_COUNT)
    expect(durable.length).toBeGreaterThan(LOG_COUNT / 2)
    for (const { path, segments } of durable) {
      expect(seen).toContain(path)
      for (const { logPath } of segments.all) expect(seen).toContain(logPath)
    }
  })
})

test.each(['read', 'sync', 'truncate'] as const)(
  'an opening that fails at a %s leaves no file open',
  async (operation) => {
    const disk = await killed()
    disk.corrupt('/data/durable-mark', 2, 1)
    // A torn tail, which is cut.
    const name = disk
      .listDirectory('/data/topic-7')
      .filter((file) => file.endsWith('.log'))
      .sort()
      .at(-1)!
    const file = disk.openFile(`/data/topic-7/${name}`, { create: false })
    file.write(Buffer.alloc(100, 7), 0, 100, file.sizeBytes())
    file.close()
    const count = countOpen(disk)
    disk.fault = (found, path) => (found === operation && path === `/data/topic-7/${name}` ? 'DISK_IO' : null)
    for (let start = 0; start < 2; start++) {
      await expect(openCrowded(disk)).rejects.toThrow('EIO')
      expect(count).toMatchObject({ all: 0, logs: 0 })
    }
  },
)
