import { listPartitionReassignments, type MetadataImage } from '@millrace/consensus'
import {
  createListPartitionReassignmentsResponse,
  createOngoingPartitionReassignment,
  createOngoingTopicReassignment,
  type ListPartitionReassignmentsRequest,
  type ListPartitionReassignmentsResponse,
  listPartitionReassignmentsApi,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** ListPartitionReassignments 0: moves under way, of committed state; partitions without one are left out. */
export function listPartitionReassignmentsHandler(deps: {
  image(): MetadataImage
}): ApiHandler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse> {
  return defineHandler(listPartitionReassignmentsApi, (request) =>
    createListPartitionReassignmentsResponse({
      errorMessage: null,
      topics: listPartitionReassignments(deps.image(), request.topics).map(({ name, partitions }) =>
        createOngoingTopicReassignment({
          name,
          partitions: partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) =>
            createOngoingPartitionReassignment({
              partitionIndex,
              replicas: [...replicas],
              addingReplicas: [...addingReplicas],
              removingReplicas: [...removingReplicas],
            }),
          ),
        }),
      ),
    }),
  )
}
