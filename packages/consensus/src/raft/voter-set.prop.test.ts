import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryVoters } from './testing/arbitrary-message.ts'
import { voter, voters } from './testing/memory-cluster.ts'
import type { VoterSet } from './types.ts'
import {
  decodeVoters,
  encodeVoters,
  isValidVoterSet,
  majorityOf,
  majorityValue,
  singleChange,
  tallyOf,
} from './voter-set.ts'

/** All subsets of `[0, size)` with a majority of it. */
function majorities(size: number): number[][] {
  const sets: number[][] = []
  for (let mask = 0; mask < 2 ** size; mask++) {
    const members = Array.from({ length: size }, (_, slot) => slot).filter((slot) => (mask >> slot) % 2 === 1)
    if (members.length > size - members.length) sets.push(members)
  }
  return sets
}

describe('quorum mathematics', () => {
  it('finds the value that a majority has reached, as trying all majorities does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 7 }), (values) => {
        const reached = majorities(values.length).map((members) => Math.min(...members.map((slot) => values[slot]!)))
        expect(majorityValue(values)).toBe(Math.max(...reached))
      }),
      { numRuns: 1000 },
    )
    expect(majorityValue([])).toBe(0)
  })

  it('decides an election exactly when no other answers could decide it otherwise', () => {
    for (let size = 1; size <= 7; size++) {
      for (let granted = 0; granted <= size; granted++) {
        for (let refused = 0; granted + refused <= size; refused++) {
          const open = size - granted - refused
          const canWin = granted + open > size / 2
          const hasWon = granted > size / 2
          expect(tallyOf(size, granted, refused)).toBe(hasWon ? 'won' : canWin ? 'open' : 'lost')
        }
      }
    }
  })

  it('never elects anybody by an empty set', () => {
    expect(tallyOf(0, 0, 0)).not.toBe('won')
  })

  it('keeps a common member between any majorities before and after each of 1000 random single changes', () => {
    const step = fc.record({ id: fc.nat({ max: 8 }), kind: fc.constantFrom('add', 'remove', 'move') })
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 20 }), (steps) => {
        let current: VoterSet = voters(1, 2, 3)
        for (const { id, kind } of steps) {
          const next = changed(current, id, kind)
          if (next.length === 0 || singleChange(current, next) === null) continue
          expect(haveCommonMember(current, next)).toBe(true)
          current = next
        }
      }),
      { numRuns: 50 },
    )
  })

  it('takes one addition, removal or new endpoint for a single change, and nothing else', () => {
    const before = voters(1, 2, 3)
    expect(singleChange(before, voters(1, 2, 3, 4))).toEqual({ type: 'added', voter: voter(4) })
    expect(singleChange(before, voters(1, 3))).toEqual({ type: 'removed', voter: voter(2) })
    const moved = { ...voter(3), port: 1 }
    expect(singleChange(before, [...voters(1, 2), moved])).toEqual({ type: 'moved', voter: moved })
    expect(singleChange(before, before)).toBe(null)
    expect(singleChange(before, voters(1, 2, 4))).toBe(null)
    expect(singleChange(before, voters(1, 2, 3, 4, 5))).toBe(null)
    expect(singleChange(before, voters(1))).toBe(null)
    // Another directory is another replica: that is a removal and an addition.
    expect(singleChange(before, [...voters(1, 2), voter(3, 1)])).toBe(null)
  })
})

describe('codec of voter sets', () => {
  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(arbitraryVoters, (set) => {
        expect(decodeVoters(encodeVoters(set))).toEqual(set)
      }),
    )
  })

  it('answers any bytes with null or with the set that has these very bytes', () => {
    fc.assert(
      fc.property(
        arbitraryVoters,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }),
        (set, changes) => {
          const bytes = encodeVoters(set)
          for (const [position, value] of changes) bytes[position % bytes.length] = value
          const decoded = decodeVoters(bytes)
          if (decoded !== null) expect(encodeVoters(decoded)).toEqual(bytes)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('knows what a set must be', () => {
    expect(isValidVoterSet(voters(1, 2, 3))).toBe(true)
    expect(isValidVoterSet(voters(2, 1))).toBe(false)
    expect(isValidVoterSet(voters(1, 1))).toBe(false)
    expect(isValidVoterSet([{ ...voter(1), id: -1 }])).toBe(false)
    expect(isValidVoterSet([{ ...voter(1), port: 65_536 }])).toBe(false)
    expect(isValidVoterSet([{ ...voter(1), host: 'h'.repeat(256) }])).toBe(false)
    expect(isValidVoterSet([{ ...voter(1), directoryId: 'short' as never }])).toBe(false)
    expect(isValidVoterSet(Array.from({ length: 64 }, (_, slot) => voter(slot)))).toBe(false)
  })
})

function changed(current: VoterSet, id: number, kind: 'add' | 'remove' | 'move'): VoterSet {
  const others = current.filter((other) => other.id !== id)
  if (kind === 'remove') return others
  const port = kind === 'move' ? 1 : 9000 + id
  return [...others, { ...voter(id), port }].sort((left, right) => left.id - right.id)
}

function haveCommonMember(before: VoterSet, after: VoterSet): boolean {
  const all = [...new Set([...before, ...after].map(({ id }) => id))]
  const needed = [before, after].map((set) => [set.map(({ id }) => id), majorityOf(set.length)] as const)
  // Two disjoint sets of members, each a majority of its side, as bit masks over all nodes.
  const quorums = needed.map(([ids, count]) =>
    Array.from({ length: 2 ** all.length }, (_, mask) => mask).filter(
      (mask) => all.filter((id, slot) => (mask >> slot) % 2 === 1 && ids.includes(id)).length >= count,
    ),
  )
  return quorums[0]!.every((left) => quorums[1]!.every((right) => (left & right) !== 0))
}
