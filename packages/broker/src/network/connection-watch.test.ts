import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import type { Connection } from './connection.ts'
import { type CloseReason, ConnectionWatch } from './connection-watch.ts'

const limits = { maxIdleMs: 60_000, answerReadTimeoutMs: 30_000 }

/** What the watch looks at, of a connection that waits for one answer. */
function waitingConnection(peerEnded: boolean) {
  let closeCount = 0
  const connection = {
    receivedBytes: 100,
    receivedFrames: 1,
    writtenBytes: 0,
    waitingRequests: 1,
    hasPartialFrame: false,
    peerEnded,
    transport: { bufferedBytes: 0, untakenBytes: 0 },
    settleAnswers: () => undefined,
    close: () => {
      closeCount++
    },
  }
  return { connection: connection as unknown as Connection, closeCount: () => closeCount }
}

describe('connection watch', () => {
  it('does not wait without end for the answer to a peer that has ended its side', () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const reasons: CloseReason[] = []
    const watch = new ConnectionWatch(clock, timers, limits, (_connection, reason) => reasons.push(reason))
    const [open, ended] = [waitingConnection(false), waitingConnection(true)]
    watch.add(open.connection)
    watch.add(ended.connection)
    timers.advance(60_000)
    expect([open.closeCount(), ended.closeCount()]).toEqual([0, 0])
    timers.advance(10_000)
    expect([open.closeCount(), ended.closeCount(), reasons]).toEqual([0, 1, ['idle']])
    watch.stop()
  })

  it('looks at thousands in slices, each of them once in a scan', () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const looks: number[] = []
    const watch = new ConnectionWatch(clock, timers, limits, () => undefined)
    const count = 1000
    const lookCounts = new Array<number>(count).fill(0)
    for (let n = 0; n < count; n++) {
      const { connection } = waitingConnection(false)
      connection.settleAnswers = () => {
        lookCounts[n]!++
        looks.push(clock.monotonicMs())
      }
      watch.add(connection)
    }
    timers.advance(5_000)
    timers.advance(4_999)
    expect(new Set(lookCounts)).toEqual(new Set([1]))
    const perSlice = [...new Set(looks)].map((ms) => looks.filter((each) => each === ms).length)
    expect(perSlice).toEqual([256, 256, 256, 232])
    timers.advance(1)
    expect(lookCounts.slice(-257)).toEqual([1, ...new Array<number>(256).fill(2)])
    watch.stop()
  })

  it('ends a scan though connections come faster than it looks at them, and go', () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const watch = new ConnectionWatch(clock, timers, limits, () => undefined)
    let firstLooks = 0
    const first = waitingConnection(false).connection
    first.settleAnswers = () => {
      firstLooks++
    }
    watch.add(first)
    const add = (count: number) => Array.from({ length: count }, () => waitingConnection(false).connection)
    for (const connection of add(600)) watch.add(connection)
    for (let n = 0; n < 100; n++) {
      timers.advance(500)
      const others = add(600)
      for (const connection of others) watch.add(connection)
      for (const connection of others.slice(0, 400)) watch.remove(connection)
    }
    expect(firstLooks).toBeGreaterThanOrEqual(8)
    watch.stop()
  })

  it('misses nobody while others come and go, and forgets those that went', () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const random = new SeededRandom(7)
    const watch = new ConnectionWatch(clock, timers, limits, () => undefined)
    const looks = new Map<Connection, number>()
    const make = (): Connection => {
      const { connection } = waitingConnection(false)
      connection.settleAnswers = () => void looks.set(connection, (looks.get(connection) ?? 0) + 1)
      looks.set(connection, 0)
      watch.add(connection)
      return connection
    }
    const staying = Array.from({ length: 300 }, make)
    const passing = Array.from({ length: 700 }, make)
    for (let step = 0; step < 200; step++) {
      for (let n = random.uint32() % 60; n > 0 && passing.length > 0; n--) {
        const [gone] = passing.splice(random.uint32() % passing.length, 1)
        watch.remove(gone!)
        looks.delete(gone!)
      }
      for (let n = random.uint32() % 60; n > 0; n--) passing.push(make())
      timers.advance(random.uint32() % 500)
    }
    // Two scans take ten seconds, of which there were more than four times as many.
    for (const connection of staying) expect(looks.get(connection)).toBeGreaterThanOrEqual(8)
    expect(watch.size).toBe(300 + passing.length)
    expect(new Set(watch.connections())).toEqual(new Set(looks.keys()))
    watch.stop()
  })
})
