import { comparePartitions, partitionKey } from '../cluster/topic-partition.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
import type { GroupMembership } from './group-membership.ts'
import type { GroupSteps } from './membership.ts'
import type { PartitionHandover, RebalanceListener } from './partition-handover.ts'

/** Gives up and takes over partitions between records, as the classic protocol's membership asks. */
export class Rebalancer implements GroupSteps {
  readonly #membership: GroupMembership
  readonly #assigned: AssignedPartitions
  readonly #handover: PartitionHandover
  readonly #subscribedTopics: () => string[]

  constructor(
    membership: GroupMembership,
    assigned: AssignedPartitions,
    handover: PartitionHandover,
    subscribedTopics: () => string[],
  ) {
    this.#membership = membership
    this.#assigned = assigned
    this.#handover = handover
    this.#subscribedTopics = subscribedTopics
  }

  set listener(listener: RebalanceListener) {
    this.#handover.listener = listener
  }

  async step(): Promise<void> {
    this.#membership.throwFatal()
    if (this.#membership.needsJoin) {
      await this.#prepareJoin()
      this.#membership.startJoin()
    }
    if (this.#membership.state === 'joined') await this.#takeOver()
  }

  async giveUpAll(): Promise<void> {
    if (this.#membership.isLost) await this.#handover.lose()
    else await this.#handover.giveUp(this.#assigned.all())
  }

  async #prepareJoin(): Promise<void> {
    if (this.#membership.isLost) {
      await this.#handover.lose()
    } else if (this.#membership.isCooperative) {
      const topics = new Set(this.#subscribedTopics())
      await this.#handover.giveUp(this.#assigned.all().filter(({ topic }) => !topics.has(topic)))
    } else {
      await this.#handover.giveUp(this.#assigned.all())
    }
  }

  async #takeOver(): Promise<void> {
    const assignment = this.#membership.takeAssignment().sort(comparePartitions)
    const wanted = new Set(assignment.map(({ topic, partition }) => partitionKey(topic, partition)))
    const surplus = this.#assigned.all().filter(({ topic, partition }) => !wanted.has(partitionKey(topic, partition)))
    try {
      await this.#handover.giveUp(surplus)
    } finally {
      // Others wait for these partitions: the next round gives them away.
      if (surplus.length > 0) this.#membership.requestRejoin(`gave up ${surplus.length} partitions`)
      await this.#handover.takeOver(assignment)
    }
  }
}
