import { expect, test } from 'vitest'
import { ExhaustiveChoices } from './choices.ts'
import { SimulatedDisk } from './simulated-disk.ts'

/** What a crash may leave of a fine disk: hand-counted, since everything that attacks storage relies on it. */

const SECTOR = 512
const PAGE = 1024

function outcomesOf(disk: SimulatedDisk, path: string): Set<string> {
  const choices = new ExhaustiveChoices()
  const found = new Set<string>()
  do {
    const crashed = disk.crashed(choices)
    const key = crashed.stat(path) === null ? 'absent' : crashed.peek(path).toString('latin1')
    expect(found.has(key), 'each outcome comes once').toBe(false)
    found.add(key)
  } while (choices.next())
  return found
}

function syncedFile(contents: string): { disk: SimulatedDisk; write: (text: string, position: number) => void } {
  const disk = new SimulatedDisk({ finePageBytes: PAGE })
  const file = disk.openFile('/f', { create: true })
  const write = (text: string, position: number) => file.write(Buffer.from(text), 0, text.length, position)
  write(contents, 0)
  file.syncDataNow()
  disk.syncDirectory('/')
  return { disk, write }
}

function namesAfterCrashes(disk: SimulatedDisk): Set<string> {
  const choices = new ExhaustiveChoices()
  const found = new Set<string>()
  do {
    const crashed = disk.crashed(choices)
    found.add(
      crashed
        .listDirectory('/')
        .map((name) => `${name}=${crashed.peek(`/${name}`)}`)
        .join(' '),
    )
  } while (choices.next())
  return found
}

test('a crash leaves any version that a page had since it was synced, also one that was written over', () => {
  const { disk, write } = syncedFile('aaaa')
  write('b', 0)
  write('c', 1)
  write('d', 0)
  expect(outcomesOf(disk, '/f')).toEqual(new Set(['aaaa', 'baaa', 'bcaa', 'dcaa']))
})

test('a page may be torn at a sector, either way round', () => {
  const { disk, write } = syncedFile('a'.repeat(PAGE))
  write('b'.repeat(PAGE), 0)
  const half = (letter: string) => letter.repeat(SECTOR)
  expect(outcomesOf(disk, '/f')).toEqual(
    new Set([half('b') + half('b'), half('a') + half('a'), half('b') + half('a'), half('a') + half('b')]),
  )
})

test('pages reach the medium in any order, and the size without them', () => {
  const { disk, write } = syncedFile('')
  write('a', 0)
  write('b', PAGE)
  const zeros = (count: number) => '\0'.repeat(count)
  expect(outcomesOf(disk, '/f')).toEqual(
    new Set(['', 'a', '\0', `a${zeros(PAGE - 1)}b`, `a${zeros(PAGE - 1)}\0`, `${zeros(PAGE)}b`, zeros(PAGE + 1)]),
  )
})

test('what a sync covered when it began is there, and what was written meanwhile may be', async () => {
  const disk = new SimulatedDisk({ finePageBytes: PAGE })
  const file = disk.openFile('/f', { create: true })
  disk.syncDirectory('/')
  file.write(Buffer.from('ab'), 0, 2, 0)
  const sync = file.syncData()
  file.write(Buffer.from('c'), 0, 1, 0)
  await sync
  expect(outcomesOf(disk, '/f')).toEqual(new Set(['ab', 'cb']))
})

test('a name that was not synced may be lost, and a rename undone', () => {
  const { disk } = syncedFile('old')
  const file = disk.openFile('/g', { create: true })
  file.write(Buffer.from('new'), 0, 3, 0)
  file.syncDataNow()
  disk.rename('/g', '/f')
  const left = [...namesAfterCrashes(disk)].sort()
  expect(left).toEqual(['f=new', 'f=old', 'f=old g=new'])
})

test('the name of a new file that was synced itself may be there without those before it', () => {
  const disk = new SimulatedDisk({ finePageBytes: PAGE, looseNames: true })
  for (const name of ['a', 'b', 'c']) {
    const file = disk.openFile(`/${name}`, { create: true })
    if (name !== 'a') file.syncDataNow()
  }
  disk.rename('/c', '/d')
  expect([...namesAfterCrashes(disk)].sort()).toEqual([
    '',
    'a=',
    'a= b=',
    'a= b= c=',
    'a= b= d=',
    'a= c=',
    'b=',
    'b= c=',
    'c=',
  ])
})

test('copies of a disk share what does not differ, and nothing else', () => {
  const { disk, write } = syncedFile('aa')
  const crashed = disk.crashed({ choose: () => 0 })
  const fork = disk.fork()
  write('b', 0)
  const file = fork.openFile('/f', { create: false })
  file.write(Buffer.from('c'), 0, 1, 1)
  file.truncate(3)
  crashed.corrupt('/f', 0, 1)
  expect([disk, fork, crashed].map((each) => each.peek('/f').toString())).toEqual(['ba', 'ac\0', '`a'])
  expect(outcomesOf(disk, '/f')).toEqual(new Set(['aa', 'ba']))
  expect(new Set([disk, fork, crashed].map((each) => each.digest())).size).toBe(3)
  expect(outcomesOf(crashed, '/f')).toEqual(new Set(['`a']))
})

test('what a failed sync dropped is lost in a crash, although it can be read until then', () => {
  const { disk, write } = syncedFile('aa')
  write('b', 0)
  disk.fault = (operation) => (operation === 'sync' ? 'DISK_IO' : null)
  expect(() => disk.openFile('/f', { create: false }).syncDataNow()).toThrow('EIO')
  expect(disk.peek('/f').toString()).toBe('ba')
  expect(outcomesOf(disk.fork(), '/f')).toEqual(new Set(['aa']))
})

test('a fork goes its own way, with what is not synced', () => {
  const { disk, write } = syncedFile('aa')
  write('b', 0)
  const fork = disk.fork()
  write('c', 0)
  disk.openFile('/other', { create: true })
  expect(outcomesOf(fork, '/f')).toEqual(new Set(['aa', 'ba']))
  expect(fork.listDirectory('/')).toEqual(['f'])
})

test('a digest tells names and contents apart', () => {
  const digests = new Set<string>()
  const disk = new SimulatedDisk()
  digests.add(disk.digest())
  const file = disk.openFile('/f', { create: true })
  digests.add(disk.digest())
  file.write(Buffer.from('a'), 0, 1, 0)
  digests.add(disk.digest())
  disk.rename('/f', '/g')
  digests.add(disk.digest())
  file.write(Buffer.from([0]), 0, 1, 1)
  digests.add(disk.digest())
  expect(digests.size).toBe(5)
  expect(disk.fork().digest()).toBe(disk.digest())
})

test('a write that fails may have reached the file in part', () => {
  const { disk, write } = syncedFile('aaaa')
  disk.fault = () => 'DISK_FULL'
  disk.shortWrite = (_, sizeBytes) => sizeBytes / 2
  expect(() => write('bbbb', 0)).toThrow('ENOSPC')
  expect(disk.peek('/f').toString()).toBe('bbaa')
})

test('a medium that is taken away takes with it what was synced, and a crash does not bring it back', () => {
  const disk = new SimulatedDisk()
  for (const directory of ['/a', '/b']) {
    disk.makeDirectory(directory)
    const file = disk.openFile(`${directory}/f`, { create: true })
    file.write(Buffer.from('x'), 0, 1, 0)
    file.syncDataNow()
    disk.syncDirectory(directory)
  }
  disk.syncDirectory('/')
  disk.takeAway('/a')
  const crashed = disk.crashed({ choose: (count) => count - 1 })
  expect(crashed.listDirectory('/')).toEqual(['b'])
  expect(crashed.peek('/b/f').toString()).toBe('x')
  disk.makeDirectory('/a')
  expect(disk.listDirectory('/a')).toEqual([])
})
