import type { MemorySocket, TestBroker } from '@millrace/broker/testing'
import { requestFrame } from '@millrace/broker/testing'
import { apiVersionsApi, createApiVersionsRequest } from '@millrace/protocol'

/** Often enough that nobody who says something each time is idle, or stalls, for longer than it may. */
const STEP_MS = 5_000
/** A frame that stalls is closed after half a minute, seen at the next look. */
const STALLED_STEPS = 9
/** `connections.max.idle.ms`, ten minutes, and the next look. */
const IDLE_STEPS = 125
/** Turns in which everything happens that needs no time. */
const TURNS = 8

const hello = requestFrame(apiVersionsApi, 0, createApiVersionsRequest({}))
/** Of a frame of a hundred bytes. */
const beginning = Buffer.from('0000006400120000', 'hex')

/**
 * Who connects and waits (`reliability.md`, 6.1): one that says nothing, one that stops within a frame, one that sends a byte of it every
 * five seconds, and one that asks all the while. Says who was closed too early or stayed too long. `turn` runs something, and one turn of
 * the loop. Ten minutes pass for the broker.
 */
export async function deadlineComplaints(
  broker: TestBroker,
  turn: (work: () => void) => Promise<void>,
): Promise<string[]> {
  const silent = broker.openSocket('10.255.255.1')
  const stalled = broker.openSocket('10.255.255.2')
  const trickling = broker.openSocket('10.255.255.3')
  const asking = broker.openSocket('10.255.255.4')
  let answeredBytes = 0
  asking.onBytes = (bytes) => {
    answeredBytes += bytes.length
  }
  const complaints: string[] = []
  const expect = (socket: MemorySocket, who: string, isClosed: boolean, when: string): void => {
    if (socket.isClosed !== isClosed) complaints.push(`${who} is ${isClosed ? 'still open' : 'closed'} after ${when}`)
  }
  stalled.send(beginning)
  trickling.send(beginning)
  for (let step = 0; step < IDLE_STEPS; step++) {
    const before = answeredBytes
    asking.send(hello)
    if (!trickling.isClosed) trickling.send(Buffer.alloc(1))
    await turn(() => broker.timers.advance(STEP_MS))
    for (let count = 0; count < TURNS; count++) await turn(() => undefined)
    if (answeredBytes === before && complaints.length === 0) complaints.push(`who asks is not answered in step ${step}`)
    if (step !== STALLED_STEPS) continue
    const when = `${((STALLED_STEPS + 1) * STEP_MS) / 1000} s`
    expect(silent, 'one that says nothing', false, when)
    expect(stalled, 'one that stopped within a frame', true, when)
    expect(trickling, 'one that sends a byte every five seconds', true, when)
  }
  const when = `${(IDLE_STEPS * STEP_MS) / 1000} s`
  expect(silent, 'one that says nothing', true, when)
  expect(asking, 'one that asks all the while', false, when)
  for (const socket of [silent, stalled, trickling, asking]) socket.close()
  return complaints
}
