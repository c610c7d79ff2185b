import type { Uuid } from '@millrace/base'
import { DirectoryId, isActiveBroker, isPlacementKnown, type PartitionImage, type TopicImage } from '../image.ts'
import type { BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord } from '../records.ts'
import { afterRecords, type ControllerContext } from './context.ts'
import { changeOf } from './partition-events.ts'

/**
 * What happens to partitions when a broker comes or goes (`controller.md`, 2.3). All of it may be split between batches: what takes
 * a broker out of partitions stands before the record that says so of the broker, what it gains stands behind. So a controller that
 * ends in the middle leaves partitions with a smaller in-sync set, never with a member that must not be in it.
 */

/** Fences a broker: it leads nothing and is in sync with nothing. Nothing to do for one that is fenced or unknown. */
export function fenceBroker(context: ControllerContext, brokerId: number): MetadataRecord[] {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.fenced) return []
  const record = registrationChange(brokerId, broker.epoch, { fenced: true })
  return [...removeFromIsrs(afterRecords(context, [record]), brokerId), record]
}

/** Lets a broker take part again and elects where nobody led. */
export function unfenceBroker(context: ControllerContext, brokerId: number): MetadataRecord[] {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || !broker.fenced) return []
  const record = registrationChange(brokerId, broker.epoch, { fenced: false })
  return [record, ...electLeaderless(afterRecords(context, [record]))]
}

/** Moves all that a broker leads elsewhere, before it stops. */
export function beginControlledShutdown(context: ControllerContext, brokerId: number): MetadataRecord[] {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.inControlledShutdown) return []
  const record = registrationChange(brokerId, broker.epoch, { inControlledShutdown: true })
  return [...removeFromIsrs(afterRecords(context, [record]), brokerId), record]
}

/**
 * On the early sign of a broker's death (`design.md` 4): fences it, unless a partition would lose its last live in-sync replica. Then
 * only the others move, and the broker stays until the late sign: a partition without a leader would gain nothing by haste.
 */
export function onEarlySignOfLoss(context: ControllerContext, brokerId: number): MetadataRecord[] {
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.fenced) return []
  const record = registrationChange(brokerId, broker.epoch, { fenced: true })
  const after = afterRecords(context, [record])
  const changes: PartitionChangeRecord[] = []
  let isNeeded = false
  forEachPartition(after, (topic, partition) => {
    if (!partition.isr.includes(brokerId)) return
    const change = changeOf(after, topic, partition, { targetIsr: without(partition.isr, brokerId) })
    if (partition.leader === brokerId && (change === null || change.leader === -1)) isNeeded = true
    else if (change !== null) changes.push(change)
  })
  return isNeeded ? changes : [...changes, record]
}

/**
 * Directories of a broker that failed: their replicas are in sync with nothing. Those that are known to have failed are passed over. A
 * replica whose directory was not told yet may have lain in one of them, and nobody could tell any more once the broker has restarted: it
 * counts as lost until the broker says where it lies (KIP-858).
 */
export function failDirectories(
  context: ControllerContext,
  brokerId: number,
  offline: readonly Uuid[],
): MetadataRecord[] {
  const broker = context.image.brokers.get(brokerId)
  const failed = broker?.directories.filter((directory) => offline.includes(directory)) ?? []
  if (broker === undefined || failed.length === 0) return []
  const logDirs = broker.directories.filter((directory) => !failed.includes(directory))
  const record = registrationChange(brokerId, broker.epoch, { logDirs })
  const after = afterRecords(context, [record])
  const changes: PartitionChangeRecord[] = []
  forEachPartition(after, (topic, partition) => {
    const slot = partition.replicas.indexOf(brokerId)
    if (slot === -1) return
    const directory = partition.directories[slot]!
    const isKnown = isPlacementKnown(directory)
    if (isKnown && !failed.includes(directory)) return
    const change = changeOf(after, topic, partition, {
      targetIsr: without(partition.isr, brokerId),
      ...(isKnown ? {} : { targetDirectories: partition.directories.with(slot, DirectoryId.LOST) }),
    })
    if (change !== null) changes.push(change)
  })
  return [...changes, record]
}

/** Takes a broker out of the in-sync sets of all partitions; the context must already know why it may not lead. */
export function removeFromIsrs(context: ControllerContext, brokerId: number): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  forEachPartition(context, (topic, partition) => {
    if (!partition.isr.includes(brokerId)) return
    const change = changeOf(context, topic, partition, { targetIsr: without(partition.isr, brokerId) })
    if (change !== null) records.push(change)
  })
  return records
}

/** Elects wherever nobody leads and somebody may. */
export function electLeaderless(context: ControllerContext): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = []
  forEachPartition(context, (topic, partition) => {
    if (partition.leader !== -1) return
    const change = changeOf(context, topic, partition)
    if (change !== null) records.push(change)
  })
  return records
}

/**
 * What a controller that ended in the middle of a split operation may have left: members of in-sync sets that are fenced or gone
 * although others are there, and partitions without a leader that have a candidate. Elects nobody uncleanly: brokers may be about to
 * come back, and that task has a time of its own.
 */
export function repairPartitions(context: ControllerContext): PartitionChangeRecord[] {
  const isOut = (replica: number) => !isActiveBroker(context.image, replica)
  const records: PartitionChangeRecord[] = []
  forEachPartition(context, (topic, partition) => {
    if (partition.leader !== -1 && !partition.isr.some(isOut)) return
    const targetIsr = partition.isr.filter((replica) => !isOut(replica))
    const change = changeOf(context, topic, partition, { targetIsr, election: 'ONLINE' })
    if (change !== null) records.push(change)
  })
  return records
}

/** Visits all partitions of all topics. */
export function forEachPartition(
  { image }: ControllerContext,
  visit: (topic: TopicImage, partition: PartitionImage) => void,
): void {
  for (const topic of image.topics.values()) for (const partition of topic.partitions) visit(topic, partition)
}

function registrationChange(
  brokerId: number,
  brokerEpoch: number,
  change: Pick<BrokerRegistrationChangeRecord, 'fenced' | 'inControlledShutdown' | 'logDirs'>,
): BrokerRegistrationChangeRecord {
  return { type: 'BrokerRegistrationChangeRecord', brokerId, brokerEpoch, ...change }
}

/** The set without the broker. */
export function without(isr: readonly number[], brokerId: number): number[] {
  return isr.filter((replica) => replica !== brokerId)
}
