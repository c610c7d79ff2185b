import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { beforeEach, expect, test } from 'vitest'
import { QuorumWatch } from './quorum-watch.ts'

let timers: SimulatedTimers
let leaderId: number | null
let connected: Set<number>
let lines: Record<string, unknown>[]
let watch: QuorumWatch

beforeEach(() => {
  timers = new SimulatedTimers(new SimulatedClock())
  leaderId = null
  connected = new Set()
  lines = []
  const ignore = () => undefined
  watch = new QuorumWatch({
    nodeId: 2,
    timers,
    logger: {
      debug: ignore,
      info: ignore,
      error: ignore,
      warn: (message, fields) => lines.push({ message, ...fields }),
    },
    leaderId: () => leaderId,
    voters: () => [1, 2, 3],
    connected: () => connected,
  })
})

test('a node that waits for its quorum names the voters that it does not reach, but not itself', () => {
  connected.add(3)
  timers.advance(10_000)
  expect(lines).toEqual([expect.objectContaining({ missing: [1], voters: [1, 2, 3] })])
})

test('it says so again twice a minute, not more', () => {
  timers.advance(10_000 + 60_000)
  expect(lines).toHaveLength(3)
})

test('an election at one check is no reason to say anything', () => {
  timers.advance(5_000)
  leaderId = 1
  timers.advance(5_000)
  leaderId = null
  timers.advance(5_000)
  expect(lines).toEqual([])
})

test('a quorum that has a leader is not talked of, nor one that is being left', () => {
  leaderId = 1
  timers.advance(60_000)
  leaderId = null
  watch.close()
  timers.advance(60_000)
  expect(lines).toEqual([])
})

test('whom a quorum without a leader lacks is told at once to who asks', () => {
  connected.add(3)
  expect(watch.leaderless).toEqual({ voters: [1, 2, 3], missing: [1] })
  leaderId = 1
  expect(watch.leaderless).toBeNull()
})
