import { DiskError, SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { Log } from './index.ts'
import { LogMove } from './log-move.ts'
import { readMovedReplicas } from './moved-replicas.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import { append, overwriteFile, SMALL, turns } from './testing/log-driver.ts'
import { type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/** What a move does to the two directories, one step at a time, with a loss of power, a failure or a stop in between (docs/adr/0009). */

interface Moving extends Harness {
  disk: SimulatedDisk
  clock: SimulatedClock
  timers: SimulatedTimers
  source: Log
  future: Log
  move: LogMove
}

const DIRECTORIES = ['/a', '/b', '/c']
const OTHER_TOPIC_ID = 'MBBBBBBBBBBBBBBBBBBBBA' as Uuid

async function open(disk: SimulatedDisk, directories = DIRECTORIES, config = SMALL) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  return { ...(await openStorage({ disk, clock, timers, directories, config })), disk, clock, timers }
}

/** A log with three records in `/a`, all of which the future one in `/b` has as well, durably. `prepare`: before that is made. */
async function begin(prepare: (disk: SimulatedDisk) => void = () => undefined, config = SMALL): Promise<Moving> {
  const disk = new SimulatedDisk()
  const opened = await open(disk, DIRECTORIES, config)
  const { manager, clock, timers } = opened
  const source = manager.createLog('topic', 0, TOPIC_ID, '/a')
  for (const value of ['a', 'b', 'c']) append(source, [value])
  manager.flushStaged()
  await turns()
  prepare(disk)
  const future = manager.futures.create(source, '/b')
  const move = new LogMove({ source, future, futures: manager.futures, clock, timers })
  const moving = { ...opened, source, future, move }
  await copy(moving)
  expect(future.durableOffset).toBe(3)
  return moving
}

async function copy({ manager, move }: Moving): Promise<void> {
  while ((await move.copy(1 << 20)) > 0) manager.flushStaged()
  await turns()
}

/** Whether the future log took the place of the other. */
async function replace({ move, source, timers }: Moving, onReplaced: () => void = () => undefined): Promise<boolean> {
  let isEnded = false
  const replacing = move.replace(source.durableOffset, 1_000, onReplaced).finally(() => {
    isEnded = true
  })
  for (let count = 0; count < 1_000 && !isEnded; count++) {
    await turns(50)
    timers.advance(2)
  }
  await turns()
  return replacing
}

/** Power is lost, and with it everything that was not synced. */
function crashed(disk: SimulatedDisk): SimulatedDisk {
  return disk.crashed({ choose: (count) => count - 1 })
}

/** Where a start on the disk finds the log, and where that ends. */
async function found(disk: SimulatedDisk) {
  const { manager } = await open(disk)
  const log = manager.log('topic', 0)
  const end = { directory: log?.directory, logEndOffset: log?.logEndOffset }
  await manager.shutdown()
  return end
}

function makeDirectory(disk: SimulatedDisk, path: string, metadata: boolean): void {
  disk.makeDirectory(path)
  if (metadata) overwriteFile(disk, `${path}/partition.metadata`, encodePartitionMetadata(TOPIC_ID))
  disk.syncDirectory(path)
  disk.syncDirectory(path.slice(0, path.lastIndexOf('/')))
}

/** What waits on the disk for its end, and lets it come to that. */
function hold(disk: SimulatedDisk, isHeld: (operation: string, path: string) => boolean): () => void {
  const waiting: (() => void)[] = []
  disk.settle = (operation, path) =>
    isHeld(operation, path) ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  return () => {
    disk.settle = () => Promise.resolve()
    for (const wake of waiting.splice(0)) wake()
  }
}

test('what only the future log has on the disk does not count before its new name does', async () => {
  const moving = await begin()
  const { disk, manager, source, future } = moving
  // The disk that is left is the slower one.
  const release = hold(disk, (operation, path) => operation === 'sync' && path.startsWith('/a/topic-0/'))
  append(source, ['d'])
  manager.flushStaged()
  await turns()
  await copy(moving)
  expect([source.durableOffset, future.durableOffset]).toEqual([3, 4])
  let certainOffset = -1
  let left = disk
  await replace(moving, () => {
    certainOffset = future.durableOffset
    left = crashed(disk)
  })
  expect(certainOffset).toBe(3)
  expect(await found(left)).toEqual({ directory: '/a', logEndOffset: 3 })
  expect(future.durableOffset).toBe(4)
  release()
  await manager.shutdown()
})

describe('a move is settled', () => {
  test('not while the directory of the log has failed, whose new name may be lost', async () => {
    const moving = await begin()
    const { disk, manager, future } = moving
    const release = hold(disk, (operation, path) => operation === 'sync directory' && path === '/b')
    expect(await replace(moving)).toBe(true)
    disk.syncDirectory('/a')
    disk.fault = (operation, path) => (operation === 'write' && path.startsWith('/b/') ? 'DISK_IO' : null)
    append(future, ['d'])
    manager.flushStaged()
    expect(future.failed).toBe(true)
    await manager.futures.settle(TOPIC_ID, 0)
    expect(readMovedReplicas(disk, '/a')).toHaveLength(1)
    expect(await found(crashed(disk))).toEqual({ directory: '/b', logEndOffset: 3 })
    release()
    await manager.shutdown()
  })

  test('not where the directory of the log fails meanwhile', async () => {
    const moving = await begin()
    const { disk, manager, future } = moving
    let release = (): void => undefined
    const isReplaced = await replace(moving, () => {
      release = hold(disk, (operation, path) => operation === 'sync directory' && ['/a', '/b'].includes(path))
    })
    expect(isReplaced).toBe(true)
    const settling = manager.futures.settle(TOPIC_ID, 0)
    disk.fault = (operation, path) => (operation === 'write' && path.startsWith('/b/') ? 'DISK_IO' : null)
    append(future, ['d'])
    manager.flushStaged()
    expect(future.failed).toBe(true)
    release()
    await settling
    expect(readMovedReplicas(disk, '/a')).toHaveLength(1)
    await manager.shutdown()
  })

  test('not while the log is only about to be replaced', async () => {
    const moving = await begin()
    const { disk, manager } = moving
    const { futures } = manager
    const note = futures.noteReplacement.bind(futures)
    // As when the metadata is looked at meanwhile, which says what is still so.
    futures.noteReplacement = async (source, future) => {
      await note(source, future)
      await futures.settle(TOPIC_ID, 0)
    }
    expect(await replace(moving)).toBe(true)
    expect(readMovedReplicas(disk, '/a')).toHaveLength(1)
    await manager.shutdown()
  })

  test('with the directory of the log that was replaced, where a full disk had refused it another name', async () => {
    const moving = await begin()
    const { disk, manager } = moving
    disk.fault = (operation, path) => (operation === 'rename' && path === '/a/topic-0' ? 'DISK_FULL' : null)
    expect(await replace(moving)).toBe(true)
    await expect(manager.futures.settle(TOPIC_ID, 0)).rejects.toThrow(DiskError)
    expect(readMovedReplicas(disk, '/a')).toHaveLength(1)
    disk.fault = () => null
    await manager.futures.settle(TOPIC_ID, 0)
    expect(readMovedReplicas(disk, '/a')).toEqual([])
    expect(disk.listDirectory('/a')).not.toContain('topic-0')
    expect(await found(disk.killed())).toEqual({ directory: '/b', logEndOffset: 3 })
    await manager.shutdown()
  })

  test('before a stop that comes meanwhile closes the directories', async () => {
    const moving = await begin()
    const { disk, manager } = moving
    expect(await replace(moving)).toBe(true)
    let release: (() => void) | null = null
    disk.settle = (operation, path) => {
      if (operation !== 'sync directory' || path !== '/a' || release !== null) return Promise.resolve()
      return new Promise((resolve) => {
        release = resolve
      })
    }
    const settling = manager.futures.settle(TOPIC_ID, 0)
    const stopping = manager.shutdown()
    await turns(1000)
    release!()
    await settling
    await stopping
    expect(readMovedReplicas(disk, '/a')).toEqual([])
    await manager.futures.settle(TOPIC_ID, 0)
    const again = await open(disk)
    expect(again.manager.recoveredUncleanly).toBe(false)
    await again.manager.shutdown()
  })
})

test.each(['deleteLog', 'setAsideStray'] as const)(
  '%s of a log forgets what was noted of its last move',
  async (way) => {
    const moving = await begin()
    const { disk, manager, future } = moving
    expect(await replace(moving)).toBe(true)
    expect(readMovedReplicas(disk, '/a')).toHaveLength(1)
    manager[way](future)
    await turns()
    expect(readMovedReplicas(disk, '/a')).toEqual([])
    await manager.shutdown()
  },
)

test('a note of a log that is gone since then is forgotten by the next start', async () => {
  const moving = await begin()
  const { disk, manager, future } = moving
  expect(await replace(moving)).toBe(true)
  await turns()
  // The process is killed before it comes to the note.
  manager.futures.settle = () => Promise.resolve()
  manager.deleteLog(future)
  const left = disk.killed()
  expect(readMovedReplicas(left, '/a')).toHaveLength(1)
  const first = await open(left)
  expect(readMovedReplicas(left, '/a')).toEqual([])
  const again = first.manager.createLog('topic', 0, TOPIC_ID, '/a')
  append(again, ['anew'])
  first.manager.flushStaged()
  await turns()
  // Nothing of it was ever in the directory that is missing now.
  const second = await open(left.killed(), ['/a', '/c'])
  expect(second.manager.log('topic', 0)?.logEndOffset).toBe(1)
  await second.manager.shutdown()
})

test('a start with a full disk leaves the log that was replaced until the move is settled', async () => {
  const moving = await begin()
  const { disk } = moving
  disk.fault = (operation, path) => (operation === 'rename' && path === '/a/topic-0' ? 'DISK_FULL' : null)
  expect(await replace(moving)).toBe(true)
  await turns()
  const left = disk.killed()
  left.fault = disk.fault
  const { manager } = await open(left)
  expect(manager.log('topic', 0)).toMatchObject({ directory: '/b', logEndOffset: 3 })
  left.fault = () => null
  await manager.futures.settle(TOPIC_ID, 0)
  expect(left.listDirectory('/a')).not.toContain('topic-0')
  await manager.shutdown()
})

test('a move that is closed in the very moment before the exchange does not go on', async () => {
  const moving = await begin()
  const { manager, move, source } = moving
  const { futures } = manager
  const note = futures.noteReplacement.bind(futures)
  futures.noteReplacement = (from, to) => {
    const noted = note(from, to)
    // Once it was seen that all is at rest, and before that is acted upon.
    queueMicrotask(() => void noted.then(() => void move.close()))
    return noted
  }
  expect(await replace(moving)).toBe(false)
  expect(manager.log('topic', 0)).toBe(source)
  await manager.shutdown()
})

test('much that is appended while a move is noted is not copied in one go', async () => {
  const moving = await begin(undefined, { ...SMALL, segmentBytes: 1 << 30 })
  const { manager, source, future } = moving
  const { futures } = manager
  const note = futures.noteReplacement.bind(futures)
  const value = 'x'.repeat(1 << 20)
  futures.noteReplacement = async (from, to) => {
    await note(from, to)
    for (let count = 0; count < 12; count++) append(source, [value])
    manager.flushStaged()
  }
  const read = source.read.bind(source)
  let inOneGo = 0
  let mostInOneGo = 0
  source.read = (...args) => {
    if (inOneGo++ === 0) queueMicrotask(() => (inOneGo = 0))
    mostInOneGo = Math.max(mostInOneGo, inOneGo)
    return read(...args)
  }
  expect(await replace(moving)).toBe(true)
  expect(future.logEndOffset).toBe(15)
  expect(mostInOneGo).toBeLessThanOrEqual(9)
  await manager.shutdown()
})

describe('what lies in the way of a future log', () => {
  test.each([
    { metadata: true, isRenamed: false },
    { metadata: true, isRenamed: true },
    { metadata: false, isRenamed: true },
  ])('goes: what an interrupted making left, %o', async ({ metadata, isRenamed }) => {
    const moving = await begin((disk) => makeDirectory(disk, '/b/topic-0', metadata))
    await expectFoundAfterCrash(moving, isRenamed)
  })

  test.each([false, true])('goes: another future log that was given up, renamed %s', async (isRenamed) => {
    const stale = `/b/topic-0.${'0'.repeat(32)}-future`
    await expectFoundAfterCrash(await begin((disk) => makeDirectory(disk, stale, true)), isRenamed)
  })

  test.each([false, true])('does not count where it is in a third directory, renamed %s', async (isRenamed) => {
    const moving = await begin((disk) => makeDirectory(disk, '/c/topic-0', true))
    await expectFoundAfterCrash(moving, isRenamed)
  })

  test('stays if it is of another partition', async () => {
    const other = `topic-0.x-5.${'0'.repeat(32)}-future`
    const { disk, manager } = await begin((disk) => makeDirectory(disk, `/b/${other}`, true))
    expect(disk.listDirectory('/b')).toContain(other)
    await manager.shutdown()
  })

  test('refuses it while that is the log of another topic of this name', async () => {
    const disk = new SimulatedDisk()
    const first = await open(disk)
    append(first.manager.createLog('topic', 0, TOPIC_ID, '/a'), ['a'])
    await first.manager.shutdown()
    makeDirectory(disk, '/b/topic-0', false)
    overwriteFile(disk, '/b/topic-0/partition.metadata', encodePartitionMetadata(OTHER_TOPIC_ID))
    overwriteFile(disk, '/b/topic-0/00000000000000000000.log', Buffer.alloc(0))
    disk.writeBackAll()
    const { manager } = await open(disk)
    const source = manager.log('topic', 0)!
    expect([source.directory, [...manager.logs()].length]).toEqual(['/a', 2])
    expect(() => manager.futures.create(source, '/b')).toThrow(DiskError)
    expect(manager.directories().map(({ online }) => online)).toEqual([true, true, true])
    expect(disk.listDirectory('/b')).toContain('topic-0')
    await manager.shutdown()
  })

  test('goes before its entry in the durable mark does', async () => {
    const moving = await begin()
    const { disk, manager, clock, timers, future } = moving
    expect(await replace(moving)).toBe(true)
    const changes: string[] = []
    disk.onChange = (operation, path) => changes.push(`${operation} ${path}`)
    const back = manager.futures.create(future, '/a')
    const [names, mark] = ['sync directory /a', 'sync /a/durable-mark'].map((change) => changes.indexOf(change))
    expect(names).toBeGreaterThanOrEqual(0)
    expect(mark).toBeGreaterThan(names!)
    await new LogMove({ source: future, future: back, futures: manager.futures, clock, timers }).close()
    await manager.shutdown()
  })
})

/** Power is lost just after the exchange, of which `/b` had nothing on the disk, and `/a` its part if it `isRenamed`. */
async function expectFoundAfterCrash(moving: Moving, isRenamed: boolean): Promise<void> {
  const { disk, manager } = moving
  let left = disk
  const isReplaced = await replace(moving, () => {
    const fork = disk.fork()
    if (isRenamed) fork.syncDirectory('/a')
    left = crashed(fork)
  })
  expect(isReplaced).toBe(true)
  expect(await found(left)).toEqual({ directory: isRenamed ? '/b' : '/a', logEndOffset: 3 })
  await manager.shutdown()
}
