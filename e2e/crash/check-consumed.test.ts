import { beforeEach, describe, expect, it } from 'vitest'
import { Consumed } from './check-consumed.ts'
import { type Stored, textOf } from './history.ts'

describe('the check of what was consumed', () => {
  let consumed: Consumed
  const stored: Stored[] = [0, 1, 2].map((offset) => ({ partition: 1, offset, value: textOf('p', offset * 3 + 1) }))

  beforeEach(() => {
    consumed = new Consumed()
    for (const [offset, head] of ['p:1', 'p:4', 'p:7'].entries()) consumed.add(1, offset, head)
  })

  it('is content where all of it is still there, was read twice, or was removed by retention', () => {
    consumed.add(1, 2, 'p:7')
    expect(consumed.count).toBe(3)
    expect(consumed.check(stored, [])).toEqual([])
    expect(consumed.check(stored.slice(2), [0, 2, 0])).toEqual([])
  })

  it('notices a record that is gone, and another in its place', () => {
    expect(consumed.check(stored.slice(0, 2), [])).toEqual(['consumed and lost: partition 1 offset 2 was p:7, is gone'])
  })

  it('notices another record in the place of one that was consumed', () => {
    // The number is another one, not only longer.
    const exchanged = [...stored.slice(0, 2), { partition: 1, offset: 2, value: textOf('p', 70) }]
    expect(consumed.check(exchanged, []).join()).toContain('offset 2 was p:7, is p:70:')
  })

  it('notices an offset that gives another record when it is read again', () => {
    consumed.add(1, 2, 'p:10')
    expect(consumed.check(stored, [])).toEqual(['read otherwise: partition 1 offset 2 was p:7, is p:10'])
  })
})
