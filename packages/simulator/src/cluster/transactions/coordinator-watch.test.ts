import { expect, it } from 'vitest'
import { type CoordinatorNode, CoordinatorWatch } from './coordinator-watch.ts'

const TOPIC = '__consumer_offsets'

function node(isLeader: boolean, leaderEpoch: number): CoordinatorNode {
  return { broker: { partitions: () => [{ topic: TOPIC, isLeader, leaderEpoch }] } }
}

it('finds a coordinator that was replaced and does not know it, also while its successor is down', () => {
  let nodes = [node(true, 3), node(false, 3)]
  const watch = new CoordinatorWatch(() => nodes)
  expect(watch.hasReplaced(TOPIC)).toBe(false)
  expect(watch.hasReplaced('__transaction_state')).toBe(false)
  nodes = [node(true, 3), node(true, 4)]
  watch.observe()
  expect(watch.hasReplaced(TOPIC)).toBe(true)
  nodes = [node(true, 3), { broker: null }]
  expect(watch.hasReplaced(TOPIC)).toBe(true)
  expect(watch.epoch(TOPIC)).toBe(4)
  nodes = [node(false, 4), node(true, 4)]
  expect(watch.hasReplaced(TOPIC)).toBe(false)
})
