import {
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponse,
  alterPartitionReassignmentsApi,
  createAlterPartitionReassignmentsResponse,
  createReassignablePartitionResponse,
  createReassignableTopicResponse,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** AlterPartitionReassignments 0–1: starts moves of replicas, or cancels them with a null list (`controller.md`, 3.4). */
export function alterPartitionReassignmentsHandler(deps: {
  metadata: Pick<MetadataService, 'alterPartitionReassignments'>
}): ApiHandler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse> {
  return defineHandler(alterPartitionReassignmentsApi, async (request) => {
    const results = await deps.metadata.alterPartitionReassignments(request, request.timeoutMs)
    return createAlterPartitionReassignmentsResponse({
      allowReplicationFactorChange: request.allowReplicationFactorChange,
      errorMessage: null,
      responses: results.map(({ name, partitions }) =>
        createReassignableTopicResponse({
          name,
          partitions: partitions.map((partition) => createReassignablePartitionResponse(partition)),
        }),
      ),
    })
  })
}
