import { type Disk, type DiskStat, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { makeDurableDirectory, replaceFileAsync } from './atomic-file.ts'

/** The directories that are synced when `path` is made where only `present` are. */
function syncedFor(path: string, present: readonly string[]): string[] {
  const synced: string[] = []
  const stat: DiskStat = { sizeBytes: 0, modifiedMs: 0, isDirectory: true }
  const disk: Pick<Disk, 'stat' | 'makeDirectory' | 'syncDirectory'> = {
    stat: (name) => (present.includes(name) ? stat : null),
    makeDirectory: () => undefined,
    syncDirectory: (name) => synced.push(name),
  }
  makeDurableDirectory(disk as Disk, path)
  return synced
}

test('every directory that got a new name in it is synced', () => {
  expect(syncedFor('/var/lib/a/b', ['/var', '/var/lib'])).toEqual(['/var/lib/a', '/var/lib'])
  expect(syncedFor('/a', [])).toEqual(['/'])
  expect(syncedFor('./data', [])).toEqual(['.'])
})

test('a relative path of one part lies in the current directory', () => {
  expect(syncedFor('data', [])).toEqual(['.'])
  expect(syncedFor('data/logs', [])).toEqual(['data', '.'])
  expect(syncedFor('data/logs', ['data'])).toEqual(['data'])
})

test('a directory that is there is left alone', () => {
  expect(syncedFor('data', ['data'])).toEqual([])
})

test('nothing is written for a file that is not wanted any more', async () => {
  const disk = new SimulatedDisk()
  const changed: string[] = []
  disk.onChange = (operation) => changed.push(operation)
  await replaceFileAsync(disk, '', 'name', Buffer.from('contents'), () => false)
  expect(changed).toEqual([])
})
