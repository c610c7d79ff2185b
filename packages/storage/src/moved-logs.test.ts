import { SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { MOVED_REPLICAS_FILE } from './file-names.ts'
import { LogMove } from './log-move.ts'
import { readMovedReplicas } from './moved-replicas.ts'
import { append, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** What a start makes of notes that logs were moved (docs/adr/0009). */

interface Opened extends Harness {
  timers: SimulatedTimers
  clock: SimulatedClock
}

async function open(disk: SimulatedDisk, directories: string[]): Promise<Opened> {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  return { ...(await openStorage({ disk, clock, timers, directories, config: SMALL })), clock, timers }
}

/** A log with three records was moved from `/a` to `/b`, and nobody knows it yet; the process is killed. */
async function moved(): Promise<{ disk: SimulatedDisk; id: string }> {
  const disk = new SimulatedDisk()
  const { manager, clock, timers } = await open(disk, ['/a', '/b'])
  const source = manager.createLog('topic', 0, TOPIC_ID, '/a')
  for (const value of ['a', 'b', 'c']) append(source, [value])
  manager.flushStaged()
  await turns()
  const future = manager.futures.create(source, '/b')
  const move = new LogMove({ source, future, futures: manager.futures, clock, timers })
  expect(await move.copy(1 << 20)).toBeGreaterThan(0)
  manager.flushStaged()
  const replacing = move.replace(source.durableOffset, 1_000, () => undefined)
  for (let count = 0; count < 50; count++) {
    await turns(50)
    timers.advance(2)
  }
  expect(await replacing).toBe(true)
  await turns()
  expect(manager.log('topic', 0)).toBe(future)
  return { disk: disk.killed(), id: manager.directories()[1]!.id }
}

/** The former name of the log that was replaced is back. */
function bringBack(disk: SimulatedDisk): void {
  const name = disk.listDirectory('/a').find((candidate) => candidate.endsWith('-delete'))!
  disk.rename(`/a/${name}`, '/a/topic-0')
}

describe('a log whose place another one has taken', () => {
  test('is removed if its name comes back, and the other one counts', async () => {
    const { disk } = await moved()
    bringBack(disk)
    const { manager, errors } = await open(disk, ['/a', '/b'])
    expect(errors).toEqual([])
    expect(manager.log('topic', 0)).toMatchObject({ directory: '/b', logEndOffset: 3 })
    expect(disk.listDirectory('/a')).not.toContain('topic-0')
    expect(manager.futures.isUnsettled(TOPIC_ID, 0)).toBe(true)
    await manager.futures.settle(TOPIC_ID, 0)
    expect(manager.futures.isUnsettled(TOPIC_ID, 0)).toBe(false)
    expect(readMovedReplicas(disk, '/a')).toEqual([])
    await manager.shutdown()
  })

  test.each([true, false])('is not used where the other directory is missing: its name is back %s', async (isBack) => {
    const { disk, id } = await moved()
    if (isBack) bringBack(disk)
    const { manager } = await open(disk, ['/a'])
    expect(manager.log('topic', 0)).toBeUndefined()
    expect(manager.futures.movedAwayTo(TOPIC_ID, 0)).toBe(id)
    await manager.shutdown()
    // And the other one counts once it is there again.
    const again = await open(disk, ['/a', '/b'])
    expect(again.manager.log('topic', 0)).toMatchObject({ directory: '/b', logEndOffset: 3 })
    expect(again.manager.futures.movedAwayTo(TOPIC_ID, 0)).toBeNull()
    await again.manager.shutdown()
  })
})

test('what a process that was about to end changed last is seen: nothing is looked at before the directories are locked', async () => {
  const { disk } = await moved()
  bringBack(disk)
  const lock = disk.lock.bind(disk)
  disk.lock = (path) => {
    // As its own start would have done.
    if (path.startsWith('/a/')) disk.rename('/a/topic-0', `/a/topic-0.${'0'.repeat(32)}-delete`)
    return lock(path)
  }
  const { manager } = await open(disk, ['/a', '/b'])
  expect(manager.log('topic', 0)).toMatchObject({ directory: '/b', logEndOffset: 3 })
  await manager.shutdown()
})

test('a note that cannot be read is none, and two logs of a partition are refused then', async () => {
  const { disk } = await moved()
  const contents = disk.readFile(`/a/${MOVED_REPLICAS_FILE}`)
  contents[10]! ^= 1
  overwriteFile(disk, `/a/${MOVED_REPLICAS_FILE}`, contents)
  bringBack(disk)
  await expect(open(disk, ['/a', '/b'])).rejects.toThrow(/as well: remove one of the two/)
})
