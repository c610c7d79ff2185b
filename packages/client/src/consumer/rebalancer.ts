import { comparePartitions, partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
import type { GroupMembership } from './group-membership.ts'
import type { OffsetCommitter } from './offset-committer.ts'
import type { PartitionState } from './partition-state.ts'

/** Hears of partitions that come and go. Each may be async and is waited for; all run inside `poll` or `close`. */
export interface RebalanceListener {
  onPartitionsAssigned?(partitions: TopicPartition[]): void | Promise<void>
  /** They are still owned: commit here what was dealt with. Automatic commits have been made before. */
  onPartitionsRevoked?(partitions: TopicPartition[]): void | Promise<void>
  /** They may belong to others already: commits would be refused. */
  onPartitionsLost?(partitions: TopicPartition[]): void | Promise<void>
}

/** How long offsets may be tried to be committed before partitions are given up: others wait for it. */
const COMMIT_LIMIT_MS = 10_000

/** Gives up and takes over partitions between records, as the membership's state asks. */
export class Rebalancer {
  readonly #membership: GroupMembership
  readonly #assigned: AssignedPartitions
  readonly #committer: OffsetCommitter
  readonly #subscribedTopics: () => string[]
  listener: RebalanceListener = {}

  constructor(
    membership: GroupMembership,
    assigned: AssignedPartitions,
    committer: OffsetCommitter,
    subscribedTopics: () => string[],
  ) {
    this.#membership = membership
    this.#assigned = assigned
    this.#committer = committer
    this.#subscribedTopics = subscribedTopics
  }

  /** Does what is due. Rejects with what the listener throws, or what ended the membership for good. */
  async step(): Promise<void> {
    this.#membership.throwFatal()
    if (this.#membership.needsJoin) {
      await this.#prepareJoin()
      this.#membership.startJoin()
    }
    if (this.#membership.state === 'joined') await this.#takeOver()
  }

  /** Gives up everything in order, before leaving. */
  async giveUpAll(): Promise<void> {
    if (this.#membership.isLost) await this.#lose()
    else await this.#giveUp(this.#assigned.all())
  }

  async #prepareJoin(): Promise<void> {
    if (this.#membership.isLost) {
      await this.#lose()
    } else if (this.#membership.isCooperative) {
      const topics = new Set(this.#subscribedTopics())
      await this.#giveUp(this.#assigned.all().filter(({ topic }) => !topics.has(topic)))
    } else {
      await this.#giveUp(this.#assigned.all())
    }
  }

  async #takeOver(): Promise<void> {
    const assignment = this.#membership.takeAssignment().sort(comparePartitions)
    const wanted = new Set(assignment.map(({ topic, partition }) => partitionKey(topic, partition)))
    const surplus = this.#assigned.all().filter(({ topic, partition }) => !wanted.has(partitionKey(topic, partition)))
    try {
      await this.#giveUp(surplus)
    } finally {
      // Others wait for these partitions: the next round gives them away.
      if (surplus.length > 0) this.#membership.requestRejoin(`gave up ${surplus.length} partitions`)
      const { added } = this.#assigned.replace(assignment)
      await this.listener.onPartitionsAssigned?.(places(added))
    }
  }

  /** Whatever the listener throws, the partitions are someone else's afterwards. */
  async #giveUp(states: readonly PartitionState[]): Promise<void> {
    if (states.length === 0) return
    try {
      await this.#committer.commitProcessed(COMMIT_LIMIT_MS, states)
      await this.listener.onPartitionsRevoked?.(places(states))
    } finally {
      this.#drop(states)
    }
  }

  async #lose(): Promise<void> {
    const states = this.#assigned.all()
    if (states.length === 0) return
    this.#drop(states)
    await this.listener.onPartitionsLost?.(places(states))
  }

  #drop(states: readonly PartitionState[]): void {
    const gone = new Set(states)
    this.#assigned.replace(this.#assigned.all().filter((state) => !gone.has(state)))
  }
}

function places(states: readonly PartitionState[]): TopicPartition[] {
  return states.map(({ topic, partition }) => ({ topic, partition }))
}
