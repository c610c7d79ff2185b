import { SimulatedClock, SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { expect, test } from 'vitest'
import { FlushSchedule, type LateFlushed } from './flush-schedule.ts'
import { append, open, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

test('with write caching, a record that nothing follows is synced when it is flush.ms old', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { writeCaching: true, flushMs: 1000 })
  const logs = [0, 1].map((partition) => opened.manager.createLog('topic', partition, TOPIC_ID))
  for (const log of logs) {
    append(log, ['value'])
    opened.manager.flushStaged()
    opened.timers.advance(400)
    await turns()
  }
  expect(logs.map(({ durableOffset }) => durableOffset)).toEqual([0, 0])
  opened.timers.advance(200)
  await turns()
  expect(logs.map(({ durableOffset }) => durableOffset)).toEqual([1, 0])
  opened.timers.advance(400)
  await turns()
  expect(logs.map(({ durableOffset }) => durableOffset)).toEqual([1, 1])
})

test('a log that is written to all the time is synced every flush.ms', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { writeCaching: true, flushMs: 1000 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  const ends: number[] = []
  for (let round = 0; round < 40; round++) {
    append(log, ['value'])
    opened.manager.flushStaged()
    opened.timers.advance(100)
    await turns(30)
    if (ends.at(-1) !== log.durableOffset) ends.push(log.durableOffset)
  }
  // Nothing, and four times a second's worth.
  expect(ends.length).toBe(5)
  expect(log.durableOffset).toBeGreaterThan(25)
})

test('a shorter flush.ms holds at once', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk, { writeCaching: true, flushMs: 3_600_000 })
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  append(log, ['value'])
  opened.manager.flushStaged()
  log.updateConfig({ ...log.config, flushMs: 100 })
  opened.timers.advance(100)
  await turns()
  expect(log.durableOffset).toBe(1)
})

test.each([0, 1])(
  'with write caching switched off, what was written before is synced at once, after %i rolls',
  async (rolls) => {
    const disk = new SimulatedDisk()
    const opened = await open(disk, { writeCaching: true })
    const log = opened.manager.createLog('topic', 0, TOPIC_ID)
    for (let count = 0; count <= rolls; count++) {
      if (count > 0) log.roll(log.logEndOffset)
      append(log, ['value'])
      opened.manager.flushStaged()
    }
    log.updateConfig({ ...log.config, retentionMs: 1 })
    await turns()
    expect(log.needsSync).toBe(true)
    log.updateConfig({ ...log.config, writeCaching: false })
    await turns()
    expect([log.durableOffset, log.needsSync]).toEqual([rolls + 1, false])
    const lost = disk.crashed({ choose: (count) => count - 1 })
    expect((await open(lost)).manager.log('topic', 0)!.logEndOffset).toBe(rolls + 1)
  },
)

test('one timer serves all logs, and none is left when nothing is unsynced', () => {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  let setCount = 0
  const counting = {
    setTimer: (delayMs: number, callback: () => void) => {
      setCount++
      return timers.setTimer(delayMs, callback)
    },
  }
  const schedule = new FlushSchedule(clock, counting)
  const flushed: number[] = []
  const logs = Array.from(
    { length: 1000 },
    (_, number): LateFlushed => ({
      flushIfDue(nowMs) {
        const leftMs = 1000 + (number % 2) * 500 - nowMs
        if (leftMs > 0) return leftMs
        flushed.push(number)
        return -1
      },
    }),
  )
  for (const [number, log] of logs.entries()) schedule.add(log, 1000 + (number % 2) * 500)
  timers.advance(1000)
  expect(flushed.length).toBe(500)
  timers.advance(500)
  expect(flushed.length).toBe(1000)
  timers.advance(100_000)
  expect([flushed.length, setCount]).toEqual([1000, 2])
})

test('a time that no timer reaches is never waited for', () => {
  const clock = new SimulatedClock()
  const schedule = new FlushSchedule(clock, {
    setTimer: () => {
      throw new Error('no timer is wanted')
    },
  })
  expect(() => schedule.add({ flushIfDue: () => 0 }, Number.MAX_SAFE_INTEGER)).not.toThrow()
})
