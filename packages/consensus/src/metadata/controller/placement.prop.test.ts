import { SeededRandom } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imageOf, registration } from '../../testing/cluster.ts'
import { placeReplicas } from './placement.ts'

const broker = fc.record({ rack: fc.constantFrom(null, 'a', 'b', 'c'), fenced: fc.boolean() })

test('replicas are different brokers, the first unfenced, in as many racks as can be', () => {
  fc.assert(
    fc.property(
      fc.array(broker, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      (brokers, replicationFactor, partitionCount, seed) => {
        const image = imageOf(...brokers.map((init, slot) => registration(slot + 1, init)))
        const placement = placeReplicas(image, new SeededRandom(seed), partitionCount, replicationFactor)
        const possible = replicationFactor <= brokers.length && brokers.some(({ fenced }) => !fenced)
        expect('replicas' in placement).toBe(possible)
        if (!('replicas' in placement)) return
        expect(placement.replicas.length).toBe(partitionCount)
        const racksInAll = new Set(brokers.map(({ rack }) => rack)).size
        for (const replicas of placement.replicas) {
          expect(new Set(replicas).size).toBe(replicationFactor)
          expect(brokers[replicas[0]! - 1]!.fenced).toBe(false)
          const racks = new Set(replicas.map((id) => brokers[id - 1]!.rack))
          expect(racks.size).toBe(Math.min(replicationFactor, racksInAll))
        }
      },
    ),
  )
})

test('leaders are spread over equal brokers', () => {
  const image = imageOf(...[1, 2, 3, 4].map((id) => registration(id)))
  const placement = placeReplicas(image, new SeededRandom(7), 400, 3)
  if (!('replicas' in placement)) throw new Error(placement.complaint)
  const leaders = new Map<number, number>()
  for (const [leader] of placement.replicas) leaders.set(leader!, (leaders.get(leader!) ?? 0) + 1)
  expect([...leaders.values()]).toEqual([100, 100, 100, 100])
})
