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
    const budget = new AnswerBudget(100 * MIB)
    expect(budget.reserve(55 * MIB)).toBe(55 * MIB)
    const second = budget.reserve(55 * MIB)
    expect(second).toBeLessThan(6 * MIB)
    expect(budget.usedBytes).toBe(55 * MIB + second)
    budget.release(55 * MIB)
    budget.release(second)
    expect(budget.usedBytes).toBe(0)
  })

  it('gives reads a little however full it is', () => {
    const budget = new AnswerBudget(MIB)
    budget.reserve(MIB)
    expect(budget.reserve(MIB)).toBe(256 * 1024)
    expect(budget.reserve(1000)).toBe(1000)
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

  it('closes nobody for what is only reserved', () => {
    const budget = new AnswerBudget(10 * MIB)
    for (let n = 0; n < 1000; n++) budget.reserve(MIB)
    expect(budget.usedBytes).toBeGreaterThan(100 * MIB)
    const [first, second] = [new Holder(), new Holder()]
    budget.hold(first, MIB)
    budget.hold(second, 8 * MIB)
    expect([first.shed, second.shed]).toEqual([0, 0])
  })

  it('lets one answer be larger than the bound, and reads none that is', () => {
    const budget = new AnswerBudget(10 * MIB)
    expect(budget.reserve(50 * MIB)).toBe(10 * MIB)
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
