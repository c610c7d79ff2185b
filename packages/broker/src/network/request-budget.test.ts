import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BufferPool } from './buffer-pool.ts'
import { type BudgetHolder, RequestBudget } from './request-budget.ts'

const KIB = 1024

class Holder implements BudgetHolder {
  freed = 0
  onBudgetFreed(): void {
    this.freed++
  }
}

describe('request budget', () => {
  it('lets everybody go on below the bound', () => {
    const pool = new BufferPool()
    const budget = new RequestBudget(pool, 64 * KIB)
    pool.acquire(32 * KIB)
    expect(budget.admit(new Holder())).toBe(true)
    expect(budget.admit(new Holder())).toBe(true)
  })

  it('lets one go on above it, and the next when that one is done', () => {
    const pool = new BufferPool()
    const budget = new RequestBudget(pool, 16 * KIB)
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
    const pool = new BufferPool()
    const budget = new RequestBudget(pool, 16 * KIB)
    const buffer = pool.acquire(64 * KIB)
    const [first, second, third] = [new Holder(), new Holder(), new Holder()]
    budget.admit(first)
    budget.admit(second)
    budget.admit(third)
    pool.release(buffer)
    budget.release(first)
    expect([second.freed, third.freed]).toEqual([1, 1])
  })

  it('never leaves everybody stopped, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ who: fc.nat(5), grows: fc.boolean() }), { maxLength: 200 }), (steps) => {
        const pool = new BufferPool()
        const budget = new RequestBudget(pool, 48 * KIB)
        const holders = Array.from({ length: 6 }, () => ({
          stopped: false,
          buffers: [] as Buffer[],
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
