import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { beforeEach, expect, test } from 'vitest'
import { EarlyConnection } from './early-connection.ts'
import type { AcceptedTransport, TransportEvents } from './transport.ts'

/** What happened, in order. */
let steps: string[]
let transport: AcceptedTransport
let timers: SimulatedTimers
let early: EarlyConnection

const served: TransportEvents = {
  onBytes: (buffer, start, end) => steps.push(`bytes ${buffer.toString('latin1', start, end)}`),
  nextReadBuffer: () => null,
  onDrain: () => undefined,
  onEnd: () => steps.push('end'),
  onClose: () => undefined,
}

beforeEach(() => {
  steps = []
  timers = new SimulatedTimers(new SimulatedClock())
  transport = {
    events: null,
    pauseReading: () => steps.push('pause'),
    resumeReading: () => steps.push('resume'),
    destroy: () => steps.push('destroy'),
  } as unknown as AcceptedTransport
  early = new EarlyConnection({
    transport,
    listenerName: 'PLAINTEXT',
    idleLimit: timers.setTimer(1000, () => transport.destroy()),
    onGone: () => steps.push('gone'),
  })
  transport.events = early
})

test('keeps what was read, reads no more, and hands it over to who serves it', () => {
  const shared = Buffer.from('-a-')
  early.onBytes(shared, 1, 2)
  shared.fill(0)
  expect(steps).toEqual(['pause'])
  early.handOver(served)
  // It may have to pause again at once, so reading goes on first.
  expect(steps).toEqual(['pause', 'resume', 'bytes a'])
  expect(transport.events).toBe(served)
  timers.advance(2000)
  expect(steps).not.toContain('destroy')
})

test('hands over what was on its way when reading was paused, and that the client has ended its side', () => {
  early.onBytes(Buffer.from('a'), 0, 1)
  early.onBytes(Buffer.from('bc'), 0, 2)
  early.onEnd()
  early.handOver(served)
  expect(steps.slice(2)).toEqual(['resume', 'bytes abc', 'end'])
})

test('one that is never served ends after its time, and one that is gone leaves no timer', () => {
  early.onBytes(Buffer.from('a'), 0, 1)
  timers.advance(1000)
  expect(steps).toEqual(['pause', 'destroy'])
  early.onClose(null)
  expect([steps.at(-1), timers.pendingCount]).toEqual(['gone', 0])
})
