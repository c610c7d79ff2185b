import type { Uuid } from '@millrace/base'
import { ClientCore } from '../client/client-core.ts'
import type { ClientOptions } from '../client/client-options.ts'
import type { TopicPartition } from '../cluster/topic-partition.ts'
import type { IsolationLevel, OffsetSpec } from '../offsets/offset-lookup.ts'
import { findOffsets } from '../offsets/topic-offsets.ts'
import { type Acl, type AclFilter, createAcls, deleteAcls, describeAcls } from './acls.ts'
import {
  apiVersions,
  type BrokerApi,
  type ClusterDescription,
  describeCluster,
  describeLogDirs,
  type LogDirDescription,
  unregisterBroker,
} from './cluster.ts'
import {
  alterConfigs,
  type ConfigEntry,
  type ConfigOperation,
  type ConfigResource,
  describeConfigs,
} from './configs.ts'
import { type ElectionType, electLeaders } from './elections.ts'
import {
  alterGroupOffsets,
  deleteGroupOffsets,
  type GroupLag,
  type GroupOffsetEntry,
  groupLag,
  listGroupOffsets,
  type PlannedOffset,
  planOffsetReset,
  type ResetTarget,
} from './group-offsets.ts'
import { deleteGroups, describeGroups, type GroupDescription, type GroupListing, listGroups } from './groups.ts'
import { alterReplicaLogDirs, type LogDirMove } from './log-dirs.ts'
import {
  type ConsumerGroupDescription,
  describeConsumerGroups,
  describeShareGroups,
  type ShareGroupDescription,
} from './modern-groups.ts'
import { type AdminCallOptions, limitOf, type Outcome } from './outcome.ts'
import { addVoter, describeQuorum, type NewVoter, type QuorumDescription, removeVoter } from './quorum.ts'
import { alterReassignments, listReassignments, type OngoingReassignment, type Reassignment } from './reassignments.ts'
import { deleteRecords, type RecordsToDelete } from './records.ts'
import {
  alterShareGroupOffsets,
  deleteShareGroupOffsets,
  listShareGroupOffsets,
  type ShareGroupOffset,
  type ShareGroupOffsetChange,
} from './share-offsets.ts'
import {
  type CreatedTopic,
  createPartitions,
  createTopics,
  deleteTopics,
  describeTopics,
  listTopics,
  type NewTopic,
  type TopicDescription,
  type TopicListing,
} from './topics.ts'

import {
  abortTransaction,
  describeProducers,
  describeTransactions,
  listTransactions,
  type ProducerDescription,
  type TransactionDescription,
  type TransactionFilter,
  type TransactionListing,
  type TransactionToAbort,
} from './transactions.ts'

/**
 * Manages a cluster. Calls about several things give an outcome for each, with its own error, and reject only when nothing could be
 * asked: with `TimeoutError` (whose cause is the last failure), `UnsupportedVersionError` or `ProtocolError`.
 */
export class Admin implements AsyncDisposable {
  readonly #core: ClientCore

  /** Throws `ConfigurationError`. */
  constructor(options: ClientOptions) {
    this.#core = new ClientCore(options, { maxInFlightRequestsPerConnection: 100, allowAutoTopicCreation: false })
  }

  /** Creates topics; with `validateOnly` only says whether it would work. */
  createTopics(
    topics: readonly NewTopic[],
    options: AdminCallOptions & { validateOnly?: boolean } = {},
  ): Promise<Outcome<CreatedTopic>[]> {
    return createTopics(this.#core, topics, options)
  }

  /** Deletes topics by name or id. */
  deleteTopics(
    topics: readonly (string | { topicId: Uuid })[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<{ name: string | null; topicId: Uuid }>[]> {
    return deleteTopics(this.#core, topics, options)
  }

  /** Raises the partition counts of topics to `count`. */
  createPartitions(
    topics: readonly { name: string; count: number; assignments?: readonly (readonly number[])[] }[],
    options: AdminCallOptions & { validateOnly?: boolean } = {},
  ): Promise<Outcome<{ name: string }>[]> {
    return createPartitions(this.#core, topics, options)
  }

  /** Topics that there are, by name. */
  listTopics(options: AdminCallOptions & { includeInternal?: boolean } = {}): Promise<TopicListing[]> {
    return listTopics(this.#core, options)
  }

  /** Partitions, leaders and replicas of topics. */
  describeTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<Outcome<TopicDescription>[]> {
    return describeTopics(this.#core, names, options)
  }

  /** Configuration of resources; `keys` limits which settings are told. */
  describeConfigs(
    resources: readonly (ConfigResource & { keys?: readonly string[] })[],
    options: AdminCallOptions & { includeSynonyms?: boolean; includeDocumentation?: boolean } = {},
  ): Promise<Outcome<ConfigResource & { entries: ConfigEntry[] }>[]> {
    return describeConfigs(this.#core, resources, options)
  }

  /** Changes single settings of resources, leaving the others alone. */
  alterConfigs(
    changes: readonly (ConfigResource & { operations: readonly ConfigOperation[] })[],
    options: AdminCallOptions & { validateOnly?: boolean } = {},
  ): Promise<Outcome<ConfigResource>[]> {
    return alterConfigs(this.#core, changes, options)
  }

  /** Groups of all brokers, by id. */
  listGroups(
    options: AdminCallOptions & { states?: readonly string[]; types?: readonly string[] } = {},
  ): Promise<GroupListing[]> {
    return listGroups(this.#core, options)
  }

  /** Members and state of groups, of the classic and the newer protocol. */
  describeGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<Outcome<GroupDescription>[]> {
    return describeGroups(this.#core, groupIds, options)
  }

  /** Deletes groups without members, and the offsets that they committed. */
  deleteGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<Outcome<{ groupId: string }>[]> {
    return deleteGroups(this.#core, groupIds, options)
  }

  /** Committed offsets of a group: of some partitions, or all. */
  listGroupOffsets(
    groupId: string,
    options: AdminCallOptions & { partitions?: readonly TopicPartition[]; requireStable?: boolean } = {},
  ): Promise<GroupOffsetEntry[]> {
    return listGroupOffsets(this.#core, groupId, options)
  }

  /** Sets committed offsets of a group without members. */
  alterGroupOffsets(
    groupId: string,
    offsets: readonly (TopicPartition & { offset: bigint; leaderEpoch?: number; metadata?: string })[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition>[]> {
    return alterGroupOffsets(this.#core, groupId, offsets, options)
  }

  /** Deletes committed offsets of partitions that no member reads. */
  deleteGroupOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition>[]> {
    return deleteGroupOffsets(this.#core, groupId, partitions, options)
  }

  /** Committed offset, end of the log and lag of every partition that the group committed or reads. */
  groupLag(groupId: string, options: AdminCallOptions = {}): Promise<GroupLag[]> {
    return groupLag(this.#core, groupId, options)
  }

  /** Groups of the newer consumer protocol, with their epochs (KIP-848). */
  describeConsumerGroups(
    groupIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<ConsumerGroupDescription>[]> {
    return describeConsumerGroups(this.#core, groupIds, options)
  }

  /** Share groups (KIP-932). */
  describeShareGroups(
    groupIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<ShareGroupDescription>[]> {
    return describeShareGroups(this.#core, groupIds, options)
  }

  /** How far a share group is: in some partitions, or all that it has begun with. */
  listShareGroupOffsets(
    groupId: string,
    options: AdminCallOptions & { partitions?: readonly TopicPartition[] } = {},
  ): Promise<Outcome<ShareGroupOffset>[]> {
    return listShareGroupOffsets(this.#core, groupId, options.partitions ?? null, options)
  }

  /** Lets a share group without members go on at other places. */
  alterShareGroupOffsets(
    groupId: string,
    changes: readonly ShareGroupOffsetChange[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition>[]> {
    return alterShareGroupOffsets(this.#core, groupId, changes, options)
  }

  /** Makes a share group without members forget topics. */
  deleteShareGroupOffsets(
    groupId: string,
    topics: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<{ topic: string }>[]> {
    return deleteShareGroupOffsets(this.#core, groupId, topics, options)
  }

  /**
   * Works out what a reset of a group's offsets would do, without doing it: {@link alterGroupOffsets} does. `current`: where the group is,
   * if that is known; a share group's are in {@link listShareGroupOffsets}, and {@link alterShareGroupOffsets} changes them.
   */
  planOffsetReset(
    groupId: string,
    partitions: readonly TopicPartition[],
    target: ResetTarget,
    options: AdminCallOptions & { current?: readonly (TopicPartition & { offset: bigint })[] } = {},
  ): Promise<PlannedOffset[]> {
    return planOffsetReset(this.#core, groupId, partitions, target, options)
  }

  /** Offsets of an end of the logs, or of the first record at or after a time (-1n if there is none). */
  async listOffsets(
    questions: readonly (TopicPartition & { spec: OffsetSpec })[],
    options: AdminCallOptions & { isolationLevel?: IsolationLevel } = {},
  ): Promise<(TopicPartition & { offset: bigint; timestamp: number; leaderEpoch: number })[]> {
    const { isolationLevel = 'read_uncommitted' } = options
    const found = await findOffsets(this.#core, questions, isolationLevel, limitOf(this.#core, options))
    return found.map(({ topic, partition, offset, timestamp, leaderEpoch }) => {
      return { topic, partition, offset: BigInt(offset), timestamp, leaderEpoch }
    })
  }

  /** Deletes the records before given offsets by raising the starts of the logs. */
  deleteRecords(
    deletions: readonly RecordsToDelete[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition & { logStartOffset: bigint }>[]> {
    return deleteRecords(this.#core, deletions, options)
  }

  /** The cluster's id, controller and brokers; `includeFenced`: those too that are registered and not in service. */
  describeCluster(options: AdminCallOptions & { includeFenced?: boolean } = {}): Promise<ClusterDescription> {
    return describeCluster(this.#core, options)
  }

  /** Forgets a broker that will not come back. */
  unregisterBroker(nodeId: number, options: AdminCallOptions = {}): Promise<void> {
    return unregisterBroker(this.#core, nodeId, options)
  }

  /** The controllers' quorum: leader, voters, observers, and how far each is. */
  describeQuorum(options: AdminCallOptions = {}): Promise<QuorumDescription> {
    return describeQuorum(this.#core, options)
  }

  /** Makes a running controller a voter of the quorum. */
  addVoter(voter: NewVoter, options: AdminCallOptions = {}): Promise<void> {
    return addVoter(this.#core, voter, options)
  }

  /** Takes a node's vote in the quorum away. */
  removeVoter(voter: { nodeId: number; directoryId: Uuid }, options: AdminCallOptions = {}): Promise<void> {
    return removeVoter(this.#core, voter, options)
  }

  /** Begins moves of partitions to other brokers, or cancels them where `replicas` is null. */
  alterReassignments(
    reassignments: readonly Reassignment[],
    options: AdminCallOptions & { allowReplicationFactorChange?: boolean } = {},
  ): Promise<Outcome<TopicPartition>[]> {
    return alterReassignments(this.#core, reassignments, options)
  }

  /** Moves that are under way, of some partitions or all. */
  listReassignments(
    options: AdminCallOptions & { partitions?: readonly TopicPartition[] } = {},
  ): Promise<OngoingReassignment[]> {
    return listReassignments(this.#core, options)
  }

  /** Elects leaders of some partitions, or of all (null). */
  electLeaders(
    type: ElectionType,
    partitions: readonly TopicPartition[] | null,
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition>[]> {
    return electLeaders(this.#core, type, partitions, options)
  }

  /** Rules of who may do what: all, or those that a filter means. */
  describeAcls(filter: AclFilter = {}, options: AdminCallOptions = {}): Promise<Acl[]> {
    return describeAcls(this.#core, filter, options)
  }

  /** Makes rules; one that is there already is a success. */
  createAcls(acls: readonly Acl[], options: AdminCallOptions = {}): Promise<Outcome<Acl>[]> {
    return createAcls(this.#core, acls, options)
  }

  /** Deletes the rules that filters mean, and tells which they were. */
  deleteAcls(
    filters: readonly AclFilter[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<{ filter: AclFilter; deleted: Acl[] }>[]> {
    return deleteAcls(this.#core, filters, options)
  }

  /** What a broker serves; any broker if none is named. */
  apiVersions(options: AdminCallOptions & { nodeId?: number } = {}): Promise<BrokerApi[]> {
    return apiVersions(this.#core, options)
  }

  /** Log directories of brokers and what lies in them. */
  describeLogDirs(
    options: AdminCallOptions & {
      nodeIds?: readonly number[]
      topics?: readonly string[]
      partitions?: readonly TopicPartition[]
    } = {},
  ): Promise<Outcome<LogDirDescription>[]> {
    return describeLogDirs(this.#core, options)
  }

  /** Begins moves of replicas between log directories of their brokers, or ends them; `describeLogDirs` shows what is under way. */
  alterReplicaLogDirs(moves: readonly LogDirMove[], options: AdminCallOptions = {}): Promise<Outcome<LogDirMove>[]> {
    return alterReplicaLogDirs(this.#core, moves, options)
  }

  /** Transactional ids of all brokers, by id. */
  listTransactions(options: AdminCallOptions & TransactionFilter = {}): Promise<TransactionListing[]> {
    return listTransactions(this.#core, options)
  }

  /** What transactional ids are at. */
  describeTransactions(
    transactionalIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TransactionDescription>[]> {
    return describeTransactions(this.#core, transactionalIds, options)
  }

  /** The producers that the leaders of partitions remember, with their open transactions. */
  describeProducers(
    partitions: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<Outcome<TopicPartition & { producers: ProducerDescription[] }>[]> {
    return describeProducers(this.#core, partitions, options)
  }

  /** Aborts an open transaction in one partition, whatever its coordinator says. Rejects with `ProtocolError`. */
  abortTransaction(transaction: TransactionToAbort, options: AdminCallOptions = {}): Promise<void> {
    return abortTransaction(this.#core, transaction, options)
  }

  /** Closes the connections; calls under way reject. May be called any number of times. */
  close(): Promise<void> {
    this.#core.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
