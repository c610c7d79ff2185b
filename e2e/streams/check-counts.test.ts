import { describe, expect, it } from 'vitest'
import { checkCounts } from './check-counts.ts'

const lines = ['a b a', 'a c']
const good = [
  { word: 'a', count: 1 },
  { word: 'b', count: 1 },
  { word: 'a', count: 2 },
  { word: 'a', count: 3 },
  { word: 'c', count: 1 },
]
const a = (...counts: number[]) => [...counts.map((count) => ({ word: 'a', count })), good[1]!, good[4]!]

describe('the output of a word count', () => {
  it('is right if it counts each word of each line once, in order', () => {
    expect(checkCounts(lines, good)).toEqual([])
  })

  it.each([
    ['a line counted twice', a(1, 2, 3, 4), ['a: came 3 times, and was counted 4 times']],
    ['a line left out', a(1, 2), ['a: came 3 times, and was counted 2 times']],
    ['an aborted step that is read', a(1, 2, 2, 3), ['a: after 2 came 2', 'a: came 3 times, and was counted 4 times']],
    ['a step that is missing', a(1, 3), ['a: after 1 came 3', 'a: came 3 times, and was counted 2 times']],
    ['steps that are swapped', a(2, 1, 3), ['a: first came 2']],
    ['a state that was lost', a(1, 2, 1), ['a: after 2 came 1']],
    ['a word that nobody sent', [...good, { word: 'z', count: 1 }], ['z: came 0 times, and was counted 1 times']],
    [
      'no output',
      [],
      [
        'a: came 3 times, and was counted 0 times',
        'b: came 1 times, and was counted 0 times',
        'c: came 1 times, and was counted 0 times',
      ],
    ],
  ])('is wrong with %s', (_, output, problems) => {
    expect(checkCounts(lines, output)).toEqual(problems)
  })

  it('is told in a few lines, however wrong it is', () => {
    const many = Array.from({ length: 100 }, (_, number) => `word${number}`)
    expect(checkCounts([many.join(' ')], [])).toHaveLength(21)
  })
})
