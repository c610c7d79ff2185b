import type { Uuid } from '@millrace/base'
import type { ClientCore } from '../../client/client-core.ts'
import { comparePartitions, partitionKey, type TopicPartition } from '../../cluster/topic-partition.ts'
import type { AssignedPartitions } from '../assigned-partitions.ts'
import type { GroupSteps } from '../membership.ts'
import type { PartitionHandover, RebalanceListener } from '../partition-handover.ts'
import type { ConsumerGroupMembership } from './consumer-group-membership.ts'
import type { IdAssignment } from './group-member.ts'

interface IdPartition extends TopicPartition {
  topicId: Uuid
}

/** Makes owned what the group wants to be, between records (KIP-848): revoke, having committed; take over; tell the group. */
export class Reconciler implements GroupSteps {
  readonly #core: ClientCore
  readonly #membership: ConsumerGroupMembership
  readonly #assigned: AssignedPartitions
  readonly #handover: PartitionHandover
  /** Topics that partitions in use were taken over from: a topic made anew under its old name is another one. */
  readonly #topicIds = new Map<string, Uuid>()

  constructor(
    core: ClientCore,
    membership: ConsumerGroupMembership,
    assigned: AssignedPartitions,
    handover: PartitionHandover,
  ) {
    this.#core = core
    this.#membership = membership
    this.#assigned = assigned
    this.#handover = handover
  }

  set listener(listener: RebalanceListener) {
    this.#handover.listener = listener
  }

  async step(): Promise<void> {
    const { status } = this.#membership
    if (status === 'fenced' || status === 'outside') await this.#rejoin()
    else if (status === 'reconciling') await this.#reconcile()
  }

  async giveUpAll(): Promise<void> {
    const { status } = this.#membership
    if (status === 'fenced' || status === 'outside') await this.#lose()
    else await this.#handover.giveUp(this.#assigned.all())
    this.#topicIds.clear()
    this.#membership.drop()
  }

  async #rejoin(): Promise<void> {
    await this.#lose()
    this.#membership.throwFatal()
    this.#membership.join()
  }

  async #lose(): Promise<void> {
    try {
      await this.#handover.lose()
    } finally {
      this.#topicIds.clear()
      this.#membership.drop()
    }
  }

  async #reconcile(): Promise<void> {
    const { known, isComplete } = this.#resolve(this.#membership.target)
    if (!isComplete) this.#core.metadata.requestUpdate()
    const wanted = new Map(known.map((place) => [partitionKey(place.topic, place.partition), place]))
    const surplus = this.#assigned.all().filter(({ topic, partition }) => {
      return wanted.get(partitionKey(topic, partition))?.topicId !== this.#topicIds.get(topic)
    })
    const isNew = known.some(({ topic, partition }) => this.#assigned.find(topic, partition) === null)
    // Waits for metadata: there is nothing to say before.
    if (!isComplete && surplus.length === 0 && !isNew) return
    try {
      await this.#handover.giveUp(surplus)
    } finally {
      // Thrown out while the listener was at work: what is left is lost, which the next step sees to.
      if (this.#membership.status !== 'fenced' && this.#membership.status !== 'outside') {
        this.#topicIds.clear()
        for (const { topic, topicId } of known) this.#topicIds.set(topic, topicId)
        this.#membership.acknowledge(assignmentOf(known))
        await this.#handover.takeOver(known)
      }
    }
  }

  /** The partitions of the assignment by name, as far as metadata knows the names. */
  #resolve(target: IdAssignment): { known: IdPartition[]; isComplete: boolean } {
    const names = new Map<Uuid, string>()
    for (const { name, topicId } of this.#core.metadata.view.topics.values()) names.set(topicId, name)
    const known: IdPartition[] = []
    let isComplete = true
    for (const [topicId, partitions] of target) {
      const topic = names.get(topicId)
      if (topic === undefined) isComplete = false
      else for (const partition of partitions) known.push({ topic, topicId, partition })
    }
    return { known: known.sort(comparePartitions), isComplete }
  }
}

function assignmentOf(places: readonly IdPartition[]): IdAssignment {
  const assignment = new Map<Uuid, number[]>()
  for (const { topicId, partition } of places) {
    const list = assignment.get(topicId)
    if (list === undefined) assignment.set(topicId, [partition])
    else list.push(partition)
  }
  return assignment
}
