import { SeededRandom, SimulatedClock, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { DiskActivity } from './disk-activity.ts'
import { MeasuredDisk } from './measured-disk.ts'

function setUp() {
  const clock = new SimulatedClock()
  const activity = new DiskActivity(clock)
  const disk = new MeasuredDisk(new SimulatedDisk({ random: new SeededRandom(1) }), activity)
  disk.makeDirectory('/data')
  return { clock, activity, disk }
}

test('operations on the thread pool are counted while they run and timed when they end', async () => {
  const { clock, activity } = setUp()
  const first = Promise.withResolvers<number>()
  const second = Promise.withResolvers<number>()
  const outcomes = [activity.measure('sync', () => first.promise), activity.measure('read', () => second.promise)]
  expect([activity.outstanding, activity.maxOutstanding]).toEqual([2, 2])
  clock.advance(30)
  first.resolve(7)
  expect(await outcomes[0]).toBe(7)
  second.reject(new Error('the disk is gone'))
  await expect(outcomes[1]).rejects.toThrow('gone')
  expect([activity.outstanding, activity.maxOutstanding]).toEqual([0, 2])
  const { sync, read } = activity.durations
  expect([sync.count, sync.sumSeconds, read.count]).toEqual([1, 0.03, 1])
  expect(sync.buckets().filter(({ count }) => count > 0)[0]).toEqual({ leSeconds: 0.05, count: 1 })
})

test('a file does through the measured disk what it does without, and is counted while it is open', async () => {
  const { activity, disk } = setUp()
  const file = disk.openFile('/data/a', { create: true })
  expect([file.path, activity.openFileCount]).toEqual(['/data/a', 1])
  file.write(Buffer.from('abc'), 0, 3, 0)
  file.writeMany([Buffer.from('d'), Buffer.from('ef')], 3)
  await file.syncData()
  file.syncDataNow()
  const read = Buffer.alloc(6)
  expect([file.sizeBytes(), file.read(read, 0, 6, 0), read.toString()]).toEqual([6, 6, 'abcdef'])
  expect(await file.readAsync(read, 0, 3, 3)).toBe(3)
  file.truncate(2)
  await file.extend(0, 4096)
  expect(file.sizeBytes()).toBe(4096)
  file.close()
  file.close()
  expect(activity.openFileCount).toBe(0)
  expect(disk.listDirectory('/data')).toEqual(['a'])
  disk.rename('/data/a', '/data/b')
  disk.syncDirectory('/data')
  await disk.syncDirectoryAsync('/data')
  expect([disk.stat('/data/a'), disk.stat('/data/b')?.sizeBytes, disk.readFile('/data/b').length]).toEqual([
    null,
    4096,
    4096,
  ])
  disk.removeFile('/data/b')
  await disk.removeTree('/data')
  expect(disk.stat('/data')).toBeNull()
  const counts = Object.entries(activity.durations).map(([operation, { count }]) => [operation, count])
  expect(Object.fromEntries(counts)).toEqual({
    read: 1,
    sync: 1,
    extend: 1,
    'sync-directory': 1,
    'sync-all': 0,
    'remove-tree': 1,
  })
})
