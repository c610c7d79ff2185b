import { SimulatedDisk, type Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { readDirectoryId } from './meta-properties.ts'
import { fill, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const OTHER_ID = 'b3RoZXJvdGhlcm90aGVybw' as Uuid

/** A log with records and one without; the process has ended. */
async function filled(end: 'clean stop' | 'kill'): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID), 20)
  opened.manager.createLog('topic', 1, TOPIC_ID)
  opened.timers.advance(2_000)
  await turns()
  if (end === 'kill') return disk.killed().copy()
  await opened.manager.shutdown()
  return disk
}

/** Whether the next start takes each of the two for lost. */
async function lostOn(disk: SimulatedDisk, registered: readonly Uuid[] = []): Promise<boolean[]> {
  const { manager } = await open(disk)
  const lost = manager.lostLogs(registered)
  const found = [0, 1].map((partition) => lost.has('topic', TOPIC_ID, partition))
  await manager.shutdown()
  return found
}

const IDENTITY = '/data/topic-0/partition.metadata'
const LOSSES: [string, (disk: SimulatedDisk) => void][] = [
  ['is damaged in its identity', (disk) => disk.corrupt(IDENTITY, 3, 1)],
  ['has no identity', (disk) => disk.removeFile(IDENTITY)],
  ['names another topic', (disk) => overwriteFile(disk, IDENTITY, Buffer.from(`version: 0\ntopic_id: ${OTHER_ID}`))],
  ['is gone', (disk) => disk.takeAway('/data/topic-0')],
]

describe.each(['clean stop', 'kill'] as const)('after a %s, of a log with records', (end) => {
  test.each(LOSSES)('the directory of which %s is lost, at each start', async (_, harm) => {
    const disk = await filled(end)
    expect(await lostOn(disk)).toEqual([false, false])
    harm(disk)
    for (let start = 0; start < 2; start++) expect(await lostOn(disk)).toEqual([true, false])
  })

  test('nothing is lost that was begun anew since', async () => {
    const disk = await filled(end)
    disk.takeAway('/data/topic-0')
    const again = await open(disk)
    again.manager.createLog('topic', 0, TOPIC_ID)
    await again.manager.shutdown()
    expect(await lostOn(disk)).toEqual([false, false])
  })
})

test('with a damaged durable mark every log that is not here may have had records', async () => {
  const disk = await filled('kill')
  disk.corrupt('/data/durable-mark', 100, 1)
  disk.corrupt('/data/durable-mark', 164, 1)
  disk.takeAway('/data/topic-0')
  disk.takeAway('/data/topic-1')
  expect(await lostOn(disk)).toEqual([true, true])
})

test('without a durable mark a log in the place of another may be that one, and one that was left out', async () => {
  const disk = await filled('clean stop')
  disk.removeFile('/data/durable-mark')
  overwriteFile(disk, IDENTITY, Buffer.from(`version: 0\ntopic_id: ${OTHER_ID}`))
  expect(await lostOn(disk)).toEqual([true, false])
  const left = await filled('clean stop')
  left.removeFile('/data/durable-mark')
  left.corrupt(IDENTITY, 3, 1)
  for (let start = 0; start < 2; start++) expect(await lostOn(left)).toEqual([true, false])
})

test('of a directory that was emptied but for its id, every log may have had records, if the broker has served from it', async () => {
  const emptied = async (): Promise<SimulatedDisk> => {
    const disk = await filled('clean stop')
    for (const name of disk.listDirectory('/data')) if (name !== 'meta.properties') disk.takeAway(`/data/${name}`)
    return disk
  }
  const id = readDirectoryId(await emptied(), '/data')!
  expect(await lostOn(await emptied(), [id])).toEqual([true, true])
  expect(await lostOn(await emptied(), [OTHER_ID])).toEqual([false, false])
  expect(await lostOn(await filled('clean stop'), [id])).toEqual([false, false])
})

test('what a loss of power left of a log that was never synced is not lost, and gets out of the way of one in another directory', async () => {
  const disk = new SimulatedDisk()
  const both = { directories: ['/a', '/b'] }
  await (await open(disk, SMALL, both)).manager.shutdown()
  disk.makeDirectory('/a/topic-0')
  // Names that have reached the disk, of files whose contents have not.
  overwriteFile(disk, '/a/topic-0/partition.metadata', Buffer.alloc(43))
  overwriteFile(disk, '/a/topic-0/00000000000000000000.log', Buffer.alloc(100))
  const opened = await open(disk, SMALL, both)
  expect(opened.manager.lostLogs().has('topic', TOPIC_ID, 0)).toBe(false)
  await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID, '/b'), 20)
  await opened.manager.shutdown()
  const again = await open(disk, SMALL, both)
  expect(again.manager.log('topic', 0)).toMatchObject({ directory: '/b', logEndOffset: 20 })
  expect(disk.listDirectory('/a').filter((name) => name.startsWith('topic-0'))).toEqual([
    expect.stringMatching(/-stray$/),
  ])
  await again.manager.shutdown()
})
