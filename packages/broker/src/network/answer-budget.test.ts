import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerBudget, type AnswerHolder } from './answer-budget.ts'

const MIB = 1024 * 1024

class Holder implements AnswerHolder {
  shed = 0
  onAnswersShed(): void {
    this.shed++
  }
}

describe('answer budget', () => {
  it('gives reads what they want while there is room, and less as it fills', () => {
    const budget = new AnswerBudget(160 * MIB)
    budget.hold(new Holder(), 30 * MIB)
    expect(budget.reserve(55 * MIB)).toBe(55 * MIB)
    const second = budget.reserve(55 * MIB)
    expect(second).toBeLessThan(6 * MIB)
    expect(budget.usedBytes).toBe(85 * MIB + second)
    budget.release(55 * MIB)
    budget.release(second)
    expect(budget.usedBytes).toBe(30 * MIB)
  })

  it('gives reads a little when it is nearly full, and then one batch each', () => {
    const budget = new AnswerBudget(8 * MIB)
    expect(budget.reserve(8 * MIB)).toBe(3 * MIB)
    const grants = [1, 2, 3, 4, 5].map(() => budget.reserve(MIB))
    expect(grants).toEqual([256 * 1024, 256 * 1024, 256 * 1024, 256 * 1024, 0])
    // One that got nothing read a batch all the same.
    budget.release(-1000)
    expect(budget.usedBytes).toBe(4 * MIB + 1000)
  })

  it('closes whoever has held for the longest, and as many as it takes', () => {
    const budget = new AnswerBudget(10 * MIB)
    const [first, second, third, fourth] = [new Holder(), new Holder(), new Holder(), new Holder()]
    budget.hold(first, 4 * MIB)
    budget.hold(second, MIB)
    budget.hold(third, 4 * MIB)
    // Emptied and filled again: it is not the one that has waited for the longest any more.
    budget.hold(first, 0)
    budget.hold(first, 4 * MIB)
    budget.hold(fourth, 4 * MIB)
    expect([first, second, third, fourth].map(({ shed }) => shed)).toEqual([0, 1, 1, 0])
    expect(budget.usedBytes).toBe(8 * MIB)
    expect(budget.shedCount).toBe(2)
    // Its connection tells of its end later.
    budget.hold(second, 0)
    expect(budget.usedBytes).toBe(8 * MIB)
  })

  it('keeps what is reserved and what is held below one bound, and half of it for sockets', () => {
    const budget = new AnswerBudget(10 * MIB)
    for (let n = 0; n < 1000; n++) budget.reserve(MIB)
    expect(budget.usedBytes).toBeLessThanOrEqual(5 * MIB + 256 * 1024)
    const [first, second, third] = [new Holder(), new Holder(), new Holder()]
    budget.hold(first, MIB)
    budget.hold(second, 4 * MIB)
    expect([first.shed, second.shed]).toEqual([0, 0])
    budget.hold(third, MIB)
    expect([first.shed, second.shed, third.shed]).toEqual([1, 0, 0])
    expect(budget.usedBytes).toBeLessThanOrEqual(10 * MIB + 256 * 1024)
  })

  it('closes whoever has held for the longest when answers that are made need the room', () => {
    const budget = new AnswerBudget(10 * MIB)
    const [first, second] = [new Holder(), new Holder()]
    budget.hold(first, 4 * MIB)
    budget.hold(second, 4 * MIB)
    budget.take(2 * MIB)
    expect([first.shed, second.shed]).toEqual([0, 0])
    budget.take(MIB)
    expect([first.shed, second.shed, budget.usedBytes]).toEqual([1, 0, 7 * MIB])
    budget.release(3 * MIB)
    expect(budget.usedBytes).toBe(4 * MIB)
  })

  it('lets one answer be larger than the bound, and reads none that is', () => {
    const budget = new AnswerBudget(10 * MIB)
    const granted = budget.reserve(50 * MIB)
    expect(granted).toBe(3.75 * MIB)
    budget.release(granted)
    const [first, second] = [new Holder(), new Holder()]
    budget.hold(first, 11 * MIB)
    expect(first.shed).toBe(0)
    budget.hold(second, 1)
    expect([first.shed, second.shed]).toEqual([1, 0])
  })

  it('counts nothing twice and nothing for ever, whatever comes and goes', () => {
    const step = fc.record({ who: fc.nat(4), sizeBytes: fc.nat(3 * MIB) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const budget = new AnswerBudget(4 * MIB)
        const holders = Array.from({ length: 5 }, () => new Holder())
        for (const { who, sizeBytes } of steps) {
          budget.hold(holders[who]!, sizeBytes)
          expect(budget.usedBytes).toBe(holders.reduce((sum, holder) => sum + budget.bytesOf(holder), 0))
          expect(budget.usedBytes).toBeLessThanOrEqual(4 * MIB)
        }
        for (const holder of holders) budget.hold(holder, 0)
        expect([budget.usedBytes, budget.holderCount]).toEqual([0, 0])
      }),
    )
  })
})
