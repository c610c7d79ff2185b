import { SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { append, SMALL, turns } from './testing/log-driver.ts'
import { type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * A partition's log was in one directory, is deleted there and made anew in another: after a loss of power the former one must not be back beside
 * it, since nobody could tell which of the two counts, and no start would be made.
 */

interface Opened extends Harness {
  disk: SimulatedDisk
}

async function open(disk: SimulatedDisk): Promise<Opened> {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const directories = ['/a', '/b']
  return { ...(await openStorage({ disk, clock, timers, directories, config: SMALL })), disk }
}

async function fill({ manager }: Opened, directory: string): Promise<void> {
  const log = manager.createLog('topic', 0, TOPIC_ID, directory)
  append(log, ['a'])
  manager.flushStaged()
  await turns()
  expect(log.durableOffset).toBe(1)
}

function namesOf({ disk }: Opened): string[] {
  return disk.listDirectory('/b').filter((name) => name.startsWith('topic-0'))
}

/** Each begins when the log has lost its name, of which nothing is synced. */
test.each<[string, (former: Opened) => Promise<Opened>]>([
  ['by the same process', async (former) => former],
  ['after that one was killed', ({ disk }) => open(disk.killed())],
  [
    'after that one was killed, and so was the next, which had removed the rest',
    async ({ disk }) => {
      const next = await open(disk.killed())
      await turns(100)
      expect(namesOf(next)).toEqual([])
      return open(next.disk.killed())
    },
  ],
  [
    'after that one has stopped',
    async ({ disk, manager }) => {
      await manager.shutdown()
      return open(disk)
    },
  ],
])('a log that is made anew elsewhere %s stays the only one', async (_, goOn) => {
  const former = await open(new SimulatedDisk())
  await fill(former, '/b')
  former.manager.deleteLog(former.manager.log('topic', 0)!)
  expect(namesOf(former)).toEqual([expect.stringMatching(/-delete$/)])
  const { disk, ...again } = await goOn(former)
  await fill({ disk, ...again }, '/a')
  const random = new SeededRandom(1)
  // All of what was not synced is gone, then some of it by chance.
  const crashes = [(count: number) => count - 1, ...Array(20).fill((count: number) => random.uint32() % count)]
  for (const choose of crashes) {
    const { manager, errors } = await open(disk.crashed({ choose }))
    expect(manager.log('topic', 0)).toMatchObject({ directory: '/a', logEndOffset: 1 })
    expect(errors).toEqual([])
  }
})
