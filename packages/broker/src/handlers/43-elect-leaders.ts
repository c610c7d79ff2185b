import type { ApiError } from '@millrace/consensus'
import {
  createElectLeadersResponse,
  createElectLeadersResponsePartitionResult,
  createReplicaElectionResult,
  type ElectLeadersRequest,
  type ElectLeadersResponse,
  ErrorCode,
  electLeadersApi,
  errorInfo,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** ElectLeaders 0–2: preferred leaders back in place, or (v1+) any replica for partitions without a leader (`controller.md`, 3.5). */
export function electLeadersHandler(deps: {
  metadata: Pick<MetadataService, 'electLeaders'>
}): ApiHandler<ElectLeadersRequest, ElectLeadersResponse> {
  return defineHandler(electLeadersApi, async (request, context) => {
    const results = await deps.metadata.electLeaders(request, request.timeoutMs)
    if ('code' in results) return refused(request, results, context.apiVersion)
    return createElectLeadersResponse({
      replicaElectionResults: results.map(({ topic, partitionResult }) =>
        createReplicaElectionResult({
          topic,
          partitionResult: partitionResult.map(({ partitionId, errorCode, errorMessage }) =>
            createElectLeadersResponsePartitionResult({
              partitionId,
              errorCode,
              errorMessage: errorMessage ?? (errorCode === ErrorCode.NONE ? null : errorInfo(errorCode).description),
            }),
          ),
        }),
      ),
    })
  })
}

/** v0 has no place for an error of the whole, so each named partition bears it too. */
function refused(request: ElectLeadersRequest, error: ApiError, version: number): ElectLeadersResponse {
  return createElectLeadersResponse({
    errorCode: version >= 1 ? error.code : ErrorCode.NONE,
    replicaElectionResults: (request.topicPartitions ?? []).map(({ topic, partitions }) =>
      createReplicaElectionResult({
        topic,
        partitionResult: partitions.map((partitionId) =>
          createElectLeadersResponsePartitionResult({
            partitionId,
            errorCode: error.code,
            errorMessage: error.message,
          }),
        ),
      }),
    ),
  })
}
