import { SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { expect, test } from 'vitest'
import { append, fill, open, turns } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

const OTHER_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid

test.each(['in the same process', 'after a restart'])(
  'the log start of a deleted topic is not taken for that of a new one of its name, made %s',
  async (when) => {
    let disk = new SimulatedDisk()
    let opened = await open(disk)
    const old = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, old, 60)
    old.setHighWatermark(60)
    old.raiseLogStart(35)
    opened.timers.advance(61_000)
    await turns()
    expect(disk.readFile('/data/log-start-offset-checkpoint').toString()).toContain('topic 0 35')
    if (when === 'after a restart') {
      disk = disk.killed()
      opened = await open(disk)
    }
    opened.manager.deleteLog(opened.manager.log('topic', 0)!)
    const log = opened.manager.createLog('topic', 0, OTHER_TOPIC_ID)
    await fill(opened, log, 10)
    opened.timers.advance(2000)
    await turns()
    const killed = disk.killed()
    const again = await open(killed)
    const recovered = again.manager.log('topic', 0)!
    expect([recovered.logStartOffset, recovered.logEndOffset]).toEqual([0, 10])
    expect(killed.listDirectory('/data/topic-0').filter((name) => name.endsWith('.stray'))).toEqual([])
  },
)

test('who comes behind 200 dirty logs is durable after one sync of each, as many at a time as the pool has threads for', async () => {
  const SYNC_MS = 5
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const { manager } = await openStorage({ disk, clock, timers, poolThreadCount: 8 })
  const logs = Array.from({ length: 201 }, (_, partition) => manager.createLog('topic', partition, TOPIC_ID))
  for (const log of logs) append(log, ['first'])
  manager.flushStaged()
  await turns(5000)
  expect(logs.every(({ durableOffset }) => durableOffset === 1)).toBe(true)
  const running = { count: 0, most: 0 }
  disk.settle = (operation) => {
    if (operation !== 'sync') return Promise.resolve()
    running.most = Math.max(running.most, ++running.count)
    return new Promise((resolve) => {
      timers.setTimer(SYNC_MS, () => {
        running.count--
        resolve()
      })
    })
  }
  const [newcomer, ...others] = logs
  for (const log of others) append(log, ['second'])
  manager.flushStaged()
  append(newcomer!, ['second'])
  manager.flushStaged()
  let waitedMs = 0
  while (newcomer!.durableOffset < 2 && waitedMs < 5000) {
    timers.advance(1)
    await turns(20)
    waitedMs++
  }
  expect(running.most).toBe(6)
  // The last few dozen a little slower, since fewer run while few wait.
  expect(waitedMs).toBeLessThanOrEqual(SYNC_MS * (Math.ceil(200 / 6) + 8))
  expect(others.every(({ durableOffset }) => durableOffset === 2)).toBe(true)
})

test.each([
  { poolThreadCount: 2, most: 2 },
  { poolThreadCount: 4, most: 3 },
  { poolThreadCount: 8, most: 3 },
])(
  'few dirty logs are synced $most at a time by a pool of $poolThreadCount threads',
  async ({ poolThreadCount, most }) => {
    const disk = new SimulatedDisk()
    const { manager } = await openStorage({ disk, poolThreadCount })
    const logs = Array.from({ length: 7 }, (_, partition) => manager.createLog('topic', partition, TOPIC_ID))
    for (const log of logs) append(log, ['first'])
    manager.flushStaged()
    await turns(500)
    const running: (() => void)[] = []
    disk.settle = (operation) =>
      operation === 'sync' ? new Promise((resolve) => running.push(resolve)) : Promise.resolve()
    for (const log of logs) append(log, ['second'])
    manager.flushStaged()
    await turns(20)
    expect(running).toHaveLength(most)
    for (let count = 0; count < logs.length; count++) {
      running.shift()!()
      await turns(20)
      expect(running.length).toBeLessThanOrEqual(most)
    }
    expect(logs.every(({ durableOffset }) => durableOffset === 2)).toBe(true)
  },
)
