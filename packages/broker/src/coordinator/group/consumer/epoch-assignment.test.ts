import type { Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { epochIn } from './epoch-assignment.ts'

const TOPIC = 'topic' as Uuid

describe('the epoch in which a partition was given', () => {
  const list = Array.from({ length: 1000 }, (_, slot) => 3 * slot)
  const epochs = new Map([[TOPIC, list.map((partition) => partition + 1)]])

  test('is found for those that are there, and for no others', () => {
    const assignment = { partitions: new Map([[TOPIC, list]]), epochs }
    for (let partition = -2; partition < 3004; partition++) {
      const isThere = partition >= 0 && partition < 3000 && partition % 3 === 0
      expect(epochIn(assignment, TOPIC, partition)).toBe(isThere ? partition + 1 : undefined)
    }
    expect(epochIn(assignment, 'other' as Uuid, 0)).toBeUndefined()
  })

  test('is found without a look at each of the others: a late commit may ask fifty thousand times', () => {
    let reads = 0
    const counted = new Proxy(list, {
      get(target, key, receiver) {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++
        return Reflect.get(target, key, receiver)
      },
    })
    expect(epochIn({ partitions: new Map([[TOPIC, counted]]), epochs }, TOPIC, 2997)).toBe(2998)
    expect(reads).toBeLessThan(20)
  })
})
