import type { Uuid } from '@millrace/base'

/** One broker. */
export interface BrokerNode {
  nodeId: number
  host: string
  port: number
  rack: string | null
}

/** One partition as metadata knows it. */
export interface PartitionView {
  topic: string
  partition: number
  /** Node id, -1 while there is no leader. */
  leaderId: number
  /** -1 if the broker does not tell. */
  leaderEpoch: number
  replicas: number[]
  isr: number[]
  offlineReplicas: number[]
}

/** One topic as metadata knows it. */
export interface TopicView {
  name: string
  /** The zero id if the broker knows none. */
  topicId: Uuid
  isInternal: boolean
  /** By partition number. */
  partitions: PartitionView[]
}

/** The cluster as last seen. Replaced as a whole on every change, never changed in place: keep it and it stays consistent. */
export interface ClusterView {
  clusterId: string | null
  /** Node id, -1 if unknown. With KRaft any broker takes a controller's requests and forwards them. */
  controllerId: number
  brokers: ReadonlyMap<number, BrokerNode>
  topics: ReadonlyMap<string, TopicView>
  /** Protocol error codes of topics that were asked for and not got. */
  topicErrors: ReadonlyMap<string, number>
}

/** What is known before the first answer. */
export const emptyClusterView: ClusterView = {
  clusterId: null,
  controllerId: -1,
  brokers: new Map(),
  topics: new Map(),
  topicErrors: new Map(),
}
