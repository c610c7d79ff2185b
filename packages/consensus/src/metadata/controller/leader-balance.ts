import type { PartitionChangeRecord } from '../records.ts'
import type { ControllerContext } from './context.ts'
import { changeOf } from './partition-events.ts'

/** Most partitions that one run of a periodic task changes; the next run follows at once if there were as many. */
export const MAX_CHANGES_PER_RUN = 1000

/** Gives partitions back to their first replica where it may lead (`auto.leader.rebalance.enable`; `controller.md`, 3.5). */
export function balanceLeaders(context: ControllerContext): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  for (const topic of context.image.topics.values()) {
    for (const partition of topic.partitions) {
      if (partition.leader === partition.replicas[0]) continue
      const record = changeOf(context, topic, partition, { election: 'PREFERRED' })
      // Any other change is not what this task is for: it would come again with each run.
      if (record?.leader === undefined || record.leader === partition.leader) continue
      records.push(record)
      if (records.length === MAX_CHANGES_PER_RUN) return records
    }
  }
  return records
}

/** Elects uncleanly where nobody leads and the topic permits it: replicas may have come back, or the permission, since. */
export function electUncleanly(context: ControllerContext): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  for (const topic of context.image.topics.values()) {
    if (topic.partitions.every((partition) => partition.leader !== -1)) continue
    if (!context.configRules.uncleanLeaderElectionEnable(context.image, topic.name)) continue
    for (const partition of topic.partitions) {
      if (partition.leader !== -1) continue
      const record = changeOf(context, topic, partition)
      if (record === null) continue
      records.push(record)
      if (records.length === MAX_CHANGES_PER_RUN) return records
    }
  }
  return records
}
