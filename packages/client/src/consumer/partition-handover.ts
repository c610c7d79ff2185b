import type { TopicPartition } from '../cluster/topic-partition.ts'
import type { AssignedPartitions } from './assigned-partitions.ts'
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

/** Gains and losses of partitions as the application sees them, in both group protocols. */
export class PartitionHandover {
  readonly #assigned: AssignedPartitions
  readonly #committer: OffsetCommitter
  listener: RebalanceListener = {}

  constructor(assigned: AssignedPartitions, committer: OffsetCommitter) {
    this.#assigned = assigned
    this.#committer = committer
  }

  /** In order: what was dealt with is committed first. Whatever the listener throws, the partitions are someone else's afterwards. */
  async giveUp(states: readonly PartitionState[]): Promise<void> {
    if (states.length === 0) return
    try {
      await this.#committer.commitProcessed(COMMIT_LIMIT_MS, states)
      await this.listener.onPartitionsRevoked?.(places(states))
    } finally {
      this.#drop(states)
    }
  }

  /** The group went on without this member. */
  async lose(): Promise<void> {
    const states = this.#assigned.all()
    if (states.length === 0) return
    this.#drop(states)
    await this.listener.onPartitionsLost?.(places(states))
  }

  /** Makes exactly these the assigned ones. */
  async takeOver(partitions: readonly TopicPartition[]): Promise<void> {
    const { added } = this.#assigned.replace(partitions)
    await this.listener.onPartitionsAssigned?.(places(added))
  }

  #drop(states: readonly PartitionState[]): void {
    const gone = new Set(states)
    this.#assigned.replace(this.#assigned.all().filter((state) => !gone.has(state)))
  }
}

function places(states: readonly PartitionState[]): TopicPartition[] {
  return states.map(({ topic, partition }) => ({ topic, partition }))
}
