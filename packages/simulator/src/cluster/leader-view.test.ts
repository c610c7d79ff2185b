import { describe, expect, it } from 'vitest'
import { LeaderView, type LeadingNode } from './leader-view.ts'

const TOPIC = 'jobs'

function node(id: number, isLeader: boolean, leaderEpoch: number, partition = 0): LeadingNode {
  return { id, lifeCount: 1, broker: { partitions: () => [{ topic: TOPIC, partition, isLeader, leaderEpoch }] } }
}

const DOWN: LeadingNode = { id: 1, lifeCount: 1, broker: null }

function viewOf(nodes: readonly LeadingNode[], newestEpoch: number): LeaderView {
  return new LeaderView(() => nodes, { leaderEpochOf: (topic) => (topic === TOPIC ? newestEpoch : -1) })
}

describe('LeaderView', () => {
  it('names the leader, in its life and epoch', () => {
    const view = viewOf([node(0, false, 4), node(2, true, 4)], 4)
    expect(view.sole(TOPIC)).toBe('node 2 in life 1 and epoch 4')
    expect(view.hasReplaced(TOPIC)).toBe(false)
    expect(view.all(TOPIC).map(({ id }) => id)).toEqual([2])
  })

  it('takes nobody for the leader while one that was replaced takes itself for it', () => {
    const view = viewOf([node(0, true, 3), node(2, true, 4)], 4)
    expect(view.sole(TOPIC)).toBeNull()
    expect(view.hasReplaced(TOPIC)).toBe(true)
    expect(view.all(TOPIC).map(({ id }) => id)).toEqual([0, 2])
  })

  it('does not take one that was replaced for the leader while its successor is down', () => {
    const view = viewOf([node(0, true, 3), DOWN], 4)
    expect(view.sole(TOPIC)).toBeNull()
    expect(view.hasReplaced(TOPIC)).toBe(true)
  })

  it('knows of no leader where there is none in sight', () => {
    const view = viewOf([node(0, false, 4), DOWN], 4)
    expect(view.sole(TOPIC)).toBeNull()
    expect(view.hasReplaced(TOPIC)).toBe(false)
  })

  it('tells partitions and topics apart', () => {
    const view = viewOf([node(0, true, 4, 1)], 4)
    expect([view.sole(TOPIC, 0), view.sole(TOPIC, 1)]).toEqual([null, 'node 0 in life 1 and epoch 4'])
    expect([view.epoch(TOPIC, 1), view.epoch('others')]).toEqual([4, -1])
    expect(view.hasReplaced('others')).toBe(false)
  })
})
