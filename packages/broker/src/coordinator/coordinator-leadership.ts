import type { Logger } from '../logger.ts'
import type { Partition } from '../partition/partition.ts'
import { PartitionCoordinatorLog } from '../partition/partition-coordinator-log.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import { describeError } from './runtime/describe-error.ts'

/** A leadership that a coordinator was told of. The same epoch in another log is another one: the topic was made anew. */
interface Led {
  readonly partition: Partition
  readonly leaderEpoch: number
}

/** A coordinator, of groups or of something else, as the leader of its partitions. */
export interface LedCoordinator {
  readonly failedPartitions: readonly number[]
  onElection(partition: number, log: CoordinatorLog): Promise<void>
  onResignation(partition: number): void
}

export interface CoordinatorLeadershipOptions {
  /** Its internal topic. */
  readonly topic: string
  readonly coordinator: LedCoordinator
  readonly partitions: PartitionManager
  readonly logger: Logger
}

/** Keeps a coordinator's partitions those that this node leads: a new epoch elects, the end of a leadership resigns at once. */
export class CoordinatorLeadership {
  readonly #options: CoordinatorLeadershipOptions
  readonly #led = new Map<number, Led>()

  constructor(options: CoordinatorLeadershipOptions) {
    this.#options = options
  }

  /** After any change of what this node leads. */
  update(): void {
    const { topic, coordinator, partitions } = this.#options
    const hosted = partitions.topic(topic)?.partitions ?? []
    for (const [number, led] of this.#led) {
      if (hosted[number] === led.partition && led.partition.isLeader) continue
      this.#led.delete(number)
      coordinator.onResignation(number)
    }
    for (const partition of hosted) if (partition?.isLeader === true) this.#elect(partition)
  }

  /** Coordinators that could not load may be allowed to do without what was lost now. */
  retryFailed(): void {
    const failed = this.#options.coordinator.failedPartitions
    for (const number of failed) this.#led.delete(number)
    if (failed.length > 0) this.update()
  }

  #elect(partition: Partition): void {
    const { partition: number, leaderEpoch } = partition
    const led = this.#led.get(number)
    if (led !== undefined && led.partition === partition && led.leaderEpoch === leaderEpoch) return
    this.#led.set(number, { partition, leaderEpoch })
    const { topic, coordinator, partitions, logger } = this.#options
    coordinator.onElection(number, new PartitionCoordinatorLog(partition, partitions)).catch((error: unknown) => {
      logger.error('coordinator could not load its partition', {
        ...{ topic, partition: number },
        error: describeError(error),
      })
    })
  }
}
