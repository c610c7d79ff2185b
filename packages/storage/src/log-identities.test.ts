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

  test.each(['deleteLog', 'setAsideStray'] as const)(
    'is there once after a loss of power, where one was taken out of use by %s and made anew in the other',
    async (takeAway) => {
      const disk = new SimulatedDisk()
      const opened = await openBoth(disk)
      const old = opened.manager.createLog('topic', 0, TOPIC_ID, '/one')
      await fill(opened, old, 40)
      opened.manager[takeAway](old)
      await fill(opened, opened.manager.createLog('topic', 0, TOPIC_ID, '/two'), 10)
      opened.timers.advance(2000)
      await turns()
      for (const choose of [() => 0, (count: number) => count - 1]) {
        const again = await openBoth(disk.crashed({ choose }))
        await expectValues(again.manager.log('topic', 0), 10)
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
    'have the start refused where both reach it, again and again, after a %s, and nothing is lost',
    async (end) => {
      const disk = await twoTopics(end)
      copyDirectory(disk, '/data/b-0', '/data/d-0')
      const directories = ['/data/a-0', '/data/b-0', '/data/d-0']
      const before = [...directories.map((path) => contentsOf(disk, path)), namesOf(disk)]
      for (let start = 0; start < 2; start++) {
        await expect(open(disk)).rejects.toThrow(
          /data\/b-0: names the same partition of the same topic as \/data\/d-0.*move all but the right one/,
        )
        expect([...directories.map((path) => contentsOf(disk, path)), namesOf(disk)]).toEqual(before)
      }
      // The operator has decided.
      disk.rename('/data/d-0', '/data/kept')
      for (let start = 0; start < 2; start++) {
        const mended = await open(disk)
        expect(mended.errors).toEqual([])
        await expectValues(mended.manager.log('b', 0), 40)
        await expectValues(mended.manager.log('a', 0), 7)
        await mended.manager.shutdown()
      }
    },
  )

  test('have the start refused where there is no mark to tell, in whatever log directory they are', async () => {
    const disk = new SimulatedDisk()
    const opened = await openBoth(disk)
    await fill(opened, opened.manager.createLog('b', 0, TOPIC_ID, '/two'), 40)
    await opened.manager.shutdown()
    copyDirectory(disk, '/two/b-0', '/two/d-0')
    disk.removeFile('/two/durable-mark')
    const cleanFiles = () => ['/one', '/two'].map((path) => disk.stat(`${path}/.kafka_cleanshutdown`) !== null)
    for (let start = 0; start < 2; start++) {
      await expect(openBoth(disk)).rejects.toThrow(/two\/b-0: names the same partition/)
      // Of neither directory the next start must think that it was killed.
      expect(cleanFiles()).toEqual([true, true])
    }
  })

  test('count where there are segments, whatever the mark says', async () => {
    const disk = await twoTopics('kill')
    disk.makeDirectory('/data/d-0')
    overwriteFile(disk, '/data/d-0/partition.metadata', disk.peek('/data/b-0/partition.metadata'))
    disk.removeFile('/data/durable-mark')
    for (let start = 0; start < 2; start++) {
      const again = await open(disk)
      expect(again.errors).toEqual([LEFT_OUT])
      await expectValues(again.manager.log('b', 0), 40)
      await again.manager.shutdown()
    }
  })
})

/** All names of the log directory but that of its lock. */
function namesOf(disk: SimulatedDisk): string {
  return disk.listDirectory('/data').sort().join(' ')
}

describe('directories that name no topic', () => {
  /** Three topics, of which the ids were lost, and a start that has seen them so. */
  async function withoutIds(): Promise<SimulatedDisk> {
    const disk = new SimulatedDisk()
    const opened = await open(disk)
    for (const [slot, topic] of ['a', 'b', 'c'].entries()) {
      const topicId = ['YWFhYWFhYWFhYWFhYWFhYQ', 'YmJiYmJiYmJiYmJiYmJiYg', 'Y2NjY2NjY2NjY2NjY2NjYw'][slot] as Uuid
      await fill(opened, opened.manager.createLog(topic, 0, topicId), [7, 40, 20][slot]!)
    }
    await opened.manager.shutdown()
    for (const topic of ['a', 'b', 'c']) disk.removeFile(`/data/${topic}-0/partition.metadata`)
    return disk
  }

  test.each(['clean stop', 'kill', 'power loss'])('do not share an entry of the mark, after a %s', async (end) => {
    let disk = await withoutIds()
    for (let start = 0; start < 4; start++) {
      const again = await open(disk)
      expect(again.errors).toEqual([])
      for (const [topic, count] of [
        ['a', 7],
        ['b', 40],
        ['c', 20],
      ] as const) {
        const log = again.manager.log(topic, 0)
        expect([topic, log?.faultyRanges]).toEqual([topic, []])
        await expectValues(log, count + start)
        await fill(again, log!, count + start + 1)
      }
      again.timers.advance(2000)
      await turns()
      if (end === 'clean stop') await again.manager.shutdown()
      else disk = end === 'kill' ? disk.killed() : disk.crashed({ choose: () => 0 })
    }
  })

  test('have what is damaged in them kept, not cut off as if it had never been synced', async () => {
    const before = await withoutIds()
    const seen = await open(before)
    await turns()
    seen.timers.advance(2000)
    await turns()
    const disk = before.killed()
    const path = `/data/b-0/${lastLog(disk, '/data/b-0')}`
    const contents = disk.peek(path)
    disk.corrupt(path, contents.length - 100, 1)
    for (let start = 0; start < 2; start++) {
      const again = await open(disk)
      const log = again.manager.log('b', 0)!
      expect(log.logEndOffset).toBe(40)
      expect(log.faultyRanges).toHaveLength(1)
      await again.manager.shutdown()
    }
  })
})

test('a directory that was away for some starts is held against its entry of the mark when it is back', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  await fill(opened, opened.manager.createLog('b', 0, TOPIC_ID), 40)
  await fill(opened, opened.manager.createLog('a', 0, OTHER_ID), 7)
  await opened.manager.shutdown()
  disk.rename('/data/b-0', '/data/away')
  for (let start = 0; start < 2; start++) await (await open(disk)).manager.shutdown()
  disk.rename('/data/away', '/data/b-0')
  const last = disk
    .listDirectory('/data/b-0')
    .filter((name) => name.endsWith('.log'))
    .at(-1)!
  const contents = disk.peek(`/data/b-0/${last}`)
  overwriteFile(disk, `/data/b-0/${last}`, contents.subarray(0, contents.length - 100))
  const again = await open(disk)
  expect(again.manager.log('b', 0)!.logEndOffset).toBe(40)
  expect(again.manager.log('b', 0)!.faultyRanges).toHaveLength(1)
})

function lastLog(disk: SimulatedDisk, path: string): string {
  return disk
    .listDirectory(path)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!
}
