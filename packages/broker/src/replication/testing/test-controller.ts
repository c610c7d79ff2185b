import type { Uuid } from '@millrace/base'
import {
  type AlterPartitionAnswer,
  type AlterPartitionRequest,
  applyRecords,
  type ControllerAnswer,
  type ControllerRequest,
  type ControllerRequestName,
  DirectoryId,
  emptyImage,
  type MetadataImage,
  type MetadataRecord,
  type PartitionChangeRecord,
  type PartitionImage,
} from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'

type Result = AlterPartitionAnswer['partitions'][number]

/**
 * The controller's rules as far as replicas meet them (`controller.md`, 3): registration, fencing, elections from the ISR alone, changes of
 * the ISR by compare and set. What it commits goes to `onCommitted`, in order.
 */
export class TestController {
  image: MetadataImage = emptyImage('cluster')
  onCommitted: (records: readonly MetadataRecord[]) => void = () => undefined
  #nextEpoch = 1

  commit(...records: readonly MetadataRecord[]): void {
    if (records.length === 0) return
    this.image = applyRecords(this.image, records).image
    this.onCommitted(records)
  }

  createTopic(name: string, topicId: Uuid, replicas: readonly number[], partitionCount: number): void {
    const partitions: MetadataRecord[] = Array.from({ length: partitionCount }, (_, partitionId) => {
      const turned = replicas.map((_, slot) => replicas[(slot + partitionId) % replicas.length]!)
      return {
        type: 'PartitionRecord',
        topicId,
        partitionId,
        replicas: turned,
        directories: turned.map(() => DirectoryId.UNASSIGNED),
        isr: turned,
        removingReplicas: [],
        addingReplicas: [],
        leader: turned[0]!,
        leaderRecoveryState: 0,
        leaderEpoch: 0,
        partitionEpoch: 0,
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
      }
    })
    this.commit({ type: 'TopicRecord', name, topicId }, ...partitions)
  }

  /** A new life of a broker, fenced. Its earlier one is over: what it led has no leader, or another. Returns the epoch. */
  register(brokerId: number): number {
    if (this.image.brokers.has(brokerId)) this.fence(brokerId)
    const brokerEpoch = this.#nextEpoch++
    this.commit({
      type: 'RegisterBrokerRecord',
      brokerId,
      incarnationId: DirectoryId.MIGRATING,
      brokerEpoch,
      endPoints: [{ listener: 'PLAINTEXT', host: 'node', port: brokerId, securityProtocol: 'PLAINTEXT' }],
      features: {},
      rack: null,
      fenced: true,
      inControlledShutdown: false,
      logDirs: [],
    })
    return brokerEpoch
  }

  fence(brokerId: number): void {
    const broker = this.image.brokers.get(brokerId)
    if (broker === undefined || broker.fenced) return
    const records: MetadataRecord[] = [
      { type: 'BrokerRegistrationChangeRecord', brokerId, brokerEpoch: broker.epoch, fenced: true },
    ]
    for (const { topicId, partition } of this.#partitions()) {
      if (!partition.isr.includes(brokerId) && partition.leader !== brokerId) continue
      const rest = partition.isr.filter((id) => id !== brokerId)
      const isr = rest.length === 0 ? partition.isr : rest
      const leader = isr.find((id) => id !== brokerId && this.#isActive(id)) ?? -1
      const change = partition.leader === brokerId ? { leader } : {}
      records.push({ type: 'PartitionChangeRecord', topicId, partitionId: partition.partition, isr, ...change })
    }
    this.commit(...records)
  }

  unfence(brokerId: number): void {
    const broker = this.image.brokers.get(brokerId)
    if (broker === undefined || !broker.fenced) return
    const records: MetadataRecord[] = [
      { type: 'BrokerRegistrationChangeRecord', brokerId, brokerEpoch: broker.epoch, fenced: false },
    ]
    for (const { topicId, partition } of this.#partitions()) {
      if (partition.leader >= 0 || !partition.isr.includes(brokerId)) continue
      records.push(changeOf(topicId, partition, { leader: brokerId }))
    }
    this.commit(...records)
  }

  /** Another member of the ISR leads from now on; the same one in a new epoch if there is no other. */
  moveLeader(topic: string, partitionId: number, choice: number): void {
    const { id: topicId, partitions } = this.image.topics.get(topic)!
    const partition = partitions[partitionId]!
    const candidates = partition.isr.filter((id) => this.#isActive(id))
    if (candidates.length === 0) return
    const others = candidates.filter((id) => id !== partition.leader)
    const pool = others.length === 0 ? candidates : others
    this.commit(changeOf(topicId, partition, { leader: pool[choice % pool.length]! }))
  }

  request<N extends ControllerRequestName>(name: N, request: ControllerRequest<N>): ControllerAnswer<N> {
    if (name === 'alterPartition') return this.#alterPartition(request as AlterPartitionRequest) as ControllerAnswer<N>
    if (name === 'assignReplicasToDirs') {
      const { partitions } = request as ControllerRequest<'assignReplicasToDirs'>
      const answer = partitions.map(({ topicId, partition }) => ({ topicId, partition, errorCode: 0 }))
      return { partitions: answer } as unknown as ControllerAnswer<N>
    }
    if (name === 'withdrawReplicas') {
      return this.#withdraw(request as ControllerRequest<'withdrawReplicas'>) as ControllerAnswer<N>
    }
    throw new Error(`${name} is none of a replica's requests`)
  }

  #alterPartition(request: AlterPartitionRequest): ControllerAnswer<'alterPartition'> {
    if (this.image.brokers.get(request.brokerId)?.epoch !== request.brokerEpoch) {
      return { code: ErrorCode.STALE_BROKER_EPOCH, message: null }
    }
    return { partitions: request.partitions.map((wish) => this.#alterOne(request.brokerId, wish)) }
  }

  #withdraw(request: ControllerRequest<'withdrawReplicas'>): ControllerAnswer<'withdrawReplicas'> {
    const { brokerId, brokerEpoch } = request
    if (this.image.brokers.get(brokerId)?.epoch !== brokerEpoch) {
      return { code: ErrorCode.STALE_BROKER_EPOCH, message: null }
    }
    const partitions = request.partitions.map(({ topicId, partition: partitionId, leaderEpoch }) => {
      const answer = (errorCode: number) => ({ topicId, partition: partitionId, errorCode })
      const partition = this.image.topicsById.get(topicId)?.partitions[partitionId]
      if (partition === undefined) return answer(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      if (leaderEpoch !== partition.leaderEpoch) return answer(ErrorCode.FENCED_LEADER_EPOCH)
      const isr = partition.isr.filter((id) => id !== brokerId)
      const heir = isr.find((id) => this.#isActive(id))
      if (heir === undefined) return answer(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
      const leader = partition.leader === brokerId || partition.leader < 0 ? heir : partition.leader
      this.commit(changeOf(topicId, partition, { isr, leader }))
      return answer(ErrorCode.NONE)
    })
    return { partitions }
  }

  #alterOne(brokerId: number, wish: AlterPartitionRequest['partitions'][number]): Result {
    const topic = this.image.topicsById.get(wish.topicId)
    const partition = topic?.partitions[wish.partition]
    if (partition === undefined) return resultOf(wish, null, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if (wish.leaderEpoch > partition.leaderEpoch || wish.partitionEpoch > partition.partitionEpoch) {
      return resultOf(wish, null, ErrorCode.NOT_CONTROLLER)
    }
    if (wish.leaderEpoch < partition.leaderEpoch) return resultOf(wish, null, ErrorCode.FENCED_LEADER_EPOCH)
    if (partition.leader !== brokerId) return resultOf(wish, null, ErrorCode.INVALID_REQUEST)
    if (wish.partitionEpoch < partition.partitionEpoch) return resultOf(wish, null, ErrorCode.INVALID_UPDATE_VERSION)
    const isr = wish.newIsr.map((member) => member.brokerId)
    if (!isr.includes(brokerId) || !isr.every((id) => partition.replicas.includes(id))) {
      return resultOf(wish, null, ErrorCode.INVALID_REQUEST)
    }
    const isEligible = wish.newIsr.every(
      (member) =>
        this.#isActive(member.brokerId) &&
        (member.brokerEpoch < 0 || member.brokerEpoch === this.image.brokers.get(member.brokerId)?.epoch),
    )
    if (!isEligible) return resultOf(wish, null, ErrorCode.INELIGIBLE_REPLICA)
    this.commit(changeOf(wish.topicId, partition, { isr, leaderRecoveryState: wish.leaderRecoveryState }))
    return resultOf(wish, this.image.topicsById.get(wish.topicId)!.partitions[wish.partition]!, ErrorCode.NONE)
  }

  *#partitions(): Iterable<{ topicId: Uuid; partition: PartitionImage }> {
    for (const { id, partitions } of this.image.topics.values()) {
      for (const partition of partitions) yield { topicId: id, partition }
    }
  }

  #isActive(brokerId: number): boolean {
    return this.image.brokers.get(brokerId)?.fenced === false
  }
}

function changeOf(
  topicId: Uuid,
  { partition }: PartitionImage,
  change: Partial<PartitionChangeRecord>,
): PartitionChangeRecord {
  return { type: 'PartitionChangeRecord', topicId, partitionId: partition, ...change }
}

function resultOf(
  { topicId, partition }: { topicId: Uuid; partition: number },
  now: PartitionImage | null,
  errorCode: number,
): Result {
  return {
    topicId,
    partition,
    errorCode,
    leader: now?.leader ?? -1,
    leaderEpoch: now?.leaderEpoch ?? -1,
    partitionEpoch: now?.partitionEpoch ?? -1,
    isr: now?.isr ?? [],
    leaderRecoveryState: now?.leaderRecoveryState ?? 0,
  }
}
