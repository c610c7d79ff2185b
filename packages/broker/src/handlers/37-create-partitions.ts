import {
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
  createCreatePartitionsResponse,
  createCreatePartitionsTopicResult,
  createPartitionsApi,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** CreatePartitions 0–3: topics grow, never shrink (`controller.md`, 4). */
export function createPartitionsHandler(deps: {
  metadata: Pick<MetadataService, 'createPartitions'>
}): ApiHandler<CreatePartitionsRequest, CreatePartitionsResponse> {
  return defineHandler(createPartitionsApi, async (request) => {
    const results = await deps.metadata.createPartitions(request, request.timeoutMs)
    return createCreatePartitionsResponse({
      results: results.map((result) => createCreatePartitionsTopicResult(result)),
    })
  })
}
