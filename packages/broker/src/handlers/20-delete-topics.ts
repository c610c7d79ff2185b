import { ZERO_UUID } from '@millrace/base'
import type { DeleteTopicResult } from '@millrace/consensus'
import {
  createDeletableTopicResult,
  createDeleteTopicsResponse,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse,
  deleteTopicsApi,
  ErrorCode,
  errorInfo,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

const DISABLED = { errorCode: ErrorCode.TOPIC_DELETION_DISABLED, errorMessage: null }

/** DeleteTopics 1–6: by name, from v6 on also by id (`controller.md`, 4). */
export function deleteTopicsHandler(deps: {
  metadata: Pick<MetadataService, 'deleteTopics'>
  /** `delete.topic.enable` of this broker: where it is off no permissions are asked, so that it must not be left to a controller's. */
  isEnabled(): boolean
}): ApiHandler<DeleteTopicsRequest, DeleteTopicsResponse> {
  return defineHandler(deleteTopicsApi, async (request, context) => {
    const topics =
      context.apiVersion >= 6 ? request.topics : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
    const results = deps.isEnabled()
      ? await deps.metadata.deleteTopics(topics, request.timeoutMs)
      : topics.map(({ name, topicId }) => ({ name, topicId, ...DISABLED }))
    return createDeleteTopicsResponse({
      responses: results.map((result) =>
        createDeletableTopicResult({
          name: result.name,
          topicId: result.topicId,
          errorCode: errorCodeFor(result, context.apiVersion),
          errorMessage: result.errorMessage ?? defaultMessage(result.errorCode),
        }),
      ),
    })
  })
}

/** Clients of the first versions do not know that deletion can be forbidden. */
function errorCodeFor(result: DeleteTopicResult, version: number): number {
  const isForbidden = result.errorCode === ErrorCode.TOPIC_DELETION_DISABLED
  return isForbidden && version < 3 ? ErrorCode.INVALID_REQUEST : result.errorCode
}

function defaultMessage(errorCode: number): string | null {
  return errorCode === ErrorCode.NONE ? null : errorInfo(errorCode).description
}
