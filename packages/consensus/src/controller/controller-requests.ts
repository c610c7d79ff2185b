import type { LeaderEpoch, Uuid } from '@millrace/base'
import type { AclBinding, AclFilter } from '../metadata/acl.ts'
import type { CreateAclResult, DeleteAclsResult } from '../metadata/controller/alter-acls.ts'
import type { AlterQuotaResult, QuotaAlteration } from '../metadata/controller/alter-client-quotas.ts'
import type { AlterConfigsResult, ConfigAlterations, ConfigReplacement } from '../metadata/controller/alter-configs.ts'
import type { AlterScramCredentialsRequest, AlterScramResult } from '../metadata/controller/alter-scram-credentials.ts'
import type { ApiError } from '../metadata/controller/api-error.ts'
import type { BrokerRegistration } from '../metadata/controller/broker-registration.ts'
import type { CreatePartitionsRequest, CreatePartitionsResult } from '../metadata/controller/create-partitions.ts'
import type { CreateTopicResult, CreateTopicsRequest } from '../metadata/controller/create-topics.ts'
import type { DeleteTopicResult, TopicToDelete } from '../metadata/controller/delete-topics.ts'
import type { ElectionTopicResult, ElectLeadersRequest } from '../metadata/controller/elect-leaders.ts'
import type { ProducerIdBlock } from '../metadata/controller/producer-ids.ts'
import type { AlterReassignmentsRequest, ReassignmentTopicResult } from '../metadata/controller/reassignments.ts'
import type { ControllerRegistration } from '../metadata/controller/register-controller.ts'
import type { FeatureUpdate } from '../metadata/controller/update-features.ts'
import type { WithdrawReplicasRequest, WithdrawReplicasResponse } from '../metadata/controller/withdraw-replicas.ts'
import type { LeaderRecoveryState } from '../metadata/image.ts'
import type { PeerStatus, Voter } from '../raft/types.ts'

/**
 * What brokers ask of the active controller: request and answer by name. All of it survives `JSON.stringify` (no maps, no buffers), since
 * it may cross threads and nodes. An answer is given once what it tells of is committed.
 */
export interface ControllerRequests {
  createTopics: { request: CreateTopicsRequest; answer: readonly CreateTopicResult[] }
  deleteTopics: { request: { readonly topics: readonly TopicToDelete[] }; answer: readonly DeleteTopicResult[] }
  createPartitions: { request: CreatePartitionsRequest; answer: readonly CreatePartitionsResult[] }
  incrementalAlterConfigs: {
    request: { readonly resources: readonly ConfigAlterations[]; readonly validateOnly: boolean }
    answer: readonly AlterConfigsResult[]
  }
  legacyAlterConfigs: {
    request: { readonly resources: readonly ConfigReplacement[]; readonly validateOnly: boolean }
    answer: readonly AlterConfigsResult[]
  }
  alterClientQuotas: {
    request: { readonly entries: readonly QuotaAlteration[]; readonly validateOnly: boolean }
    answer: readonly AlterQuotaResult[]
  }
  alterScramCredentials: { request: AlterScramCredentialsRequest; answer: readonly AlterScramResult[] }
  createAcls: { request: { readonly creations: readonly AclBinding[] }; answer: readonly CreateAclResult[] }
  deleteAcls: { request: { readonly filters: readonly AclFilter[] }; answer: readonly DeleteAclsResult[] }
  updateFeatures: {
    request: { readonly updates: readonly FeatureUpdate[]; readonly validateOnly: boolean }
    answer: ApiError | null
  }
  alterPartitionReassignments: { request: AlterReassignmentsRequest; answer: readonly ReassignmentTopicResult[] }
  electLeaders: { request: ElectLeadersRequest; answer: readonly ElectionTopicResult[] | ApiError }
  allocateProducerIds: {
    request: { readonly brokerId: number; readonly brokerEpoch: number }
    answer: ProducerIdBlock | ApiError
  }
  registerBroker: {
    /** `features` as entries. `previousBrokerEpoch`: of a clean stop, else -1. `lostReplicas`: as of `ClusterRegistration`. */
    request: Omit<BrokerRegistration, 'features'> & {
      readonly clusterId: string
      readonly features: readonly (readonly [name: string, range: { readonly min: number; readonly max: number }])[]
      readonly previousBrokerEpoch: number
      readonly lostReplicas?: readonly { readonly topicId: Uuid; readonly partition: number }[]
    }
    answer: { readonly brokerEpoch: number } | ApiError
  }
  registerController: {
    /** `features` as entries. */
    request: Omit<ControllerRegistration, 'features'> & {
      readonly features: readonly (readonly [name: string, range: { readonly min: number; readonly max: number }])[]
    }
    answer: ApiError | null
  }
  unregisterBroker: { request: { readonly brokerId: number }; answer: ApiError | null }
  alterPartition: { request: AlterPartitionRequest; answer: AlterPartitionAnswer | ApiError }
  assignReplicasToDirs: { request: AssignReplicasToDirsRequest; answer: AssignReplicasToDirsAnswer | ApiError }
  withdrawReplicas: { request: WithdrawReplicasRequest; answer: WithdrawReplicasResponse | ApiError }
  describeQuorum: { request: Record<string, never>; answer: QuorumDescription }
  addVoter: { request: Voter; answer: ApiError | null }
  removeVoter: { request: { readonly id: number; readonly directoryId: Uuid }; answer: ApiError | null }
  updateVoter: { request: Voter; answer: ApiError | null }
  /** The metadata offset that everything committed before the request lies below (a linearizable read). */
  readBarrier: { request: Record<string, never>; answer: { readonly offset: number } }
}

export type ControllerRequestName = keyof ControllerRequests
export type ControllerRequest<N extends ControllerRequestName> = ControllerRequests[N]['request']
export type ControllerAnswer<N extends ControllerRequestName> = ControllerRequests[N]['answer']

/** `controller.md` 3.3. */
export interface AlterPartitionRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly {
    readonly topicId: Uuid
    readonly partition: number
    readonly leaderEpoch: LeaderEpoch
    readonly partitionEpoch: number
    readonly leaderRecoveryState: LeaderRecoveryState
    /** Epoch -1: not known. */
    readonly newIsr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
  }[]
}

export interface AlterPartitionAnswer {
  readonly partitions: readonly {
    readonly topicId: Uuid
    readonly partition: number
    readonly errorCode: number
    /** The rest only without an error. */
    readonly leader: number
    readonly leaderEpoch: LeaderEpoch
    readonly partitionEpoch: number
    readonly isr: readonly number[]
    readonly leaderRecoveryState: LeaderRecoveryState
  }[]
}

export interface AssignReplicasToDirsRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly { readonly topicId: Uuid; readonly partition: number; readonly directory: Uuid }[]
}

export interface AssignReplicasToDirsAnswer {
  readonly partitions: readonly { readonly topicId: Uuid; readonly partition: number; readonly errorCode: number }[]
}

export interface QuorumDescription {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly voters: readonly Voter[]
  readonly peers: readonly (PeerStatus & {
    readonly lastFetchMs: number
    readonly lastCaughtUpMs: number
    readonly logEndOffset: number
  })[]
}

/** What a broker's data thread tells the active controller again and again (`controller.md` 2.2); silence is the late sign of death. */
export interface BrokerHeartbeat {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly incarnationId: Uuid
  /** Metadata offset that the broker has applied. */
  readonly appliedOffset: number
  readonly wantFence: boolean
  readonly wantShutDown: boolean
  readonly offlineDirectories: readonly Uuid[]
}

export interface HeartbeatAnswer {
  /** STALE_BROKER_EPOCH: register again. */
  readonly errorCode: number
  readonly isCaughtUp: boolean
  readonly isFenced: boolean
  readonly shouldShutDown: boolean
}
