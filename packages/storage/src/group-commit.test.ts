import { DiskError, SimulatedClock, SimulatedTimers } from '@millrace/base'
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
  const commit = new GroupCommit(2, 2, neverFails)
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
  const commit = new GroupCommit(2, 2, neverFails)
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
  const commit = new GroupCommit(2, 2, neverFails)
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
  const commit = new GroupCommit(1, 1, (error) => errors.push(error))
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

const SYNC_MS = 5

/** Each sync takes {@link SYNC_MS} of simulated time. */
class SlowLog implements Syncable {
  syncState: SyncState = 'idle'
  needsSync = false
  syncCount = 0
  readonly #timers: SimulatedTimers
  readonly #running: { count: number; most: number }

  constructor(timers: SimulatedTimers, running: { count: number; most: number }) {
    this.#timers = timers
    this.#running = running
  }

  async sync(): Promise<void> {
    this.needsSync = false
    this.#running.most = Math.max(this.#running.most, ++this.#running.count)
    await new Promise<void>((resolve) => this.#timers.setTimer(SYNC_MS, resolve))
    this.#running.count--
    this.syncCount++
  }
}

/** Logs of which each is written to in every millisecond that {@link pass} lets go by. */
function busyLogs(count: number, maxConcurrency: number) {
  const timers = new SimulatedTimers(new SimulatedClock())
  const running = { count: 0, most: 0 }
  const commit = new GroupCommit(2, maxConcurrency, neverFails)
  const busy = Array.from({ length: count }, () => new SlowLog(timers, running))
  const newcomer = new SlowLog(timers, running)
  const write = (log: SlowLog): void => {
    log.needsSync = true
    commit.schedule(log)
  }
  const pass = async (): Promise<void> => {
    for (const log of busy) write(log)
    timers.advance(1)
    await turns()
  }
  return { busy, newcomer, running, write, pass }
}

test.each([2, 6])(
  'who comes among 200 busy logs waits for one sync of each, %i at a time, and no busy log for more',
  async (maxConcurrency) => {
    const { busy, newcomer, running, write, pass } = busyLogs(200, maxConcurrency)
    for (let ms = 0; ms < 700; ms++) await pass()
    const before = busy.map(({ syncCount }) => syncCount)
    write(newcomer)
    let waitedMs = 0
    while (newcomer.syncCount === 0 && waitedMs < 10_000) {
      await pass()
      waitedMs++
    }
    // The syncs that run, those of all others, and its own.
    expect(waitedMs).toBeLessThanOrEqual(SYNC_MS * (1 + Math.ceil(200 / maxConcurrency) + 1))
    expect(waitedMs).toBeGreaterThan(SYNC_MS * Math.floor(190 / maxConcurrency))
    expect(running.most).toBe(maxConcurrency)
    const rounds = busy.map(({ syncCount }, slot) => syncCount - before[slot]!)
    expect(Math.max(...rounds) - Math.min(...rounds)).toBeLessThanOrEqual(1)
  },
)

test('a log is synced once at a time, although its turn comes while it is being synced', async () => {
  const commit = new GroupCommit(2, 2, neverFails)
  const [slow, other] = logs(2)
  slow!.needsSync = true
  commit.schedule(slow!)
  slow!.needsSync = true
  commit.schedule(slow!)
  for (let round = 1; round <= 5; round++) {
    other!.needsSync = true
    commit.schedule(other!)
    expect([slow!.syncCount, other!.syncCount]).toEqual([1, round])
    other!.end()
    await turns()
  }
  slow!.end()
  await turns()
  expect(slow!.syncCount).toBe(2)
})

test('few logs are synced few at a time: what comes meanwhile shares the next sync', async () => {
  const { busy, running, pass } = busyLogs(4, 6)
  for (let ms = 0; ms < 100; ms++) await pass()
  expect(running.most).toBe(2)
  expect(Math.min(...busy.map(({ syncCount }) => syncCount))).toBeGreaterThanOrEqual(8)
})

test('logs that wait for their first sync are forgotten when asked, those that ask for another are not', async () => {
  const commit = new GroupCommit(1, 1, neverFails)
  const [running, waiting] = logs(2)
  for (const log of [running!, waiting!]) {
    log.needsSync = true
    commit.schedule(log)
  }
  running!.needsSync = true
  commit.schedule(running!)
  commit.clear()
  running!.end()
  await turns()
  expect([running!.syncCount, waiting!.syncCount, waiting!.syncState]).toEqual([2, 0, 'idle'])
  running!.end()
  await commit.whenIdle()
})
