import { DiskError } from '@millrace/base'
import { expect, test } from 'vitest'
import { GroupCommit, type Syncable, type SyncState } from './group-commit.ts'

class FakeLog implements Syncable {
  syncState: SyncState = 'idle'
  needsSync = false
  syncCount = 0
  end: (error?: DiskError) => void = () => undefined

  sync(): Promise<void> {
    this.needsSync = false
    this.syncCount++
    return new Promise((resolve, reject) => {
      this.end = (error) => (error === undefined ? resolve() : reject(error))
    })
  }
}

function logs(count: number): FakeLog[] {
  return Array.from({ length: count }, () => new FakeLog())
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

const neverFails = (): never => {
  throw new Error('no failure is expected')
}

test('appends during a sync are covered by one more sync', async () => {
  const commit = new GroupCommit(2, neverFails)
  const [log] = logs(1)
  log!.needsSync = true
  commit.schedule(log!)
  log!.needsSync = true
  for (let count = 0; count < 5; count++) commit.schedule(log!)
  expect(log!.syncCount).toBe(1)
  log!.end()
  await turns()
  expect(log!.syncCount).toBe(2)
  log!.end()
  await turns()
  expect(log!.syncCount).toBe(2)
  await commit.whenIdle()
})

test('what is appended during a sync is not synced when nobody asked for it: the log may trust the page cache', async () => {
  const commit = new GroupCommit(2, neverFails)
  const [log] = logs(1)
  log!.needsSync = true
  commit.schedule(log!)
  log!.needsSync = true
  log!.end()
  await turns()
  expect([log!.syncCount, log!.syncState]).toEqual([1, 'idle'])
  commit.schedule(log!)
  expect(log!.syncCount).toBe(2)
  log!.end()
  await commit.whenIdle()
})

test('no more syncs run at once than allowed, and those that waited come before busy ones', async () => {
  const commit = new GroupCommit(2, neverFails)
  const list = logs(4)
  for (const log of list) {
    log.needsSync = true
    commit.schedule(log)
  }
  expect(list.map(({ syncCount }) => syncCount)).toEqual([1, 1, 0, 0])
  list[0]!.needsSync = true
  commit.schedule(list[0]!)
  list[0]!.end()
  await turns()
  expect(list.map(({ syncCount }) => syncCount)).toEqual([1, 1, 1, 0])
  list[1]!.end()
  await turns()
  expect(list.map(({ syncCount }) => syncCount)).toEqual([1, 1, 1, 1])
  list[2]!.end()
  await turns()
  expect(list[0]!.syncCount).toBe(2)
})

test('a failure is told once and nothing is synced any more', async () => {
  const errors: DiskError[] = []
  const commit = new GroupCommit(1, (error) => errors.push(error))
  const list = logs(2)
  for (const log of list) {
    log.needsSync = true
    commit.schedule(log)
  }
  list[0]!.needsSync = true
  list[0]!.end(new DiskError('DISK_IO', 'sync', '/x', 'EIO'))
  await turns()
  expect(errors.map(({ code }) => code)).toEqual(['DISK_IO'])
  commit.schedule(list[0]!)
  commit.schedule(list[1]!)
  await turns()
  expect(list.map(({ syncCount }) => syncCount)).toEqual([1, 0])
  await commit.whenIdle()
})
