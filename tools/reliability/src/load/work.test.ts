import { expect, test } from 'vitest'
import { tooLittle } from './work.ts'

test('too little of anything is told, and so is what is no number', () => {
  expect(tooLittle([{ what: 'kills', count: 5, least: 5 }])).toEqual([])
  expect(
    tooLittle([
      { what: 'kills', count: 4, least: 4.5 },
      { what: 'commits', count: Number.NaN, least: 1 },
      { what: 'starts', count: 2, least: 0 },
    ]),
  ).toEqual(['4 kills, where fewer than 5 tell nothing', 'NaN commits, where fewer than 1 tell nothing'])
})
