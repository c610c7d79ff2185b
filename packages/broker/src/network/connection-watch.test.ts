import { SimulatedClock, SimulatedTimers } from '@millrace/base'
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
})
