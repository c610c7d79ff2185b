import { ErrorCode, type MetadataResponse, type MetadataResponseTopic } from '@millrace/protocol'
import type { BrokerNode, ClusterView, PartitionView, TopicView } from './cluster-view.ts'

/**
 * The view after a Metadata answer. `asked` names the topics that were asked for, null for all: topics that were not asked for stay
 * as they are. A broker may lag behind: for the same topic id, a partition with an older leader epoch than known is not believed.
 */
export function mergeMetadata(
  view: ClusterView,
  response: MetadataResponse,
  asked: ReadonlySet<string> | null,
): ClusterView {
  const brokers = new Map<number, BrokerNode>()
  for (const { nodeId, host, port, rack } of response.brokers) brokers.set(nodeId, { nodeId, host, port, rack })
  const topics = new Map<string, TopicView>()
  const topicErrors = new Map<string, number>()
  if (asked !== null) {
    for (const [name, topic] of view.topics) if (!asked.has(name)) topics.set(name, topic)
    for (const [name, errorCode] of view.topicErrors) if (!asked.has(name)) topicErrors.set(name, errorCode)
  }
  for (const topic of response.topics) {
    if (topic.name === null) continue
    const known = view.topics.get(topic.name)
    if (topic.errorCode === ErrorCode.NONE) topics.set(topic.name, mergeTopic(topic.name, topic, known))
    else topicErrors.set(topic.name, topic.errorCode)
    // It exists, an election is under way: what is known of its shape stays true.
    if (topic.errorCode === ErrorCode.LEADER_NOT_AVAILABLE && known !== undefined) topics.set(topic.name, known)
  }
  return { clusterId: response.clusterId, controllerId: response.controllerId, brokers, topics, topicErrors }
}

function mergeTopic(name: string, topic: MetadataResponseTopic, known: TopicView | undefined): TopicView {
  const comparable = known !== undefined && known.topicId === topic.topicId
  const partitions: PartitionView[] = []
  for (const answered of [...topic.partitions].sort((a, b) => a.partitionIndex - b.partitionIndex)) {
    // Partition numbers are dense; a gap would be a broker's bug, and later ones could not be addressed by position.
    if (answered.partitionIndex !== partitions.length) break
    const before = comparable ? known.partitions[answered.partitionIndex] : undefined
    if (before !== undefined && before.leaderEpoch > answered.leaderEpoch && answered.leaderEpoch >= 0) {
      partitions.push(before)
      continue
    }
    partitions.push({
      topic: name,
      partition: answered.partitionIndex,
      leaderId: answered.leaderId,
      leaderEpoch: answered.leaderEpoch,
      replicas: answered.replicaNodes,
      isr: answered.isrNodes,
      offlineReplicas: answered.offlineReplicas,
    })
  }
  return { name, topicId: topic.topicId, isInternal: topic.isInternal, partitions }
}

/** Whether `next` names other brokers, topics, partitions or leaders than `view`. */
export function tellsNews(view: ClusterView, next: ClusterView): boolean {
  if (view.brokers.size !== next.brokers.size || view.topics.size !== next.topics.size) return true
  for (const [nodeId, { host, port }] of next.brokers) {
    const known = view.brokers.get(nodeId)
    if (known === undefined || known.host !== host || known.port !== port) return true
  }
  for (const [name, topic] of next.topics) {
    const known = view.topics.get(name)
    if (known === undefined || known.topicId !== topic.topicId) return true
    if (known.partitions.length !== topic.partitions.length) return true
    for (const [slot, { leaderId, leaderEpoch }] of topic.partitions.entries()) {
      const before = known.partitions[slot]!
      if (before.leaderId !== leaderId || before.leaderEpoch !== leaderEpoch) return true
    }
  }
  return false
}

/** A leader that an answer to a produce or fetch told (KIP-951). */
export interface LeaderHint {
  topic: string
  partition: number
  leaderId: number
  leaderEpoch: number
}

/** The view with newer leaders taken over; the same object if nothing is new. Hints about unknown brokers are left alone. */
export function mergeLeaderHints(
  view: ClusterView,
  hints: readonly LeaderHint[],
  endpoints: readonly BrokerNode[],
): ClusterView {
  const brokers = new Map(view.brokers)
  for (const endpoint of endpoints) brokers.set(endpoint.nodeId, endpoint)
  const topics = new Map(view.topics)
  let changed = false
  for (const { topic, partition, leaderId, leaderEpoch } of hints) {
    const known = topics.get(topic)
    const before = known?.partitions[partition]
    if (known === undefined || before === undefined || before.leaderEpoch >= leaderEpoch || !brokers.has(leaderId))
      continue
    const partitions = [...known.partitions]
    partitions[partition] = { ...before, leaderId, leaderEpoch }
    topics.set(topic, { ...known, partitions })
    changed = true
  }
  return changed ? { ...view, brokers, topics } : view
}
