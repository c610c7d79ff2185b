import type { Random } from '@millrace/base'
import {
  type BrokerImage,
  type EndpointImage,
  isDirectoryOnline,
  type MetadataImage,
  type PartitionImage,
} from '@millrace/consensus'

/** A broker as clients of one listener see it. */
export interface BrokerNode {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  readonly fenced: boolean
}

/** Registered brokers that have the listener, fenced ones too. */
export function brokerNodes(image: MetadataImage, listener: string): BrokerNode[] {
  const nodes: BrokerNode[] = []
  for (const broker of image.brokers.values()) {
    const endpoint = endpointOf(broker, listener)
    if (endpoint === null) continue
    const { id, rack, fenced } = broker
    nodes.push({ id, host: endpoint.host, port: endpoint.port, rack, fenced })
  }
  return nodes
}

/** Where clients of the listener reach the broker, or null. */
export function endpointOf(broker: BrokerImage, listener: string): EndpointImage | null {
  return broker.endpoints.find((endpoint) => endpoint.listener === listener) ?? null
}

/** The id of some live broker, which clients may take for the controller; -1 without any. */
export function anyLiveBrokerId(image: MetadataImage, random: Random): number {
  const live = [...image.brokers.values()].filter((broker) => !broker.fenced)
  return live[random.uint32() % Math.max(1, live.length)]?.id ?? -1
}

/** The partition's leader if clients of the listener can reach it. A fenced but still recorded leader counts. */
export function reachableLeader(image: MetadataImage, partition: PartitionImage, listener: string): number {
  const leader = image.brokers.get(partition.leader)
  return leader === undefined || endpointOf(leader, listener) === null ? -1 : leader.id
}

/** Replicas that are unregistered, fenced, without the listener, or in a directory that is offline. */
export function offlineReplicas(image: MetadataImage, partition: PartitionImage, listener: string): number[] {
  return partition.replicas.filter((replica, slot) => {
    const broker = image.brokers.get(replica)
    if (broker === undefined || broker.fenced || endpointOf(broker, listener) === null) return true
    return !isDirectoryOnline(broker, partition.directories[slot]!)
  })
}
