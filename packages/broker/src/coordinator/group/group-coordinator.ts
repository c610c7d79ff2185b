import type { Clock, Random, Timers, Uuid } from '@millrace/base'
import { GROUP_VERSION, type MetadataImage } from '@millrace/consensus'
import type { NextTurn } from '../../handlers/slices.ts'
import type { Logger } from '../../logger.ts'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import type { BudgetSample } from '../../metrics/budget.ts'
import type { CoordinatorLog } from '../coordinator-log.ts'
import type { TransactionEnd } from '../runtime/shard-ports.ts'
import type { ShareStateStore } from '../share/share-state.ts'
import { GroupAdministration } from './group-administration.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import { GroupCounters } from './group-counters.ts'
import { GroupLimits } from './group-limits.ts'
import { GroupMachine } from './group-machine.ts'
import { GroupMembers } from './group-members.ts'
import { GroupOffsets } from './group-offsets.ts'
import { GroupSettings } from './group-settings.ts'
import { GroupShards } from './group-shards.ts'
import { LimitRefusals } from './limit-refusals.ts'
import { TopicDirectory } from './modern/topic-directory.ts'
import { type LatestOffsets, ShareGroups } from './share/share-groups.ts'

/** What the group coordinator needs of the rest of the broker. */
export interface GroupCoordinatorDeps {
  readonly config: GroupCoordinatorConfig
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  /** The newest metadata. */
  metadata(): MetadataImage
  /** Runs the callback once, when the requests at hand were all handled: `Turn.beforeFlush`. */
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  /** The states of share groups' partitions, wherever they are coordinated. */
  readonly shareStates: ShareStateStore
  readonly latestOffsets: LatestOffsets
  /** A bug of ours surfaced; its operation was answered. The process should stop. */
  onFault(error: unknown): void
}

/**
 * Groups and their offsets, for the partitions of `__consumer_offsets` that this node leads. The rules are in {@link GroupMachine}; what
 * depends on versions, on metadata and on the state of the shard is in the classes of requests, by whom they come from.
 */
export class GroupCoordinator {
  /** For metrics. */
  readonly counters = new GroupCounters()
  /** Requests of members of classic and consumer groups. */
  readonly members: GroupMembers
  /** Requests about committed offsets. */
  readonly offsets: GroupOffsets
  /** Requests about groups as a whole. */
  readonly administration: GroupAdministration
  /** Requests about share groups. */
  readonly shareGroups: ShareGroups
  readonly #deps: GroupCoordinatorDeps
  readonly #shards: GroupShards
  readonly #limits: GroupLimits
  readonly #directory: TopicDirectory
  #knownTopics: MetadataImage['topics'] | null = null

  constructor(deps: GroupCoordinatorDeps) {
    this.#deps = deps
    const { config, clock, timers, logger, nextTurn } = deps
    const metadata = (): MetadataImage => deps.metadata()
    const limits = new GroupLimits(config)
    const directory = new TopicDirectory(metadata)
    const settings = new GroupSettings(config, metadata)
    const shards = new GroupShards({
      ...{ clock, timers, logger },
      limits: {
        writeTimeoutMs: config.offsetsCommitTimeoutMs,
        maxBatchSizeBytes: config.messageMaxBytes,
        appendLingerMs: config.groupCoordinatorAppendLingerMs,
      },
      createMachine: (timeline) =>
        new GroupMachine(config, deps.random, this.counters, limits, directory, settings, timeline),
      enqueueEndOfTurn: (callback) => deps.enqueueEndOfTurn(callback),
      onFault: (error) => deps.onFault(error),
    })
    this.#shards = shards
    this.#limits = limits
    this.#directory = directory
    const refusals = new LimitRefusals(clock, logger, this.counters, limits)
    const servesConsumerGroups = (): boolean => this.#servesConsumerGroups
    this.members = new GroupMembers({ config, shards, refusals, servesConsumerGroups })
    this.offsets = new GroupOffsets({ shards, refusals, nextTurn, metadata })
    const { shareStates: store, latestOffsets } = deps
    const shareGroups = new ShareGroups({ shards, store, latestOffsets, directory, nextTurn, metadata })
    this.shareGroups = shareGroups
    this.administration = new GroupAdministration({ shards, shareGroups, directory, nextTurn, servesConsumerGroups })
  }

  /** Begins to serve. Call when the metadata is there: it says how many partitions `__consumer_offsets` has. */
  startup(): void {
    if (this.#shards.isStarted) return
    const topic = this.#deps.metadata().topics.get(GROUP_METADATA_TOPIC)
    this.#shards.startup(topic?.partitions.length ?? this.#deps.config.offsetsTopicNumPartitions)
  }

  /** Ends everything; waiting requests are answered NOT_COORDINATOR, later ones COORDINATOR_NOT_AVAILABLE. */
  shutdown(): void {
    this.#shards.shutdown()
  }

  /** Partition of `__consumer_offsets` that a group belongs to; null before `startup` and after `shutdown`. */
  partitionFor(groupId: string): number | null {
    return this.#shards.partitionFor(groupId)
  }

  /** This node leads the partition from now on. Resolves when it is loaded, or could not be; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog): Promise<void> {
    return this.#shards.onElection(partition, log)
  }

  /** This node does not lead the partition any more. */
  onResignation(partition: number): void {
    this.#shards.onResignation(partition)
  }

  /** Partitions that this node leads and whose log could not be loaded. */
  get failedPartitions(): number[] {
    return this.#shards.failedPartitions
  }

  /** What clients have the groups hold, and how much that may be. */
  budgets(): BudgetSample[] {
    const { config } = this.#deps
    const { usage } = this.#limits
    return [
      { name: 'groups', unit: 'count', used: usage.groups, limit: config.groupCoordinatorMaxGroups },
      { name: 'group-members', unit: 'count', used: usage.members, limit: config.groupCoordinatorMaxMembers },
      { name: 'committed-offsets', unit: 'count', used: usage.offsets, limit: config.groupCoordinatorMaxOffsets },
      { name: 'group-metadata', unit: 'bytes', used: usage.bytes, limit: config.groupCoordinatorMaxBytes },
    ]
  }

  /** How many groups there are of each kind and in each state that any is in. */
  countByState(): { protocol: string; state: string; count: number }[] {
    return Array.from(this.#limits.usage.states, ([key, count]) => {
      const [protocol, state] = key.includes(' ') ? key.split(' ') : ['classic', key]
      return { protocol: protocol!, state: state!, count }
    })
  }

  /** Deletes the offsets that groups have in deleted topics. */
  onTopicsDeleted(topics: readonly { name: string; id: Uuid }[]): void {
    this.#shards.writeAll(
      (machine, step) => machine.onTopicsDeleted(topics, step),
      (partition, errorCode) => {
        this.#deps.logger.warn('offsets of deleted topics were not deleted', { partition, errorCode, topics })
      },
    )
  }

  /** There is newer metadata, with these topics created or changed: regular expressions may match new ones. */
  onMetadata(image: MetadataImage, changedTopics: Iterable<string>): void {
    const former = this.#knownTopics
    this.#knownTopics = image.topics
    for (const name of changedTopics) {
      if (former?.get(name)?.id === image.topics.get(name)?.id) continue
      this.#directory.onCreated()
      return
    }
  }

  /** The end of a transaction that has offsets in the partition: resolves to an error code once it is committed. */
  endTransaction(partition: number, end: TransactionEnd): Promise<number> {
    return this.#shards.endTransaction(partition, end)
  }

  /** The feature is finalized and the broker offers the protocol. */
  get #servesConsumerGroups(): boolean {
    const isOffered = this.#deps.config.groupCoordinatorRebalanceProtocols.includes('consumer')
    return isOffered && (this.#deps.metadata().features.get(GROUP_VERSION) ?? 0) >= 1
  }
}
