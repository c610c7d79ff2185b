export type { Acl, AclFilter, AclOperation, AclPatternType, AclPermission, AclResourceType } from './admin/acls.ts'
export { Admin } from './admin/admin.ts'
export type { BrokerApi, ClusterBroker, ClusterDescription, LogDirDescription } from './admin/cluster.ts'
export type { ConfigEntry, ConfigOperation, ConfigResource, ConfigResourceType, ConfigSource } from './admin/configs.ts'
export type { ElectionType } from './admin/elections.ts'
export type { GroupLag, GroupOffsetEntry, PlannedOffset, ResetTarget } from './admin/group-offsets.ts'
export type { GroupDescription, GroupListing, GroupMember } from './admin/groups.ts'
export type { LogDirMove } from './admin/log-dirs.ts'
export type {
  ConsumerGroupDescription,
  ConsumerGroupMember,
  ShareGroupDescription,
} from './admin/modern-groups.ts'
export type { Outcome } from './admin/outcome.ts'
export type { NewVoter, QuorumDescription, QuorumReplica, VoterListener } from './admin/quorum.ts'
export type { OngoingReassignment, Reassignment } from './admin/reassignments.ts'
export type { RecordsToDelete } from './admin/records.ts'
export type { ShareGroupOffset, ShareGroupOffsetChange } from './admin/share-offsets.ts'
export type { CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing } from './admin/topics.ts'
export type {
  ProducerDescription,
  TransactionDescription,
  TransactionFilter,
  TransactionListing,
  TransactionToAbort,
} from './admin/transactions.ts'
export type { ClientOptions } from './client/client-options.ts'
export type { BrokerNode, ClusterView, PartitionView, TopicView } from './cluster/cluster-view.ts'
export { groupByTopic, type TopicPartition } from './cluster/topic-partition.ts'
export type { Assignor, GroupAssignment, MemberSubscription } from './consumer/assignors/assignor.ts'
export { cooperativeStickyAssignor } from './consumer/assignors/cooperative-sticky-assignor.ts'
export { rangeAssignor } from './consumer/assignors/range-assignor.ts'
export { roundRobinAssignor } from './consumer/assignors/round-robin-assignor.ts'
export * from './consumer/consumer.ts'
export type { ConsumerEvent, ConsumerOptions, GroupProtocol, OffsetReset } from './consumer/consumer-options.ts'
export type { ConsumerBatch, ConsumerRecord } from './consumer/consumer-record.ts'
export { UnreadableRecordError } from './consumer/fetched-chunk.ts'
export type { RebalanceListener } from './consumer/partition-handover.ts'
export { SubscriptionPattern } from './consumer/subscription.ts'
export * from './errors/client-errors.ts'
export * from './errors/protocol-error.ts'
export * from './errors/retriable.ts'
export {
  AbortableTransactionError,
  FatalTransactionError,
  ProducerFencedError,
  TransactionAbortedError,
  TransactionError,
} from './errors/transaction-errors.ts'
export type { BrokerAddress, Transport, TransportChannel, TransportHandler } from './network/transport.ts'
export type { Committer as ConsumerGroupMetadata } from './offsets/committed-offsets.ts'
export type { IsolationLevel, OffsetSpec } from './offsets/offset-lookup.ts'
export type { OffsetToCommit } from './offsets/offset-to-commit.ts'
export type { ClientPorts } from './ports/client-ports.ts'
export { PartialDeliveryError } from './producer/delivery.ts'
export type { Partitioner } from './producer/partitioner.ts'
export { Producer } from './producer/producer.ts'
export type { CompressionType, ProducerOptions } from './producer/producer-options.ts'
export type { Bytes, HeadersInput, ProducerRecord, RecordMetadata } from './producer/producer-record.ts'
export type { Transaction } from './producer/transactions/transaction.ts'
export type { AcknowledgeType } from './share/acknowledgements.ts'
export { ShareConsumer, type SharePollOptions } from './share/share-consumer.ts'
export type { AcknowledgementOutcome, ShareConsumerOptions } from './share/share-options.ts'
export type { ShareRecord } from './share/share-record.ts'
