import { SeededRandom } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { Deck } from './deck.ts'
import type { Fault } from './fault.ts'
import { allFaults } from './index.ts'

function dealt(faults: readonly Fault[], count: number, seed = 1): Fault[] {
  const deck = new Deck(faults, new SeededRandom(seed))
  return Array.from({ length: count }, () => deck.deal())
}

describe('the deck of faults', () => {
  const kills = allFaults.filter(({ family }) => family === 'kill')
  const killCards = kills.reduce((sum, { weight = 1 }) => sum + weight, 0)

  it('deals each fault as often as it weighs before it begins anew', () => {
    const counts = new Map<string, number>()
    for (const { name } of dealt(kills, killCards)) counts.set(name, (counts.get(name) ?? 0) + 1)
    expect(counts).toEqual(new Map(kills.map(({ name, weight = 1 }) => [name, weight])))
  })

  it('deals a kill every other time, if there is anything else', () => {
    const families = dealt(allFaults, 60).map(({ family }) => family)
    expect(families.map((family) => family === 'kill')).toEqual(families.map((_, slot) => slot % 2 === 0))
  })

  it('deals the only one again and again', () => {
    expect(dealt([kills[0]!], 3)).toEqual([kills[0], kills[0], kills[0]])
  })

  it('deals the same for the same seed, and in another order for another', () => {
    const names = (seed: number) => dealt(allFaults, 40, seed).map(({ name }) => name)
    expect(names(7)).toEqual(names(7))
    expect(names(7)).not.toEqual(names(8))
  })
})
