import type { Uuid } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type SharePartition, ShareSession } from './share-session.ts'

test('the broker remembers exactly what is wanted, and no epoch is used twice, whatever fails', () => {
  const step = fc.record({
    wanted: fc.uniqueArray(fc.integer({ min: 0, max: 6 })),
    outcome: fc.constantFrom('answered' as const, 'lost' as const, 'lost' as const),
    reachesBroker: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const session = new ShareSession()
      let broker: { epoch: number; partitions: Set<number> } | null = null
      for (const { wanted, outcome, reachesBroker } of steps) {
        const places: SharePartition[] = wanted.map((partition) => ({ topic: 't', topicId: 'id' as Uuid, partition }))
        const { ordinal } = session
        const { epoch, added, forgotten } = session.next(places)
        if (outcome === 'answered' || reachesBroker) {
          if (epoch === 0) broker = { epoch: 0, partitions: new Set() }
          expect(broker!.epoch).toBe(epoch)
          broker!.epoch++
          for (const { partition } of added) broker!.partitions.add(partition)
          for (const { partition } of forgotten) broker!.partitions.delete(partition)
        }
        if (outcome === 'answered') {
          session.onAnswer()
          expect([...broker!.partitions].sort()).toEqual([...wanted].sort())
          expect(session.ordinal).toBe(ordinal)
        } else {
          // The connection is gone, and with it what the broker knew.
          broker = null
          session.onFailure()
          expect(session.isNew).toBe(true)
          expect(session.ordinal).toBe(ordinal + 1)
        }
      }
    }),
  )
})
