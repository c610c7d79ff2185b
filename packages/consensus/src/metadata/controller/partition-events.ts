import type { MetadataImage, PartitionImage, TopicImage } from '../image.ts'
import type { PartitionChangeRecord } from '../records.ts'
import type { ControllerContext } from './context.ts'
import { buildPartitionChange, type Election, type PartitionChange } from './partition-change.ts'

/** What the builder needs of a partition's topic, in one place: the election that events use and the effective minimum. */
export function changeOf(
  context: ControllerContext,
  topic: TopicImage,
  partition: PartitionImage,
  wish: Partial<Omit<PartitionChange, 'image' | 'topicId' | 'partition' | 'minIsr'>> = {},
): PartitionChangeRecord | null {
  const { image, configRules } = context
  const unclean = configRules.uncleanLeaderElectionEnable(image, topic.name)
  const election: Election = unclean ? 'UNCLEAN' : 'ONLINE'
  return buildPartitionChange({
    image,
    topicId: topic.id,
    partition,
    minIsr: effectiveMinIsr(context, topic),
    election,
    ...wish,
  })
}

/** A topic cannot need more in-sync replicas than it has replicas. */
function effectiveMinIsr(context: ControllerContext, topic: TopicImage): number {
  const configured = context.configRules.minInsyncReplicas(context.image, topic.name)
  return Math.min(configured, topic.partitions[0]?.replicas.length ?? configured)
}

/** The partition of that name and number, or null. */
export function findPartition(
  image: MetadataImage,
  topicName: string,
  partition: number,
): { topic: TopicImage; partition: PartitionImage } | null {
  const topic = image.topics.get(topicName)
  const found = topic?.partitions[partition]
  return topic === undefined || found === undefined ? null : { topic, partition: found }
}
