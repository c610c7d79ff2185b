import { SimulatedClock } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { Turn } from './turn.ts'

function setUp() {
  const scheduled: (() => void)[] = []
  const log: string[] = []
  const clock = new SimulatedClock()
  const turn = new Turn(
    (callback) => scheduled.push(callback),
    () => log.push('flush'),
    clock,
  )
  return { scheduled, log, turn, clock }
}

describe('turn', () => {
  it('appends, then writes, then answers', () => {
    const { turn, scheduled, log } = setUp()
    turn.afterFlush(() => log.push('answer'))
    turn.beforeFlush(() => log.push('append'))
    expect(scheduled.length).toBe(1)
    scheduled.shift()!()
    expect(log).toEqual(['append', 'flush', 'answer'])
  })

  it('runs appends that appends ask for before it writes', () => {
    const { turn, scheduled, log } = setUp()
    turn.beforeFlush(() => {
      log.push('first')
      turn.beforeFlush(() => log.push('second'))
    })
    scheduled.shift()!()
    expect(log).toEqual(['first', 'second', 'flush'])
  })

  it('takes another turn for work that answers ask for', () => {
    const { turn, scheduled, log } = setUp()
    turn.afterFlush(() => {
      log.push('answer')
      turn.beforeFlush(() => log.push('append'))
    })
    scheduled.shift()!()
    expect(log).toEqual(['flush', 'answer'])
    scheduled.shift()!()
    expect(log).toEqual(['flush', 'answer', 'append', 'flush'])
  })

  it('leaves the rest of an endless chain to the next turn', () => {
    const { turn, scheduled } = setUp()
    let runs = 0
    const again = () => {
      runs++
      turn.beforeFlush(again)
    }
    turn.beforeFlush(again)
    scheduled.shift()!()
    expect(runs).toBe(16)
    expect(scheduled.length).toBe(1)
  })

  it('tells one time from its first question to the end of the turn', () => {
    const { turn, scheduled, clock } = setUp()
    const startMs = turn.clock.monotonicMs()
    const startWallMs = turn.clock.wallMs()
    clock.advance(5)
    expect(turn.clock.monotonicMs()).toBe(startMs)
    expect(turn.clock.wallMs()).toBe(startWallMs)
    turn.afterFlush(() => expect(turn.clock.monotonicMs()).toBe(startMs + 5))
    expect(scheduled.length).toBe(1)
    scheduled.shift()!()
    expect.assertions(5)
    clock.advance(5)
    scheduled.shift()?.()
    expect(turn.clock.wallMs()).toBe(startWallMs + 10)
  })
})
