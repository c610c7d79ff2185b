import type { Clock, Offset, Timers, Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describeError } from '../coordinator/runtime/describe-error.ts'
import { type ShareStateStore, shareKeyText } from '../coordinator/share/share-state.ts'
import type { Logger } from '../logger.ts'
import type { BudgetSample } from '../metrics/budget.ts'
import type { Partition } from '../partition/partition.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import { Breaker } from './breaker.ts'
import { SharePartition, type SharePartitionDeps } from './share-partition.ts'
import type { ShareGroupSettings } from './share-settings.ts'
import type { ShareTotals } from './share-totals.ts'

/** Breakers of share partitions that are not in memory are kept as long as they remember something, but no more than so many. */
const MAX_BREAKERS = 10_000

/** Bounds of the node, over all share groups. */
export interface ShareLimits {
  readonly maxPartitions: number
  readonly maxInFlightRecords: number
}

export interface SharePartitionsDeps {
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly partitions: PartitionManager
  readonly store: ShareStateStore
  readonly totals: ShareTotals
  readonly limits: ShareLimits
  settings(groupId: string): ShareGroupSettings
  initialOffset(partition: Partition, settings: ShareGroupSettings): Promise<Offset | { readonly errorCode: number }>
  /** There may be dead letters to write. */
  onDeadLetters(share: SharePartition): void
}

/** The share partitions of a node: made when a member first asks for one, dropped when nobody is left who would. */
export class SharePartitions {
  readonly #deps: SharePartitionsDeps
  readonly #partitionDeps: SharePartitionDeps
  readonly #byKey = new Map<string, SharePartition>()
  readonly #byGroup = new Map<string, Set<SharePartition>>()
  /** Of share partitions that were dropped, as far as they remember something. In the order of dropping. */
  readonly #breakers = new Map<string, Breaker>()
  readonly usage = { recordCount: 0 }

  constructor(deps: SharePartitionsDeps) {
    this.#deps = deps
    this.#partitionDeps = {
      ...deps,
      usage: this.usage,
      breakerOf: (key) => this.#takeBreaker(key),
      onQuiet: (share) => share.close(ErrorCode.NONE),
      onClosed: (share) => this.#onClosed(share),
    }
  }

  get size(): number {
    return this.#byKey.size
  }

  all(): Iterable<SharePartition> {
    return this.#byKey.values()
  }

  /** New records may come into windows. */
  get hasRoom(): boolean {
    return this.usage.recordCount < this.#deps.limits.maxInFlightRecords
  }

  budgets(): BudgetSample[] {
    const { maxPartitions, maxInFlightRecords } = this.#deps.limits
    return [
      { name: 'share-partitions', unit: 'count', used: this.#byKey.size, limit: maxPartitions },
      { name: 'share-in-flight-records', unit: 'count', used: this.usage.recordCount, limit: maxInFlightRecords },
    ]
  }

  /** One that is here already, whatever its state; undefined: nobody has fetched of it. */
  known(groupId: string, topicId: Uuid, partition: number): SharePartition | undefined {
    return this.#byKey.get(shareKeyText({ groupId, topicId, partition }))
  }

  /** One to fetch from, which may have to be loaded first; or the error to answer. */
  open(groupId: string, topicId: Uuid, number: number): SharePartition | number {
    const { partitions, limits, logger } = this.#deps
    const topic = partitions.topicById(topicId)
    if (topic === undefined) return ErrorCode.UNKNOWN_TOPIC_ID
    const partition = topic.partitions[number] ?? null
    if (partition === null) return partitions.absenceCode(topic.name, number)
    const errorCode = partition.checkLeader(-1)
    if (errorCode !== ErrorCode.NONE) return errorCode
    const key = { groupId, topicId, partition: number }
    const known = this.#byKey.get(shareKeyText(key))
    if (known !== undefined) {
      if (known.partition === partition && known.leaderEpoch === partition.leaderEpoch) return known
      known.close(ErrorCode.FENCED_LEADER_EPOCH)
    }
    // As of a load that could not be done.
    if (this.#byKey.size >= limits.maxPartitions) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const share = new SharePartition(key, partition, this.#partitionDeps)
    this.#byKey.set(share.text, share)
    const ofGroup = this.#byGroup.get(groupId)
    if (ofGroup === undefined) this.#byGroup.set(groupId, new Set([share]))
    else ofGroup.add(share)
    share.load().catch((error: unknown) => {
      logger.error('a share partition could not be loaded', { share: share.text, error: describeError(error) })
      share.close(ErrorCode.UNKNOWN_SERVER_ERROR)
    })
    return share
  }

  /** Whether any member of the group has a session here. Without one its share partitions go as soon as nothing of them is pending. */
  setAttended(groupId: string, isAttended: boolean): void {
    for (const share of [...(this.#byGroup.get(groupId) ?? [])]) share.setUnattended(!isAttended)
  }

  close(): void {
    for (const share of [...this.#byKey.values()]) share.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.#breakers.clear()
  }

  #takeBreaker(key: string): Breaker {
    const kept = this.#breakers.get(key)
    this.#breakers.delete(key)
    return kept ?? new Breaker()
  }

  #onClosed(share: SharePartition): void {
    const { groupId } = share.key
    this.#byKey.delete(share.text)
    const ofGroup = this.#byGroup.get(groupId)
    if (ofGroup?.delete(share) === true && ofGroup.size === 0) this.#byGroup.delete(groupId)
    const nowMs = this.#deps.clock.monotonicMs()
    if (share.breaker.isForgotten(share.settings.breaker, nowMs)) return
    this.#breakers.set(share.text, share.breaker)
    if (this.#breakers.size > MAX_BREAKERS) this.#breakers.delete(this.#breakers.keys().next().value!)
  }
}
