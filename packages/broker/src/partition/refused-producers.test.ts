import { describe, expect, it } from 'vitest'
import { batchOf, sequencedBatch } from '../testing/batches.ts'
import type { Partition } from './partition.ts'
import { RefusedProducers } from './refused-producers.ts'

/** A partition whose log knows some producers. */
function partitionOf(known: ReadonlySet<number>, isLoaded = true, partition = 0): Partition {
  const log = {
    producerStates: { isLoaded },
    currentProducers: () => ({ isWriter: (id: number) => known.has(id) }),
  }
  return { topicId: 'topic', partition, log } as unknown as Partition
}

describe('producers that were refused', () => {
  const refuse = (
    refused: RefusedProducers,
    partition: Partition,
    sequence: number,
    producer: { producerId?: number; producerEpoch?: number } = {},
  ) => {
    const batch = sequencedBatch(['a'], sequence, producer)
    refused.note(partition, batch, 0, batch.length)
  }

  it('send that again first', () => {
    const refused = new RefusedProducers()
    const partition = partitionOf(new Set())
    expect(refused.admits(partition, 7, 0, 5)).toBe(true)
    for (const sequence of [3, 4]) refuse(refused, partition, sequence)
    expect([4, 5].map((sequence) => refused.admits(partition, 7, 0, sequence))).toEqual([false, false])
    expect(refused.admits(partitionOf(new Set(), true, 1), 7, 0, 4)).toBe(true)
    expect(refused.admits(partition, 8, 0, 4)).toBe(true)
    expect(refused.admits(partition, 7, 0, 3)).toBe(true)
    expect(refused.count).toBe(0)
  })

  it('are asked for the earliest, whatever was refused last', () => {
    const refused = new RefusedProducers()
    const partition = partitionOf(new Set())
    for (const sequence of [4, 3, 6]) refuse(refused, partition, sequence)
    expect([refused.admits(partition, 7, 0, 4), refused.admits(partition, 7, 0, 3)]).toEqual([false, true])
  })

  it('begin anew with another epoch', () => {
    const refused = new RefusedProducers()
    const partition = partitionOf(new Set())
    refuse(refused, partition, 3)
    expect(refused.admits(partition, 7, 1, 9)).toBe(true)
    refuse(refused, partition, 2)
    refuse(refused, partition, 5, { producerEpoch: 1 })
    expect(refused.admits(partition, 7, 1, 6)).toBe(false)
  })

  it('are left to a log that knows them, also if it knows them only by now', () => {
    const refused = new RefusedProducers()
    const known = new Set([7])
    const [loaded, notLoaded] = [partitionOf(known), partitionOf(known, false)]
    refuse(refused, loaded, 3)
    expect(refused.count).toBe(0)
    refuse(refused, notLoaded, 3)
    expect(refused.count).toBe(1)
    expect(refused.admits(notLoaded, 7, 0, 4)).toBe(true)
  })

  it('are not looked for where there is no batch of a producer', () => {
    const refused = new RefusedProducers()
    const partition = partitionOf(new Set())
    const [plain, cut] = [batchOf(['a']), sequencedBatch(['a'], 0).subarray(0, 60)]
    refused.note(partition, plain, 0, plain.length)
    refused.note(partition, cut, 0, cut.length)
    refused.note(partition, plain, -1, -1)
    expect(refused.count).toBe(0)
  })

  it('are forgotten in the end, the oldest first', () => {
    const refused = new RefusedProducers()
    const partition = partitionOf(new Set())
    for (let producerId = 0; producerId <= 10_000; producerId++) refuse(refused, partition, 0, { producerId })
    expect(refused.count).toBe(10_000)
    expect([0, 1].map((producerId) => refused.admits(partition, producerId, 0, 1))).toEqual([true, false])
  })
})
