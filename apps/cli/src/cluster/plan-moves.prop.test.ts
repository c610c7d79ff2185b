import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Place, type PlacedPartition, planDrain, planSpread } from './plan-moves.ts'

/** Goal: whatever the cluster looks like, plans keep replicas apart and complete, and use the room that there is. */

const clusters = fc
  .record({
    brokerCount: fc.integer({ min: 1, max: 6 }),
    rackCount: fc.integer({ min: 0, max: 3 }),
    lists: fc.array(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
  })
  .map(({ brokerCount, rackCount, lists }) => {
    const brokers = Array.from({ length: brokerCount }, (_, slot): Place => {
      return { nodeId: slot + 1, rack: rackCount === 0 ? null : `r${slot % rackCount}` }
    })
    const partitions = lists.map((replicas, partition): PlacedPartition => {
      return { topic: 't', partition, replicas: [...new Set(replicas.map((one) => 1 + (one % brokerCount)))] }
    })
    return { brokers, partitions }
  })

function countOf(partitions: readonly { to: readonly number[] }[], nodeId: number): number {
  return partitions.filter(({ to }) => to.includes(nodeId)).length
}

describe('draining a broker', () => {
  test('replaces it in each list, or says that it cannot, and touches nothing else', () => {
    fc.assert(
      fc.property(clusters, ({ brokers, partitions }) => {
        const { moves, impossible } = planDrain(1, partitions, brokers)
        expect(moves.length + impossible.length).toBe(partitions.filter(({ replicas }) => replicas.includes(1)).length)
        for (const { from, to } of moves) {
          expect(to).not.toContain(1)
          expect(new Set(to).size).toBe(from.length)
          for (const [slot, nodeId] of to.entries()) if (from[slot] !== 1) expect(nodeId).toBe(from[slot])
        }
        for (const { replicas } of impossible) expect(replicas.length).toBe(brokers.length)
      }),
    )
  })

  test('prefers a rack that the partition does not use yet', () => {
    const brokers = [1, 2, 3, 4].map((nodeId) => ({ nodeId, rack: nodeId === 4 ? 'b' : 'a' }))
    const full = [5, 6, 7].map((partition) => ({ topic: 't', partition, replicas: [4] }))
    const { moves } = planDrain(1, [{ topic: 't', partition: 0, replicas: [1, 2] }, ...full], brokers)
    expect(moves).toMatchObject([{ to: [4, 2] }])
  })
})

describe('spreading partitions', () => {
  test('gives each as many different brokers as it is to have, and leaves alone what lies well', () => {
    fc.assert(
      fc.property(clusters, fc.integer({ min: 1, max: 4 }), ({ brokers, partitions }, replicationFactor) => {
        const { moves, impossible } = planSpread(partitions, brokers, replicationFactor)
        if (replicationFactor > brokers.length) {
          expect(impossible).toHaveLength(partitions.length)
          return
        }
        const placed = partitions.map(({ partition, replicas }) => ({
          to: moves.find((move) => move.partition === partition)?.to ?? replicas,
        }))
        for (const { to } of placed)
          expect([to.length, new Set(to).size]).toEqual([replicationFactor, replicationFactor])
        // Nobody holds more than its share, but for what racks force.
        const fair = Math.ceil((partitions.length * replicationFactor) / brokers.length)
        const isFree = brokers.every(({ rack }) => rack === null)
        if (isFree) for (const { nodeId } of brokers) expect(countOf(placed, nodeId)).toBeLessThanOrEqual(fair)
        const after = placed.map(({ to }, partition) => ({ topic: 't', partition, replicas: to }))
        expect(planSpread(after, brokers, replicationFactor).moves).toEqual([])
      }),
    )
  })

  test('a new broker gets its share of replicas and leaderships', () => {
    const brokers = [1, 2, 3, 4].map((nodeId) => ({ nodeId, rack: null }))
    const partitions = Array.from({ length: 12 }, (_, partition) => {
      const replicas = [0, 1, 2].map((step) => 1 + ((partition + step) % 3))
      return { topic: 't', partition, replicas }
    })
    const { moves } = planSpread(partitions, brokers, null)
    expect(countOf(moves, 4)).toBe(9)
    expect(moves.filter(({ to }) => to[0] === 4)).toHaveLength(3)
    const copies = moves.flatMap(({ from, to }) => to.filter((nodeId) => !from.includes(nodeId)))
    expect(copies).toHaveLength(9)
  })
})
