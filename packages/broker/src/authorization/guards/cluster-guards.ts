import {
  type AddRaftVoterRequest,
  type AddRaftVoterResponse,
  type AlterClientQuotasRequest,
  type AlterClientQuotasResponse,
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponse,
  type AlterReplicaLogDirsRequest,
  type AlterReplicaLogDirsResponse,
  type AlterUserScramCredentialsRequest,
  type AlterUserScramCredentialsResponse,
  ApiKey,
  type CreateAclsRequest,
  type CreateAclsResponse,
  createAclCreationResult,
  createAddRaftVoterResponse,
  createAlterClientQuotasResponse,
  createAlterClientQuotasResponseEntityData,
  createAlterClientQuotasResponseEntryData,
  createAlterPartitionReassignmentsResponse,
  createAlterReplicaLogDirPartitionResult,
  createAlterReplicaLogDirsResponse,
  createAlterReplicaLogDirTopicResult,
  createAlterUserScramCredentialsResponse,
  createAlterUserScramCredentialsResult,
  createCreateAclsResponse,
  createDeleteAclsFilterResult,
  createDeleteAclsResponse,
  createDescribeAclsResponse,
  createDescribeClientQuotasResponse,
  createDescribeLogDirsResponse,
  createDescribeQuorumResponse,
  createDescribeUserScramCredentialsResponse,
  createElectLeadersResponse,
  createElectLeadersResponsePartitionResult,
  createListConfigResourcesResponse,
  createListPartitionReassignmentsResponse,
  createReassignablePartitionResponse,
  createReassignableTopicResponse,
  createRemoveRaftVoterResponse,
  createReplicaElectionResult,
  createUnregisterBrokerResponse,
  createUpdateFeaturesResponse,
  type DeleteAclsRequest,
  type DeleteAclsResponse,
  type DescribeAclsRequest,
  type DescribeAclsResponse,
  type DescribeClientQuotasRequest,
  type DescribeClientQuotasResponse,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
  type DescribeQuorumRequest,
  type DescribeQuorumResponse,
  type DescribeUserScramCredentialsRequest,
  type DescribeUserScramCredentialsResponse,
  type ElectLeadersRequest,
  type ElectLeadersResponse,
  ErrorCode,
  errorInfo,
  type ListConfigResourcesRequest,
  type ListConfigResourcesResponse,
  type ListPartitionReassignmentsRequest,
  type ListPartitionReassignmentsResponse,
  type RemoveRaftVoterRequest,
  type RemoveRaftVoterResponse,
  type UnregisterBrokerRequest,
  type UnregisterBrokerResponse,
  type UpdateFeaturesRequest,
  type UpdateFeaturesResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import type { Guard } from '../guard.ts'
import { NEEDS, type Need } from '../needs.ts'

/** Where an answer tells that it is refused as a whole. */
interface Refusal {
  readonly errorCode: number
  readonly errorMessage: string
}

/** One permission on the cluster decides. */
function clusterGuard<Request, Response>(
  need: Need,
  refuse: (refusal: Refusal, request: Request, context: RequestContext) => Response,
): Guard<Request, Response> {
  const refusal = { errorCode: need.errorCode, errorMessage: errorInfo(need.errorCode).description }
  return (request, { access, context }, next) =>
    access.allowsCluster(need) ? next(request) : refuse(refusal, request, context)
}

export const describeAclsGuard = clusterGuard<DescribeAclsRequest, DescribeAclsResponse>(
  NEEDS[ApiKey.DESCRIBE_ACLS].cluster,
  createDescribeAclsResponse,
)

export const createAclsGuard = clusterGuard<CreateAclsRequest, CreateAclsResponse>(
  NEEDS[ApiKey.CREATE_ACLS].cluster,
  (refusal, { creations }) =>
    createCreateAclsResponse({ results: creations.map(() => createAclCreationResult(refusal)) }),
)

export const deleteAclsGuard = clusterGuard<DeleteAclsRequest, DeleteAclsResponse>(
  NEEDS[ApiKey.DELETE_ACLS].cluster,
  (refusal, { filters }) =>
    createDeleteAclsResponse({ filterResults: filters.map(() => createDeleteAclsFilterResult(refusal)) }),
)

export const alterReplicaLogDirsGuard = clusterGuard<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse>(
  NEEDS[ApiKey.ALTER_REPLICA_LOG_DIRS].cluster,
  ({ errorCode }, { dirs }) =>
    createAlterReplicaLogDirsResponse({
      results: dirs.flatMap(({ topics }) =>
        topics.map(({ name: topicName, partitions }) =>
          createAlterReplicaLogDirTopicResult({
            topicName,
            partitions: partitions.map((partitionIndex) =>
              createAlterReplicaLogDirPartitionResult({ partitionIndex, errorCode }),
            ),
          }),
        ),
      ),
    }),
)

export const describeLogDirsGuard = clusterGuard<DescribeLogDirsRequest, DescribeLogDirsResponse>(
  NEEDS[ApiKey.DESCRIBE_LOG_DIRS].cluster,
  // No directories at all: before version 3 there is no place for the error.
  ({ errorCode }) => createDescribeLogDirsResponse({ errorCode }),
)

export const electLeadersGuard = clusterGuard<ElectLeadersRequest, ElectLeadersResponse>(
  NEEDS[ApiKey.ELECT_LEADERS].cluster,
  ({ errorCode, errorMessage }, { topicPartitions }, { apiVersion }) =>
    createElectLeadersResponse({
      errorCode: apiVersion >= 1 ? errorCode : ErrorCode.NONE,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) =>
        createReplicaElectionResult({
          topic,
          partitionResult: partitions.map((partitionId) =>
            createElectLeadersResponsePartitionResult({ partitionId, errorCode, errorMessage }),
          ),
        }),
      ),
    }),
)

export const alterPartitionReassignmentsGuard = clusterGuard<
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse
>(NEEDS[ApiKey.ALTER_PARTITION_REASSIGNMENTS].cluster, (refusal, { allowReplicationFactorChange, topics }) =>
  createAlterPartitionReassignmentsResponse({
    ...refusal,
    allowReplicationFactorChange,
    responses: topics.map(({ name, partitions }) =>
      createReassignableTopicResponse({
        name,
        partitions: partitions.map(({ partitionIndex }) =>
          createReassignablePartitionResponse({ partitionIndex, ...refusal }),
        ),
      }),
    ),
  }),
)

export const listPartitionReassignmentsGuard = clusterGuard<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse
>(NEEDS[ApiKey.LIST_PARTITION_REASSIGNMENTS].cluster, createListPartitionReassignmentsResponse)

export const describeClientQuotasGuard = clusterGuard<DescribeClientQuotasRequest, DescribeClientQuotasResponse>(
  NEEDS[ApiKey.DESCRIBE_CLIENT_QUOTAS].cluster,
  (refusal) => createDescribeClientQuotasResponse({ ...refusal, entries: null }),
)

export const alterClientQuotasGuard = clusterGuard<AlterClientQuotasRequest, AlterClientQuotasResponse>(
  NEEDS[ApiKey.ALTER_CLIENT_QUOTAS].cluster,
  (refusal, { entries }) =>
    createAlterClientQuotasResponse({
      entries: entries.map(({ entity }) =>
        createAlterClientQuotasResponseEntryData({
          ...refusal,
          entity: entity.map(({ entityType, entityName }) =>
            createAlterClientQuotasResponseEntityData({ entityType, entityName }),
          ),
        }),
      ),
    }),
)

export const describeUserScramCredentialsGuard = clusterGuard<
  DescribeUserScramCredentialsRequest,
  DescribeUserScramCredentialsResponse
>(NEEDS[ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS].cluster, createDescribeUserScramCredentialsResponse)

export const alterUserScramCredentialsGuard = clusterGuard<
  AlterUserScramCredentialsRequest,
  AlterUserScramCredentialsResponse
>(NEEDS[ApiKey.ALTER_USER_SCRAM_CREDENTIALS].cluster, (refusal, { deletions, upsertions }) => {
  const users = new Set([...deletions, ...upsertions].map(({ name }) => name))
  return createAlterUserScramCredentialsResponse({
    results: Array.from(users, (user) => createAlterUserScramCredentialsResult({ user, ...refusal })),
  })
})

export const describeQuorumGuard = clusterGuard<DescribeQuorumRequest, DescribeQuorumResponse>(
  NEEDS[ApiKey.DESCRIBE_QUORUM].cluster,
  createDescribeQuorumResponse,
)

export const updateFeaturesGuard = clusterGuard<UpdateFeaturesRequest, UpdateFeaturesResponse>(
  NEEDS[ApiKey.UPDATE_FEATURES].cluster,
  createUpdateFeaturesResponse,
)

export const unregisterBrokerGuard = clusterGuard<UnregisterBrokerRequest, UnregisterBrokerResponse>(
  NEEDS[ApiKey.UNREGISTER_BROKER].cluster,
  createUnregisterBrokerResponse,
)

export const listConfigResourcesGuard = clusterGuard<ListConfigResourcesRequest, ListConfigResourcesResponse>(
  NEEDS[ApiKey.LIST_CONFIG_RESOURCES].cluster,
  ({ errorCode }) => createListConfigResourcesResponse({ errorCode }),
)

export const addRaftVoterGuard = clusterGuard<AddRaftVoterRequest, AddRaftVoterResponse>(
  NEEDS[ApiKey.ADD_RAFT_VOTER].cluster,
  createAddRaftVoterResponse,
)

export const removeRaftVoterGuard = clusterGuard<RemoveRaftVoterRequest, RemoveRaftVoterResponse>(
  NEEDS[ApiKey.REMOVE_RAFT_VOTER].cluster,
  createRemoveRaftVoterResponse,
)
