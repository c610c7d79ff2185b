import type { LeaderEpoch, Uuid } from '@millrace/base'
import { isDirectoryOnline, type LeaderRecoveryState, type MetadataImage, type PartitionImage } from '../image.ts'
import { mergePartition } from '../partition.ts'
import type { PartitionChangeRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { changeOf } from './partition-events.ts'

/** New in-sync sets that leaders ask for: a compare-and-set on the partition epoch. */
export interface AlterPartitionsRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly PartitionAlteration[]
}

export interface PartitionAlteration {
  readonly topicId: Uuid
  readonly partition: number
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  readonly leaderRecoveryState: LeaderRecoveryState
  /** Epoch -1: not known. */
  readonly newIsr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
}

/** State after the change; after an error only the code counts. */
export interface AlteredPartition {
  readonly topicId: Uuid
  readonly partition: number
  readonly errorCode: number
  readonly leader: number
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  readonly isr: readonly number[]
  readonly leaderRecoveryState: LeaderRecoveryState
}

/** Works out what leaders ask for their partitions (`controller.md`, 3.3). Each partition succeeds or fails by itself. */
export function alterPartitions(
  context: ControllerContext,
  request: AlterPartitionsRequest,
): Outcome<{ readonly partitions: readonly AlteredPartition[] } | ApiError> {
  const { image } = context
  if (image.brokers.get(request.brokerId)?.epoch !== request.brokerEpoch) {
    return { records: [], response: apiError(MetadataErrorCode.STALE_BROKER_EPOCH) }
  }
  const records: PartitionChangeRecord[] = []
  const changed = new Set<string>()
  const partitions = request.partitions.map((wish) => {
    const topic = image.topicsById.get(wish.topicId)
    if (topic === undefined) return refused(wish, MetadataErrorCode.UNKNOWN_TOPIC_ID)
    const current = topic.partitions[wish.partition]
    if (current === undefined) return refused(wish, MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    const key = `${wish.topicId}:${wish.partition}`
    // A second wish for the same partition was made without knowledge of the first.
    const error = changed.has(key)
      ? MetadataErrorCode.INVALID_UPDATE_VERSION
      : alterationError(image, request.brokerId, wish, current)
    if (error !== MetadataErrorCode.NONE) return refused(wish, error)
    const record = changeOf(context, topic, current, {
      targetIsr: wish.newIsr.map(({ brokerId }) => brokerId),
      targetRecoveryState: wish.leaderRecoveryState,
    })
    if (record === null) return altered(wish, current)
    records.push(record)
    changed.add(key)
    const next = mergePartition(current, record)
    // The change completed a move of replicas, and this leader is not among them any more.
    if (next.leader !== request.brokerId) return refused(wish, MetadataErrorCode.NEW_LEADER_ELECTED)
    return altered(wish, next)
  })
  return { records, response: { partitions } }
}

/** The first of the checks that fails, in Kafka's order; that a new member's directory is online is asked for beyond Kafka. */
function alterationError(
  image: MetadataImage,
  brokerId: number,
  wish: PartitionAlteration,
  current: PartitionImage,
): number {
  const { NONE, NOT_CONTROLLER, FENCED_LEADER_EPOCH, INVALID_REQUEST } = MetadataErrorCode
  const { INVALID_UPDATE_VERSION, INELIGIBLE_REPLICA } = MetadataErrorCode
  // A leader that knows more than this controller: it will be told by the controller that does.
  if (wish.leaderEpoch > current.leaderEpoch || wish.partitionEpoch > current.partitionEpoch) return NOT_CONTROLLER
  if (wish.leaderEpoch < current.leaderEpoch) return FENCED_LEADER_EPOCH
  if (brokerId !== current.leader) return INVALID_REQUEST
  if (wish.partitionEpoch < current.partitionEpoch) return INVALID_UPDATE_VERSION
  const members = wish.newIsr.map((member) => member.brokerId)
  const isSubset = members.every(
    (member, slot) => current.replicas.includes(member) && members.indexOf(member) === slot,
  )
  if (!isSubset || !members.includes(brokerId)) return INVALID_REQUEST
  if (wish.leaderRecoveryState === 1 && (members.length > 1 || current.leaderRecoveryState === 0)) {
    return INVALID_REQUEST
  }
  const isEligible = wish.newIsr.every(
    (member) =>
      isEligibleMember(image, member.brokerId, member.brokerEpoch) &&
      (current.isr.includes(member.brokerId) || isReplicaOnline(image, current, member.brokerId)),
  )
  return isEligible ? NONE : INELIGIBLE_REPLICA
}

/** The last fetch of a replica may reach the leader after the broker has told that its directory failed. */
function isReplicaOnline(image: MetadataImage, { replicas, directories }: PartitionImage, brokerId: number): boolean {
  return isDirectoryOnline(image.brokers.get(brokerId)!, directories[replicas.indexOf(brokerId)]!)
}

/** A replica that restarted since the leader saw it may not hold what the leader thinks (KIP-903). */
function isEligibleMember(image: MetadataImage, brokerId: number, brokerEpoch: number): boolean {
  const broker = image.brokers.get(brokerId)
  if (broker === undefined || broker.fenced || broker.inControlledShutdown) return false
  return brokerEpoch === -1 || brokerEpoch === broker.epoch
}

function altered(wish: PartitionAlteration, state: PartitionImage): AlteredPartition {
  const { leader, leaderEpoch, partitionEpoch, isr, leaderRecoveryState } = state
  const { topicId, partition } = wish
  return { topicId, partition, errorCode: 0, leader, leaderEpoch, partitionEpoch, isr, leaderRecoveryState }
}

function refused({ topicId, partition }: PartitionAlteration, errorCode: number): AlteredPartition {
  const nothing = { leader: -1, leaderEpoch: -1, partitionEpoch: -1, isr: [], leaderRecoveryState: 0 } as const
  return { topicId, partition, errorCode, ...nothing }
}
