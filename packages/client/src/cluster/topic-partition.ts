/** One partition of one topic. */
export interface TopicPartition {
  topic: string
  partition: number
}

/** Map key of a partition. The number comes first, so that no topic name can make two keys equal. */
export function partitionKey(topic: string, partition: number): string {
  return `${partition}:${topic}`
}

/** Order by topic name (by UTF-16 code unit), then partition. */
export function comparePartitions(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

/** Groups partitions by topic, keeping the order of each. */
export function groupByTopic(partitions: Iterable<TopicPartition>): Map<string, number[]> {
  const byTopic = new Map<string, number[]>()
  for (const [topic, places] of Map.groupBy(partitions, (place) => place.topic)) {
    byTopic.set(
      topic,
      places.map(({ partition }) => partition),
    )
  }
  return byTopic
}
