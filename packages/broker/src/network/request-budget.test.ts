import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BufferPool } from './buffer-pool.ts'
import { type BudgetHolder, RequestBudget } from './request-budget.ts'

const KIB = 1024

class Holder implements BudgetHolder {
  freed = 0
  shed = 0
  frameBytes = 64 * KIB
  growthBytes = 0
  isLarge = false
  onFrameShed(): void {
    this.shed++
  }
  onBudgetFreed(): void {
    this.freed++
  }
}

/** A frame that asks before it grows. */
class LargeHolder extends Holder {
  readonly #budget: RequestBudget
  readonly #buffers: Buffer[] = []
  override isLarge = true

  constructor(budget: RequestBudget) {
    super()
    this.#budget = budget
    this.frameBytes = 0
  }

  grow(sizeBytes: number): boolean {
    this.growthBytes = sizeBytes
    const admitted = this.#budget.admit(this)
    if (admitted) this.onBudgetFreed()
    this.freed = 0
    return admitted
  }

  override onBudgetFreed(): void {
    this.freed++
    const buffer = this.#budget.acquire(this.growthBytes, true)
    this.frameBytes += buffer.length
    this.#buffers.push(buffer)
    this.growthBytes = 0
  }

  end(): void {
    for (const buffer of this.#buffers.splice(0)) this.#budget.giveBack(buffer, true)
    this.#budget.release(this)
  }
}

function setUp(maxBytes: number) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const pool = new BufferPool(timers, maxBytes)
  return { pool, timers, budget: new RequestBudget(pool, maxBytes, clock, timers) }
}

describe('request budget', () => {
  it('lets everybody go on below the bound', () => {
    const { pool, budget } = setUp(64 * KIB)
    pool.acquire(32 * KIB)
    expect(budget.admit(new Holder())).toBe(true)
    expect(budget.admit(new Holder())).toBe(true)
  })

  it('lets one go on above it, and the next when that one is done', () => {
    const { pool, budget } = setUp(16 * KIB)
    const buffer = pool.acquire(64 * KIB)
    pool.acquire(64 * KIB)
    const [first, second, third] = [new Holder(), new Holder(), new Holder()]
    expect(budget.admit(first)).toBe(true)
    expect(budget.admit(second)).toBe(false)
    expect(budget.admit(third)).toBe(false)
    expect(budget.admit(first)).toBe(true)
    pool.release(buffer)
    budget.release(first)
    expect([second.freed, third.freed]).toEqual([1, 0])
    expect(budget.admit(second)).toBe(true)
    expect(budget.stoppedCount).toBe(1)
  })

  it('frees all when the memory is back', () => {
    const { pool, budget } = setUp(16 * KIB)
    const buffer = pool.acquire(64 * KIB)
    const [first, second, third] = [new Holder(), new Holder(), new Holder()]
    budget.admit(first)
    budget.admit(second)
    budget.admit(third)
    pool.release(buffer)
    budget.release(first)
    expect([second.freed, third.freed]).toEqual([1, 1])
  })

  it('gives up the frames that were begun longest ago while somebody waits, as many as it takes', () => {
    const { pool, timers, budget } = setUp(128 * KIB)
    const holders = Array.from({ length: 4 }, () => new Holder())
    const grow = (holder: Holder) => {
      pool.acquire(64 * KIB)
      return budget.admit(holder)
    }
    const [first, second, third, fourth] = holders as [Holder, Holder, Holder, Holder]
    expect([grow(first), grow(second), grow(third)]).toEqual([true, true, true])
    timers.advance(60_000)
    // Nobody waits: the third one goes on above the bound.
    expect(holders.map(({ shed }) => shed)).toEqual([0, 0, 0, 0])
    expect(grow(fourth)).toBe(false)
    timers.advance(1000)
    expect(holders.map(({ shed }) => shed)).toEqual([1, 1, 0, 0])
    expect(budget.shedCount).toBe(2)
    for (const holder of [first, second]) {
      pool.release(Buffer.alloc(64 * KIB))
      budget.release(holder)
    }
    expect(fourth.freed).toBe(1)
    timers.advance(60_000)
    expect(holders.map(({ shed }) => shed)).toEqual([1, 1, 0, 0])
  })

  it('lets a frame be that has not had its time', () => {
    const { pool, timers, budget } = setUp(64 * KIB)
    const holders = [new Holder(), new Holder(), new Holder()]
    for (const holder of holders) {
      pool.acquire(64 * KIB)
      budget.admit(holder)
    }
    timers.advance(4000)
    expect(holders.map(({ shed }) => shed)).toEqual([0, 0, 0])
    timers.advance(1000)
    expect(holders.map(({ shed }) => shed)).toEqual([1, 1, 0])
    budget.stop()
  })

  it('spares a whole frame that waits for its turn, and gives up the younger ones that are not complete', () => {
    const { pool, timers, budget } = setUp(128 * KIB)
    const [whole, second, third, fourth] = [new Holder(), new Holder(), new Holder(), new Holder()]
    for (const holder of [whole, second, third, fourth]) {
      pool.acquire(64 * KIB)
      budget.admit(holder)
    }
    budget.onFrameWhole(whole)
    timers.advance(5000)
    expect([whole, second, third, fourth].map(({ shed }) => shed)).toEqual([0, 1, 1, 0])
    budget.stop()
  })

  it('gives up a whole frame above the bound whose turn does not come, before those that it stopped', () => {
    const { pool, timers, budget } = setUp(64 * KIB)
    const [stopped, whole] = [new Holder(), new Holder()]
    const buffers = [pool.acquire(64 * KIB), pool.acquire(64 * KIB)]
    timers.advance(1000)
    budget.admit(whole)
    expect(budget.admit(stopped)).toBe(false)
    timers.advance(3000)
    budget.onFrameWhole(whole)
    timers.advance(4000)
    expect(whole.shed).toBe(0)
    timers.advance(1000)
    expect(whole.shed).toBe(1)
    pool.release(buffers[1]!)
    budget.release(whole)
    expect([stopped.freed, stopped.shed]).toEqual([1, 0])
  })

  it('gives up first who was not stopped, and gives who was stopped its time afterwards', () => {
    const { pool, timers, budget } = setUp(64 * KIB)
    const [privileged, stopped, dawdler] = [new Holder(), new Holder(), new Holder()]
    const held = pool.acquire(64 * KIB)
    const large = pool.acquire(64 * KIB)
    budget.admit(privileged)
    expect(budget.admit(stopped)).toBe(false)
    pool.release(large)
    expect(budget.admit(dawdler)).toBe(true)
    const late = pool.acquire(64 * KIB)
    timers.advance(4500)
    pool.release(late)
    budget.release(privileged)
    expect(stopped.freed).toBe(1)
    pool.acquire(64 * KIB)
    expect([budget.admit(stopped), budget.admit(new Holder())]).toEqual([true, false])
    timers.advance(1000)
    // Both were begun more than five seconds ago; one of them could not go on.
    expect([dawdler.shed, stopped.shed]).toEqual([1, 0])
    pool.release(held)
    budget.stop()
  })

  it('sets no timer once it has stopped', () => {
    const { pool, timers, budget } = setUp(64 * KIB)
    pool.acquire(128 * KIB)
    budget.admit(new Holder())
    budget.stop()
    expect(budget.admit(new Holder())).toBe(false)
    expect(timers.pendingCount).toBe(0)
  })

  it('leaves room to small frames, however many large ones there are and wait', () => {
    const { budget, timers } = setUp(64 * KIB)
    const large = [new LargeHolder(budget), new LargeHolder(budget), new LargeHolder(budget)]
    expect(large.map((holder) => holder.grow(48 * KIB))).toEqual([true, true, false])
    // One within the bound, one above it: all of the bound is used.
    const [small, other] = [new Holder(), new Holder()]
    budget.acquire(16 * KIB, false)
    expect([budget.isFull, budget.admit(small), budget.admit(other)]).toEqual([true, true, true])
    budget.acquire(1 * KIB, false)
    expect([budget.admit(small), budget.admit(other)]).toEqual([true, false])
    expect(budget.stoppedCount).toBe(2)
    timers.advance(1000)
    budget.stop()
  })

  it('keeps small frames waiting for no large one above the bound, however much they have', () => {
    const { pool, budget } = setUp(64 * KIB)
    const [first, dawdler] = [new LargeHolder(budget), new LargeHolder(budget)]
    expect([first.grow(48 * KIB), dawdler.grow(48 * KIB)]).toEqual([true, true])
    const buffers = [pool.acquire(32 * KIB), pool.acquire(32 * KIB)]
    const [small, next] = [new Holder(), new Holder()]
    expect([budget.admit(small), budget.admit(next)]).toEqual([true, false])
    pool.release(buffers[0]!)
    budget.release(small)
    expect([next.freed, budget.admit(next)]).toEqual([1, true])
  })

  it('lets large frames have their turn while small ones wait all the time', () => {
    const { pool, budget } = setUp(64 * KIB)
    const large = [new LargeHolder(budget), new LargeHolder(budget)]
    let small = new Holder()
    let buffer = pool.acquire(64 * KIB)
    for (const holder of large) expect(holder.grow(16 * KIB)).toBe(true)
    expect(budget.admit(small)).toBe(true)
    const admitted = large.map((holder) => holder.grow(32 * KIB))
    for (let n = 0; n < 20; n++) {
      const [nextSmall, nextBuffer] = [new Holder(), pool.acquire(64 * KIB)]
      expect(budget.admit(nextSmall)).toBe(false)
      pool.release(buffer)
      budget.release(small)
      expect(nextSmall.freed).toBe(1)
      small = nextSmall
      buffer = nextBuffer
    }
    for (const [at, holder] of large.entries()) {
      expect([at, admitted[at] === true || holder.freed > 0]).toEqual([at, true])
      holder.end()
    }
  })

  it('keeps the place of who asks again while it is stopped', () => {
    const { budget, timers } = setUp(64 * KIB)
    const [first, second, third] = [new LargeHolder(budget), new LargeHolder(budget), new LargeHolder(budget)]
    expect([first.grow(32 * KIB), second.grow(4 * KIB), third.grow(32 * KIB)]).toEqual([true, true, true])
    const [large, little] = [new LargeHolder(budget), new LargeHolder(budget)]
    large.growthBytes = 32 * KIB
    little.growthBytes = 4 * KIB
    expect([budget.admit(large), budget.admit(little)]).toEqual([false, false])
    first.end()
    expect([large.freed, little.freed]).toEqual([0, 0])
    // Its share of a turn ends, or an answer of it was sent.
    expect(budget.admit(little)).toBe(false)
    third.end()
    expect([large.freed, little.freed, budget.stoppedCount]).toEqual([1, 1, 0])
    timers.advance(1000)
  })

  it('lets a small one above the bound turn out to be large', () => {
    const { pool, budget } = setUp(64 * KIB)
    pool.acquire(128 * KIB)
    const [first, next] = [new Holder(), new Holder()]
    expect([budget.admit(first), budget.admit(next)]).toEqual([true, false])
    first.isLarge = true
    expect([budget.admit(first), next.freed, budget.stoppedCount]).toEqual([true, 1, 0])
  })

  it('lets large frames grow only when there is room, and gives them theirs in order', () => {
    const { pool, budget } = setUp(64 * KIB)
    const [first, second, third] = [new LargeHolder(budget), new LargeHolder(budget), new LargeHolder(budget)]
    // The third one goes on above the bound of large ones; what it has counts.
    expect([first.grow(16 * KIB), second.grow(32 * KIB), third.grow(32 * KIB)]).toEqual([true, true, true])
    expect([second.grow(32 * KIB), first.grow(1 * KIB)]).toEqual([false, false])
    expect(pool.usedBytes).toBe(80 * KIB)
    third.end()
    expect([second.freed, first.freed]).toEqual([1, 0])
    second.end()
    expect(first.freed).toBe(1)
    expect([pool.usedBytes, budget.stoppedCount]).toEqual([17 * KIB, 0])
  })

  it('gives up large frames to make room for large ones, and leaves small ones alone', () => {
    const { timers, budget } = setUp(64 * KIB)
    const small = new Holder()
    budget.acquire(16 * KIB, false)
    expect(budget.admit(small)).toBe(true)
    const [first, second, third] = [new LargeHolder(budget), new LargeHolder(budget), new LargeHolder(budget)]
    expect([first.grow(40 * KIB), second.grow(32 * KIB), third.grow(32 * KIB)]).toEqual([true, true, false])
    timers.advance(5000)
    expect([small, first, second, third].map(({ shed }) => shed)).toEqual([0, 1, 1, 0])
    first.end()
    second.end()
    expect(third.freed).toBe(1)
    budget.stop()
  })

  it('never leaves everybody stopped, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ who: fc.nat(5), grows: fc.boolean() }), { maxLength: 200 }), (steps) => {
        const { pool, budget } = setUp(48 * KIB)
        const holders = Array.from({ length: 6 }, () => ({
          stopped: false,
          buffers: [] as Buffer[],
          frameBytes: 0,
          growthBytes: 0,
          isLarge: false,
          onFrameShed() {
            // Time does not pass here.
          },
          onBudgetFreed() {
            this.stopped = false
          },
        }))
        for (const { who, grows } of steps) {
          const holder = holders[who]!
          if (grows && !holder.stopped) {
            holder.buffers.push(pool.acquire(32 * KIB))
            holder.stopped = !budget.admit(holder)
          } else if (!grows) {
            for (const buffer of holder.buffers.splice(0)) pool.release(buffer)
            holder.stopped = false
            budget.release(holder)
          }
          const holding = holders.filter((one) => one.buffers.length > 0)
          expect(holding.length === 0 || holding.some((one) => !one.stopped)).toBe(true)
        }
      }),
    )
  })
})
