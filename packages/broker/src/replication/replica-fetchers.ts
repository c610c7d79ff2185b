import type { Clock, Random, Timers, Uuid } from '@millrace/base'
import type { Logger } from '../logger.ts'
import type { Partition } from '../partition/partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import { FollowerReplica } from './follower-replica.ts'
import { RateMeter } from './rate-meter.ts'
import { ReplicaFetcher } from './replica-fetcher.ts'
import type { ReplicationSettings } from './replication-settings.ts'

export interface ReplicaFetchersOptions {
  readonly nodeId: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  settings(): ReplicationSettings
  brokerEpoch(): number
  open(leaderId: number, timeoutMs: number): Promise<BrokerConnection>
  /** Records were staged in the partition's log: the end of the turn writes and syncs them. */
  onAppended(partition: Partition): void
  onFault(error: unknown): void
}

interface Followed {
  readonly replica: FollowerReplica
  readonly fetcher: ReplicaFetcher
}

/** All partitions that this node follows, each with the fetcher that looks after it: `num.replica.fetchers` for each broker that leads some. */
export class ReplicaFetchers {
  readonly #options: ReplicaFetchersOptions
  readonly #followed = new Map<Partition, Followed>()
  readonly #fetchers = new Map<string, ReplicaFetcher>()
  readonly #throttled: RateMeter
  #isClosed = false
  /** Bytes of records that were fetched. */
  bytesIn = 0

  constructor(options: ReplicaFetchersOptions) {
    this.#options = options
    this.#throttled = new RateMeter(options.clock)
  }

  get maxLag(): number {
    let maxLag = 0
    for (const { replica } of this.#followed.values()) maxLag = Math.max(maxLag, replica.lag)
    return maxLag
  }

  /** The partition has a leader elsewhere, perhaps another one than before, or the same in a new epoch. */
  follow(partition: Partition): void {
    // Metadata goes on coming while a broker stops: a fetcher that began now would be ended by nobody, and keep the process.
    if (this.#isClosed) return
    const key = this.#fetcherKey(partition)
    const before = this.#followed.get(partition)
    if (before !== undefined) {
      if (before.replica.isCurrent && this.#fetchers.get(key) === before.fetcher) return
      this.unfollow(partition, key)
    }
    let fetcher = this.#fetchers.get(key)
    if (fetcher === undefined) {
      fetcher = this.#createFetcher(partition.leader)
      this.#fetchers.set(key, fetcher)
    }
    const replica = new FollowerReplica(partition, this.#options.logger)
    this.#followed.set(partition, { replica, fetcher })
    fetcher.add(replica)
  }

  /** `keptKey`: of a fetcher that will be needed at once, even if it has nothing to do now. */
  unfollow(partition: Partition, keptKey: string | null = null): void {
    const followed = this.#followed.get(partition)
    if (followed === undefined) return
    this.#followed.delete(partition)
    const { replica, fetcher } = followed
    fetcher.remove(replica)
    if (fetcher.replicaCount > 0) return
    for (const [key, candidate] of this.#fetchers) {
      if (candidate !== fetcher || key === keptKey) continue
      this.#fetchers.delete(key)
      fetcher.close()
    }
  }

  onDurable(partition: Partition): void {
    const followed = this.#followed.get(partition)
    if (followed === undefined) return
    followed.replica.onDurable()
    followed.fetcher.onDurable(followed.replica)
  }

  close(): void {
    this.#isClosed = true
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.#fetchers.clear()
    this.#followed.clear()
  }

  #createFetcher(leaderId: number): ReplicaFetcher {
    const { nodeId, clock, timers, random, logger, settings, brokerEpoch, open, onFault } = this.#options
    return new ReplicaFetcher({
      nodeId,
      leaderId,
      clock,
      timers,
      random,
      logger,
      settings,
      brokerEpoch,
      open: (timeoutMs) => open(leaderId, timeoutMs),
      onAppended: (replica, sizeBytes) => this.#onAppended(replica, sizeBytes),
      isThrottled: (replica) => this.#isThrottled(replica),
      onFault,
    })
  }

  #onAppended(replica: FollowerReplica, sizeBytes: number): void {
    this.bytesIn += sizeBytes
    if (this.#mayThrottle(replica)) this.#throttled.record(sizeBytes)
    this.#options.onAppended(replica.partition)
  }

  #isThrottled(replica: FollowerReplica): boolean {
    // Asked of each partition before each fetch, and true of hardly any.
    if (!this.#mayThrottle(replica)) return false
    return this.#throttled.isExceeded(this.#options.settings().followerReplicationThrottledRate)
  }

  /** A replica that is in sync must stay so. */
  #mayThrottle({ partition }: FollowerReplica): boolean {
    return !partition.isInSync && partition.config.followerThrottled.has(partition.partition, this.#options.nodeId)
  }

  #fetcherKey({ leader, topicId, partition }: Partition): string {
    const { numReplicaFetchers } = this.#options.settings()
    return `${leader}/${shareOf(topicId, partition, numReplicaFetchers)}`
  }
}

/** Which of the fetchers of a leader takes the partition: neighbours go to different ones. */
function shareOf(topicId: Uuid, partition: number, count: number): number {
  let hash = partition
  for (let at = 0; at < topicId.length; at++) hash = (hash * 31 + topicId.charCodeAt(at)) >>> 0
  return hash % count
}
