import {
  type CreateTopicsRequest,
  type CreateTopicsResponse,
  createCreatableTopicConfigs,
  createCreatableTopicResult,
  createCreateTopicsResponse,
  createTopicsApi,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Beyond, an answer leaves the settings out: forty for each topic would take longer to encode than the loop may be held. */
const MAX_TOPICS_WITH_CONFIGS = 500

/**
 * CreateTopics 2–7 (`controller.md`, 4). Answers once the topics are committed. The request's time limit is for finding a controller
 * that begins with it; a single node begins at once.
 */
export function createTopicsHandler(deps: {
  metadata: Pick<MetadataService, 'createTopics'>
}): ApiHandler<CreateTopicsRequest, CreateTopicsResponse> {
  return defineHandler(createTopicsApi, async (request) => {
    const tellsConfigs = request.topics.length <= MAX_TOPICS_WITH_CONFIGS
    const results = await deps.metadata.createTopics(request, request.timeoutMs)
    return createCreateTopicsResponse({
      topics: results.map((result) =>
        createCreatableTopicResult({
          ...result,
          configs: tellsConfigs ? result.configs.map((config) => createCreatableTopicConfigs(config)) : [],
        }),
      ),
    })
  })
}
