import type { LeaderEpoch, Uuid } from '@millrace/base'
import { isActiveBroker, isDirectoryOnline, type MetadataImage, type PartitionImage } from '../image.ts'
import type { PartitionChangeRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { changeOf } from './partition-events.ts'

/**
 * A broker tells of replicas whose stored records are damaged: they must not count for anything before it has them again from others.
 * Kafka knows nothing of the kind.
 */
export interface WithdrawReplicasRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly {
    readonly topicId: Uuid
    readonly partition: number
    /** As the broker knows it: done twice, the second time is refused. */
    readonly leaderEpoch: LeaderEpoch
  }[]
}

export interface WithdrawReplicasResponse {
  readonly partitions: readonly { readonly topicId: Uuid; readonly partition: number; readonly errorCode: number }[]
}

/**
 * Takes the broker's replicas out of the in-sync and the eligible ones, and leaderships away from them, if another in-sync replica is
 * alive that can lead: else ELIGIBLE_LEADERS_NOT_AVAILABLE, since nobody else is known to have what is sound of the log. The leader epoch
 * rises in any case. So nothing that the replica told its leader before, or that the leader asked for on account of it, can bring it back
 * into the in-sync set: what it fetches with the new epoch tells what it holds then (`reliability.md`, 5.2).
 */
export function withdrawReplicas(
  context: ControllerContext,
  { brokerId, brokerEpoch, partitions }: WithdrawReplicasRequest,
): Outcome<WithdrawReplicasResponse | ApiError> {
  const { image } = context
  if (image.brokers.get(brokerId)?.epoch !== brokerEpoch) {
    return { records: [], response: apiError(MetadataErrorCode.STALE_BROKER_EPOCH) }
  }
  const records: PartitionChangeRecord[] = []
  const changed = new Set<string>()
  const results = partitions.map(({ topicId, partition: partitionId, leaderEpoch }) => {
    const answer = (errorCode: number) => ({ topicId, partition: partitionId, errorCode })
    const topic = image.topicsById.get(topicId)
    if (topic === undefined) return answer(MetadataErrorCode.UNKNOWN_TOPIC_ID)
    const partition = topic.partitions[partitionId]
    if (partition === undefined) return answer(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if (!partition.replicas.includes(brokerId)) return answer(MetadataErrorCode.NOT_LEADER_OR_FOLLOWER)
    // One that knows more than this controller will be told by the controller that does.
    if (leaderEpoch > partition.leaderEpoch) return answer(MetadataErrorCode.NOT_CONTROLLER)
    const key = `${topicId}:${partitionId}`
    if (leaderEpoch < partition.leaderEpoch || changed.has(key)) return answer(MetadataErrorCode.FENCED_LEADER_EPOCH)
    const targetIsr = partition.isr.filter((replica) => replica !== brokerId)
    if (!targetIsr.some((replica) => canLead(image, partition, replica))) {
      return answer(MetadataErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
    }
    const record = changeOf(context, topic, partition, {
      targetIsr,
      newLeaderEpoch: true,
      election: 'ONLINE',
      excludedFromElr: brokerId,
    })
    // Never absent, since the epoch rises.
    if (record !== null) records.push(record)
    changed.add(key)
    return answer(MetadataErrorCode.NONE)
  })
  return { records, response: { partitions: results } }
}

function canLead(image: MetadataImage, { replicas, directories }: PartitionImage, replica: number): boolean {
  const broker = image.brokers.get(replica)
  if (broker === undefined || !isActiveBroker(image, replica)) return false
  return isDirectoryOnline(broker, directories[replicas.indexOf(replica)]!)
}
