import { describe, expect, it } from 'vitest'
import { type ObservedOffsets, type Promised, Promises, wrongOffsets } from './check-offsets.ts'
import type { Acknowledged } from './history.ts'
import type { Load } from './load.ts'

const promised: Promised = {
  ends: new Map([['t', [5, 7]]]),
  commits: [{ group: 'g', topic: 't', offsets: new Map([[0, 3]]) }],
}

const observed = (ends: number[], committed: [number, number][]): ObservedOffsets => ({
  ends: new Map([['t', ends]]),
  commits: [new Map(committed)],
})

describe('the check of offsets after a restart', () => {
  it('is content with what was promised and with more', () => {
    expect(wrongOffsets(promised, observed([5, 7], [[0, 3]]))).toEqual([])
    expect(
      wrongOffsets(
        promised,
        observed(
          [6, 9],
          [
            [0, 6],
            [1, -1],
          ],
        ),
      ),
    ).toEqual([])
  })

  it('notices a partition that is too short or missing', () => {
    expect(wrongOffsets(promised, observed([5, 6], [[0, 3]]))).toEqual(['t 1 ends at 6, acknowledged up to 7'])
    expect(wrongOffsets(promised, observed([5], [[0, 3]]))).toEqual(['t 1 ends at -1, acknowledged up to 7'])
  })

  it('notices a commit that went back, is gone, or lies behind the end', () => {
    expect(wrongOffsets(promised, observed([5, 7], [[0, 2]]))).toEqual(['group g has 2 of t 0, acknowledged was 3'])
    expect(wrongOffsets(promised, observed([5, 7], []))).toEqual(['group g has undefined of t 0, acknowledged was 3'])
    expect(wrongOffsets(promised, observed([5, 7], [[0, 6]]))).toEqual(['group g has 6 of t 0, which ends at 5'])
  })

  it('follows acknowledgements as they come, those without an offset aside', () => {
    const acknowledged: Acknowledged[] = []
    const load: Load = {
      name: 'p',
      acknowledged: () => acknowledged,
      finish: () => Promise.reject(new Error('not asked for')),
      abandon: () => acknowledged.splice(0),
    }
    const promises = new Promises([['t', load]], [])
    acknowledged.push({ producer: 'p', sequence: 0, partition: 1, offset: 4 })
    expect(promises.now().ends.get('t')?.[1]).toBe(5)
    acknowledged.push({ producer: 'p', sequence: 1, partition: 1, offset: 3 })
    acknowledged.push({ producer: 'p', sequence: 2, partition: 1, offset: null })
    acknowledged.push({ producer: 'p', sequence: 3, partition: 0, offset: 0 })
    expect(promises.now().ends.get('t')).toEqual([1, 5])
  })
})
