import { describe, expect, it } from 'vitest'
import { ProcessLoop } from './process-loop.ts'
import { RandomStream } from './random-stream.ts'
import { World } from './world.ts'

function runAll(world: World): void {
  while (world.step());
}

describe('World', () => {
  it('lets events happen by time, then in the order in which they were scheduled, cancelled ones not at all', () => {
    const world = new World(1)
    const happened: string[] = []
    const add = (delayMs: number, name: string) => world.schedule(delayMs, name, -1, () => happened.push(name))
    for (const [delayMs, name] of [
      [5, 'e'],
      [1, 'a'],
      [3, 'c'],
      [3, 'd'],
      [1, 'b'],
    ] as const) {
      add(delayMs, name)
    }
    add(2, 'cancelled').cancel()
    runAll(world)
    expect(happened.join('')).toBe('abcde')
    expect(world.nowMs).toBe(5)
    expect(world.eventCount).toBe(5)
  })

  it('keeps the order of the heap for any times', () => {
    const world = new World(1)
    const random = world.stream('times')
    const times: number[] = []
    for (let slot = 0; slot < 2_000; slot++) {
      const event = world.schedule(random.real(0, 100), 'x', -1, () => times.push(world.nowMs))
      if (random.chance(0.2)) event.cancel()
    }
    runAll(world)
    expect(times.length).toBeGreaterThan(1_000)
    expect(times).toEqual([...times].sort((one, other) => one - other))
  })

  it('keeps that order also where nearly all events are cancelled, and forgets them before their time', () => {
    const world = new World(1)
    const random = world.stream('times')
    const happened: number[] = []
    const due: number[] = []
    for (let slot = 0; slot < 2_000; slot++) {
      const timeouts = Array.from({ length: 20 }, () => {
        return world.schedule(1_000 + random.real(0, 100), 'timeout', -1, () => happened.push(-1))
      })
      const delayMs = random.real(0, 100)
      due.push(delayMs)
      world.schedule(delayMs, 'x', -1, () => {
        happened.push(world.nowMs)
        for (const timeout of timeouts) timeout.cancel()
        for (const timeout of timeouts) timeout.cancel()
      })
    }
    runAll(world)
    expect(happened).toEqual(due.sort((one, other) => one - other))
    expect(world.nextMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('has another digest if anything else happens', () => {
    const digestOf = (delayMs: number, label: string) => {
      const world = new World(1)
      world.schedule(delayMs, label, 0, () => undefined)
      runAll(world)
      return world.digest.toString()
    }
    expect(digestOf(1, 'a')).toBe(digestOf(1, 'a'))
    expect(new Set([digestOf(1, 'a'), digestOf(1.5, 'a'), digestOf(1, 'b')]).size).toBe(3)
  })
})

describe('RandomStream', () => {
  it('does not depend on what other streams draw, and draws nothing for a share of 0', () => {
    const one = new RandomStream(7, 'a')
    const other = new RandomStream(7, 'a')
    new RandomStream(7, 'b').uint32()
    expect(one.chance(0)).toBe(false)
    expect(one.uint32()).toBe(other.uint32())
    expect(new RandomStream(7, 'b').uint32()).not.toBe(new RandomStream(7, 'a').uint32())
    expect(new RandomStream(8, 'a').uint32()).not.toBe(new RandomStream(7, 'a').uint32())
  })
})

describe('ProcessLoop', () => {
  it('holds back everything while it is paused, and lets it happen in order afterwards', () => {
    const world = new World(1)
    const loop = new ProcessLoop(world, 0)
    const happened: string[] = []
    loop.after(1, 'a', () => happened.push(`a at ${world.nowMs}`))
    loop.after(2, 'b', () => happened.push(`b at ${world.nowMs}`))
    loop.pause()
    world.schedule(10, 'resume', -1, () => loop.resume())
    runAll(world)
    expect(happened).toEqual(['a at 10', 'b at 10'])
  })

  it('does nothing any more after its end', () => {
    const world = new World(1)
    const loop = new ProcessLoop(world, 0)
    const happened: string[] = []
    loop.setTimer(5, () => happened.push('timer'))
    loop.pause()
    world.schedule(6, 'end', -1, () => loop.end())
    world.schedule(7, 'resume', -1, () => loop.resume())
    runAll(world)
    expect(happened).toEqual([])
  })

  it('has a clock that drifts without going back, and timers by that clock', () => {
    const world = new World(1)
    const loop = new ProcessLoop(world, 0)
    world.schedule(10, 'faster', -1, () => loop.drift(2))
    const at: number[] = []
    world.schedule(10, 'set', -1, () => loop.setTimer(20, () => at.push(world.nowMs, loop.monotonicMs())))
    runAll(world)
    expect(at[0]).toBeCloseTo(20, 2)
    expect(at[1]).toBeCloseTo(30, 2)
  })

  it('has a wall clock that can be set without any effect on durations', () => {
    const world = new World(1)
    const loop = new ProcessLoop(world, 0)
    const startMs = loop.wallMs()
    const seen: number[] = []
    world.schedule(10, 'set', -1, () => loop.setWall(-5_000))
    loop.setTimer(20, () => seen.push(loop.monotonicMs(), loop.wallMs() - startMs))
    world.schedule(30, 'set again', -1, () => loop.setWall(0))
    world.schedule(40, 'look', -1, () => seen.push(loop.wallMs() - startMs))
    runAll(world)
    expect(seen[0]).toBeCloseTo(20, 2)
    expect(seen.slice(1)).toEqual([-4_980, 40])
  })

  it('has timers that are never early by its own clock, whatever the rounding', () => {
    const world = new World(1)
    const random = world.stream('rates')
    let earliestMs = Number.POSITIVE_INFINITY
    for (let slot = 0; slot < 2_000; slot++) {
      const loop = new ProcessLoop(world, slot, random.real(0.9, 1.1))
      world.schedule(random.real(0, 10_000), 'set', slot, () => {
        const dueMs = loop.monotonicMs() + 100
        loop.setTimer(dueMs - loop.monotonicMs(), () => {
          earliestMs = Math.min(earliestMs, loop.monotonicMs() - dueMs)
        })
      })
    }
    runAll(world)
    expect(earliestMs).toBeGreaterThanOrEqual(0)
  })
})
