import type { Partition } from '@millrace/broker'
import type { SimulatedNode } from './simulated-node.ts'

/** All nodes that take themselves for the leader of a partition: those that are starting cannot be seen. */
export function leadersOf(nodes: readonly SimulatedNode[], topic: string, number = 0): SimulatedNode[] {
  return nodes.filter((node) => leadOf(node, topic, number) !== undefined)
}

/**
 * Who leads a partition, and for how long without a break, as text; null: nobody is in sight, or there are two, of which one has not heard
 * of the other.
 */
export function soleLeader(nodes: readonly SimulatedNode[], topic: string, number = 0): string | null {
  const [leader, ...others] = leadersOf(nodes, topic, number)
  if (leader === undefined || others.length > 0) return null
  return `node ${leader.id} in life ${leader.lifeCount} and epoch ${leadOf(leader, topic, number)?.leaderEpoch}`
}

/** The name of a topic as some node has it in its metadata, or its id: nobody in sight knows of it. */
export function topicNameOf(nodes: readonly SimulatedNode[], topicId: string): string {
  for (const { controller } of nodes) {
    for (const { id, name } of controller?.image.topics.values() ?? []) if (id === topicId) return name
  }
  return topicId
}

function leadOf({ broker }: SimulatedNode, topic: string, number: number): Partition | undefined {
  if (broker === null) return undefined
  const isMeant = (one: Partition): boolean => one.isLeader && one.partition === number && one.topic === topic
  return Array.from(broker.partitions()).find(isMeant)
}
