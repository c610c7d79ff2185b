import { SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { type Log, ReadResult } from './index.ts'
import { fill, type Opened, open, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

const OTHER_ID = 'b3RoZXJvdGhlcm90aGVybw' as Uuid
const LEFT_OUT = 'log left out'

async function openBoth(disk: SimulatedDisk, directories = ['/one', '/two']): Promise<Opened> {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  return { ...(await openStorage({ disk, clock, timers, directories, config: SMALL })), clock, timers }
}

async function expectValues(log: Log | undefined, count: number): Promise<void> {
  expect(log?.logEndOffset).toBe(count)
  const out = new ReadResult()
  for (let offset = 0; offset < count; offset++) {
    expect(await log!.read(offset, 1, count, true, out)).toBe(true)
    expect(Buffer.concat(out.buffers).toString('latin1')).toContain(`value ${offset}.`)
  }
}

function copyDirectory(disk: SimulatedDisk, from: string, to: string): void {
  disk.makeDirectory(to)
  for (const name of disk.listDirectory(from)) overwriteFile(disk, `${to}/${name}`, disk.peek(`${from}/${name}`))
  disk.syncDirectory(to)
  disk.syncDirectory(to.slice(0, to.lastIndexOf('/')))
}

/** All files of a directory, by name. */
function contentsOf(disk: SimulatedDisk, directory: string): Map<string, string> {
  return new Map(disk.listDirectory(directory).map((name) => [name, disk.peek(`${directory}/${name}`).toString('hex')]))
}

describe('the same partition in two log directories', () => {
  test.each(['clean stop', 'kill'])(
    'has the start refused, again and again, after a %s, and nothing changed',
    async (end) => {
      const disk = new SimulatedDisk()
      const opened = await openBoth(disk)
      await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID, '/one'), 40)
      opened.timers.advance(2000)
      await turns()
      if (end === 'clean stop') await opened.manager.shutdown()
      const found = end === 'kill' ? disk.killed().copy() : disk
      copyDirectory(found, '/one/topic-0', '/two/topic-0')
      const before = [contentsOf(found, '/one/topic-0'), contentsOf(found, '/two/topic-0')]
      const marks = found.listDirectory('/one')
      for (let start = 0; start < 2; start++) {
        await expect(openBoth(found)).rejects.toThrow(
          /two\/topic-0: there is a log of this partition in \/one\/topic-0 as well/,
        )
        expect([contentsOf(found, '/one/topic-0'), contentsOf(found, '/two/topic-0')]).toEqual(before)
      }
      expect(found.listDirectory('/one')).toEqual(marks)
      // The operator has decided.
      found.rename('/two/topic-0', '/two/kept')
      for (let start = 0; start < 2; start++) {
        const again = await openBoth(found)
        expect(again.errors).toEqual([])
        await expectValues(again.manager.log('topic', 0), 40)
        await again.manager.shutdown()
      }
    },
  )

  test.each([
    ['/one', '/two'],
    ['/two', '/one'],
  ])('counts where it has segments: in %s, not %s', async (full, empty) => {
    const disk = new SimulatedDisk()
    const opened = await openBoth(disk)
    await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID, full), 40)
    await opened.manager.shutdown()
    disk.makeDirectory(`${empty}/topic-0`)
    const metadata = disk.peek(`${full}/topic-0/partition.metadata`)
    overwriteFile(disk, `${empty}/topic-0/partition.metadata`, metadata)
    for (let start = 0; start < 2; start++) {
      const again = await openBoth(disk)
      expect(again.warnings).toContain('log left out, another directory has it')
      expect(again.manager.log('topic', 0)?.path).toBe(`${full}/topic-0`)
      await expectValues(again.manager.log('topic', 0), 40)
      await again.manager.shutdown()
    }
  })
})

describe('two directories that name the same partition of a topic', () => {
  /** Two topics; the first has the longer log. */
  async function twoTopics(end: string): Promise<SimulatedDisk> {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    await fill(opened, opened.manager.createLog('b', 0, TOPIC_ID), 40)
    await fill(opened, opened.manager.createLog('a', 0, OTHER_ID), 7)
    await fill(opened, opened.manager.createLog('c', 0, 'Y2NjY2NjY2NjY2NjY2NjYw' as Uuid), 7)
    opened.timers.advance(2000)
    await turns()
    if (end === 'clean stop') await opened.manager.shutdown()
    return end === 'kill' ? disk.killed().copy() : disk
  }

  test.each(['clean stop', 'kill'])(
    'count where the files reach the mark, after a %s; the other stays as it is',
    async (end) => {
      for (const impostor of ['a', 'c']) {
        const disk = await twoTopics(end)
        overwriteFile(disk, `/data/${impostor}-0/partition.metadata`, disk.peek('/data/b-0/partition.metadata'))
        const before = contentsOf(disk, `/data/${impostor}-0`)
        for (let start = 0; start < 2; start++) {
          const again = await open(disk)
          expect(again.errors).toEqual([LEFT_OUT])
          await expectValues(again.manager.log('b', 0), 40)
          expect(again.manager.log(impostor, 0)).toBeUndefined()
          expect(contentsOf(disk, `/data/${impostor}-0`)).toEqual(before)
          await again.manager.shutdown()
        }
      }
    },
  )

  test.each(['clean stop', 'kill'])(
    'are both left out where both reach it, after a %s, and nothing is lost',
    async (end) => {
      const disk = await twoTopics(end)
      copyDirectory(disk, '/data/b-0', '/data/d-0')
      const before = [contentsOf(disk, '/data/b-0'), contentsOf(disk, '/data/d-0')]
      for (let start = 0; start < 2; start++) {
        const again = await open(disk)
        expect(again.errors).toEqual([LEFT_OUT, LEFT_OUT])
        expect([again.manager.log('b', 0), again.manager.log('d', 0)]).toEqual([undefined, undefined])
        await expectValues(again.manager.log('a', 0), 7)
        await again.manager.shutdown()
        expect([contentsOf(disk, '/data/b-0'), contentsOf(disk, '/data/d-0')]).toEqual(before)
      }
      disk.rename('/data/d-0', '/data/kept')
      const mended = await open(disk)
      expect(mended.errors).toEqual([])
      await expectValues(mended.manager.log('b', 0), 40)
    },
  )
})
