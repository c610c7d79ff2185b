import type { Logger } from '../logger.ts'
import { GROUP_METADATA_TOPIC } from '../metadata/internal-topics.ts'
import type { Partition } from '../partition/partition.ts'
import { PartitionCoordinatorLog } from '../partition/partition-coordinator-log.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { GroupCoordinator } from './group/group-coordinator.ts'
import { describeError } from './runtime/describe-error.ts'

/** A leadership that a coordinator was told of. The same epoch in another log is another one: the topic was made anew. */
interface Led {
  readonly partition: Partition
  readonly leaderEpoch: number
}

/** Keeps the group coordinator's partitions those that this node leads: a new epoch elects, the end of a leadership resigns at once. */
export class GroupLeadership {
  readonly #groups: Pick<GroupCoordinator, 'onElection' | 'onResignation' | 'failedPartitions'>
  readonly #partitions: PartitionManager
  readonly #logger: Logger
  readonly #led = new Map<number, Led>()

  constructor(
    groups: Pick<GroupCoordinator, 'onElection' | 'onResignation' | 'failedPartitions'>,
    partitions: PartitionManager,
    logger: Logger,
  ) {
    this.#groups = groups
    this.#partitions = partitions
    this.#logger = logger
  }

  /** After any change of what this node leads. */
  update(): void {
    const hosted = this.#partitions.topic(GROUP_METADATA_TOPIC)?.partitions ?? []
    for (const [number, led] of this.#led) {
      if (hosted[number] === led.partition && led.partition.isLeader) continue
      this.#led.delete(number)
      this.#groups.onResignation(number)
    }
    for (const partition of hosted) if (partition?.isLeader === true) this.#elect(partition)
  }

  /** Coordinators that could not load may be allowed to do without what was lost now. */
  retryFailed(): void {
    const failed = this.#groups.failedPartitions
    for (const number of failed) this.#led.delete(number)
    if (failed.length > 0) this.update()
  }

  #elect(partition: Partition): void {
    const { partition: number, leaderEpoch } = partition
    const led = this.#led.get(number)
    if (led !== undefined && led.partition === partition && led.leaderEpoch === leaderEpoch) return
    this.#led.set(number, { partition, leaderEpoch })
    this.#groups
      .onElection(number, new PartitionCoordinatorLog(partition, this.#partitions))
      .catch((error: unknown) => {
        this.#logger.error('group coordinator could not load its partition', {
          partition: number,
          error: describeError(error),
        })
      })
  }
}
