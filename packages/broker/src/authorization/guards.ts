import { assert } from '@millrace/base'
import {
  type ApiDefinition,
  ApiKey,
  addOffsetsToTxnApi,
  addPartitionsToTxnApi,
  addRaftVoterApi,
  alterClientQuotasApi,
  alterConfigsApi,
  alterPartitionReassignmentsApi,
  alterReplicaLogDirsApi,
  alterShareGroupOffsetsApi,
  alterUserScramCredentialsApi,
  consumerGroupDescribeApi,
  consumerGroupHeartbeatApi,
  createAclsApi,
  createPartitionsApi,
  createTopicsApi,
  deleteAclsApi,
  deleteGroupsApi,
  deleteRecordsApi,
  deleteShareGroupOffsetsApi,
  deleteShareGroupStateApi,
  deleteTopicsApi,
  describeAclsApi,
  describeClientQuotasApi,
  describeClusterApi,
  describeConfigsApi,
  describeGroupsApi,
  describeLogDirsApi,
  describeProducersApi,
  describeQuorumApi,
  describeShareGroupOffsetsApi,
  describeTransactionsApi,
  describeUserScramCredentialsApi,
  electLeadersApi,
  endTxnApi,
  findCoordinatorApi,
  heartbeatApi,
  incrementalAlterConfigsApi,
  initializeShareGroupStateApi,
  initProducerIdApi,
  joinGroupApi,
  leaveGroupApi,
  listConfigResourcesApi,
  listGroupsApi,
  listOffsetsApi,
  listPartitionReassignmentsApi,
  listTransactionsApi,
  metadataApi,
  offsetCommitApi,
  offsetDeleteApi,
  offsetFetchApi,
  offsetForLeaderEpochApi,
  readShareGroupStateApi,
  readShareGroupStateSummaryApi,
  removeRaftVoterApi,
  shareGroupDescribeApi,
  shareGroupHeartbeatApi,
  syncGroupApi,
  txnOffsetCommitApi,
  unregisterBrokerApi,
  updateFeaturesApi,
  writeShareGroupStateApi,
  writeTxnMarkersApi,
} from '@millrace/protocol'
import type { ApiHandler } from '../handlers/handler.ts'
import type { Authorizer } from './authorizer.ts'
import type { Guard, GuardScene } from './guard.ts'
import {
  addRaftVoterGuard,
  alterClientQuotasGuard,
  alterPartitionReassignmentsGuard,
  alterReplicaLogDirsGuard,
  alterUserScramCredentialsGuard,
  createAclsGuard,
  deleteAclsGuard,
  describeAclsGuard,
  describeClientQuotasGuard,
  describeLogDirsGuard,
  describeQuorumGuard,
  describeUserScramCredentialsGuard,
  electLeadersGuard,
  listConfigResourcesGuard,
  listPartitionReassignmentsGuard,
  removeRaftVoterGuard,
  unregisterBrokerGuard,
  updateFeaturesGuard,
} from './guards/cluster-guards.ts'
import { alterConfigsGuard, describeConfigsGuard, incrementalAlterConfigsGuard } from './guards/config-guards.ts'
import {
  deleteGroupsGuard,
  describeGroupsGuard,
  findCoordinatorGuard,
  heartbeatGuard,
  joinGroupGuard,
  leaveGroupGuard,
  listGroupsGuard,
  syncGroupGuard,
} from './guards/group-guards.ts'
import { describeClusterGuard, metadataGuard } from './guards/metadata-guards.ts'
import {
  consumerGroupDescribeGuard,
  consumerGroupHeartbeatGuard,
  shareGroupDescribeGuard,
  shareGroupHeartbeatGuard,
} from './guards/modern-group-guards.ts'
import { offsetCommitGuard, offsetDeleteGuard, offsetFetchGuard } from './guards/offset-guards.ts'
import { initProducerIdGuard } from './guards/producer-id-guard.ts'
import {
  alterShareGroupOffsetsGuard,
  deleteShareGroupOffsetsGuard,
  describeShareGroupOffsetsGuard,
} from './guards/share-offset-guards.ts'
import {
  deleteShareGroupStateGuard,
  initializeShareGroupStateGuard,
  readShareGroupStateGuard,
  readShareGroupStateSummaryGuard,
  writeShareGroupStateGuard,
} from './guards/share-state-guards.ts'
import { createPartitionsGuard, createTopicsGuard, deleteTopicsGuard } from './guards/topic-admin-guards.ts'
import {
  deleteRecordsGuard,
  describeProducersGuard,
  listOffsetsGuard,
  offsetForLeaderEpochGuard,
} from './guards/topic-data-guards.ts'
import {
  addOffsetsToTxnGuard,
  addPartitionsToTxnGuard,
  describeTransactionsGuard,
  endTxnGuard,
  listTransactionsGuard,
  txnOffsetCommitGuard,
  writeTxnMarkersGuard,
} from './guards/transaction-guards.ts'
import { NEEDS } from './needs.ts'

/** By API key. */
const GUARDS: ReadonlyMap<number, Guard<unknown, unknown>> = new Map([
  guardOf(listOffsetsApi, listOffsetsGuard),
  guardOf(metadataApi, metadataGuard),
  guardOf(offsetCommitApi, offsetCommitGuard),
  guardOf(offsetFetchApi, offsetFetchGuard),
  guardOf(findCoordinatorApi, findCoordinatorGuard),
  guardOf(joinGroupApi, joinGroupGuard),
  guardOf(heartbeatApi, heartbeatGuard),
  guardOf(leaveGroupApi, leaveGroupGuard),
  guardOf(syncGroupApi, syncGroupGuard),
  guardOf(describeGroupsApi, describeGroupsGuard),
  guardOf(listGroupsApi, listGroupsGuard),
  guardOf(createTopicsApi, createTopicsGuard),
  guardOf(deleteTopicsApi, deleteTopicsGuard),
  guardOf(deleteRecordsApi, deleteRecordsGuard),
  guardOf(initProducerIdApi, initProducerIdGuard),
  guardOf(offsetForLeaderEpochApi, offsetForLeaderEpochGuard),
  guardOf(addPartitionsToTxnApi, addPartitionsToTxnGuard),
  guardOf(addOffsetsToTxnApi, addOffsetsToTxnGuard),
  guardOf(endTxnApi, endTxnGuard),
  guardOf(writeTxnMarkersApi, writeTxnMarkersGuard),
  guardOf(txnOffsetCommitApi, txnOffsetCommitGuard),
  guardOf(describeAclsApi, describeAclsGuard),
  guardOf(createAclsApi, createAclsGuard),
  guardOf(deleteAclsApi, deleteAclsGuard),
  guardOf(describeConfigsApi, describeConfigsGuard),
  guardOf(alterConfigsApi, alterConfigsGuard),
  guardOf(alterReplicaLogDirsApi, alterReplicaLogDirsGuard),
  guardOf(describeLogDirsApi, describeLogDirsGuard),
  guardOf(createPartitionsApi, createPartitionsGuard),
  guardOf(deleteGroupsApi, deleteGroupsGuard),
  guardOf(electLeadersApi, electLeadersGuard),
  guardOf(incrementalAlterConfigsApi, incrementalAlterConfigsGuard),
  guardOf(alterPartitionReassignmentsApi, alterPartitionReassignmentsGuard),
  guardOf(listPartitionReassignmentsApi, listPartitionReassignmentsGuard),
  guardOf(offsetDeleteApi, offsetDeleteGuard),
  guardOf(describeClientQuotasApi, describeClientQuotasGuard),
  guardOf(alterClientQuotasApi, alterClientQuotasGuard),
  guardOf(describeUserScramCredentialsApi, describeUserScramCredentialsGuard),
  guardOf(alterUserScramCredentialsApi, alterUserScramCredentialsGuard),
  guardOf(describeQuorumApi, describeQuorumGuard),
  guardOf(updateFeaturesApi, updateFeaturesGuard),
  guardOf(describeClusterApi, describeClusterGuard),
  guardOf(describeProducersApi, describeProducersGuard),
  guardOf(unregisterBrokerApi, unregisterBrokerGuard),
  guardOf(describeTransactionsApi, describeTransactionsGuard),
  guardOf(listTransactionsApi, listTransactionsGuard),
  guardOf(consumerGroupHeartbeatApi, consumerGroupHeartbeatGuard),
  guardOf(consumerGroupDescribeApi, consumerGroupDescribeGuard),
  guardOf(listConfigResourcesApi, listConfigResourcesGuard),
  guardOf(addRaftVoterApi, addRaftVoterGuard),
  guardOf(removeRaftVoterApi, removeRaftVoterGuard),
  guardOf(initializeShareGroupStateApi, initializeShareGroupStateGuard),
  guardOf(readShareGroupStateApi, readShareGroupStateGuard),
  guardOf(writeShareGroupStateApi, writeShareGroupStateGuard),
  guardOf(deleteShareGroupStateApi, deleteShareGroupStateGuard),
  guardOf(readShareGroupStateSummaryApi, readShareGroupStateSummaryGuard),
  guardOf(shareGroupHeartbeatApi, shareGroupHeartbeatGuard),
  guardOf(shareGroupDescribeApi, shareGroupDescribeGuard),
  guardOf(describeShareGroupOffsetsApi, describeShareGroupOffsetsGuard),
  guardOf(alterShareGroupOffsetsApi, alterShareGroupOffsetsGuard),
  guardOf(deleteShareGroupOffsetsApi, deleteShareGroupOffsetsGuard),
])

/** What a guard takes and gives is what its API does. */
function guardOf<Request, Response>(
  api: ApiDefinition<Request, Response>,
  guard: Guard<Request, Response>,
): [apiKey: number, guard: Guard<unknown, unknown>] {
  // The handler of the same key decodes what the guard takes.
  return [api.key, guard as unknown as Guard<unknown, unknown>]
}

/** Their handlers ask themselves: sessions and pages are made of what the client may see, and Produce is too hot for a guard. */
export const ASKED_BY_HANDLERS: ReadonlySet<number> = new Set([
  ApiKey.PRODUCE,
  ApiKey.FETCH,
  ApiKey.DESCRIBE_TOPIC_PARTITIONS,
  ApiKey.SHARE_FETCH,
  ApiKey.SHARE_ACKNOWLEDGE,
])

/** The handler behind its guard. An API without a place in the table of needs cannot be served where there is an authorizer. */
export function withGuard(
  handler: ApiHandler,
  authorizer: Authorizer,
  scene: Omit<GuardScene, 'access' | 'context'>,
): ApiHandler {
  const needs = (NEEDS as Readonly<Record<number, object>>)[handler.apiKey]
  const guard = GUARDS.get(handler.apiKey)
  assert(needs !== undefined, `nothing says which permissions API ${handler.apiKey} needs`)
  if (guard === undefined) {
    const isFree = Object.keys(needs).length === 0 || ASKED_BY_HANDLERS.has(handler.apiKey)
    assert(isFree, `API ${handler.apiKey} needs permissions, and nothing asks for them`)
    return handler
  }
  return {
    ...handler,
    handle(request, context) {
      const access = authorizer.accessOf(context.connection)
      // No handler that has a guard leaves a request without an answer.
      return guard(request, { ...scene, access, context }, (allowed) => handler.handle(allowed, context)) as object
    },
  }
}
