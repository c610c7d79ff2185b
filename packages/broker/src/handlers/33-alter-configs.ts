import { AlterOperation, type ApiError, apiError, ConfigResourceType, type MetadataImage } from '@millrace/consensus'
import {
  type AlterConfigsRequest,
  type AlterConfigsResponse,
  alterConfigsApi,
  createAlterConfigsResponse,
  createAlterConfigsResponseAlterConfigsResourceResponse,
  ErrorCode,
} from '@millrace/protocol'
import type { Configuration } from '../config/configuration.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { brokerChangeError, type ChangedResource, checkChanges } from './alter-configs-checks.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

export interface AlterConfigsDeps {
  readonly metadata: Pick<MetadataService, 'legacyAlterConfigs'>
  image(): MetadataImage
  readonly configuration: Configuration
}

const { TOPIC, BROKER, CLIENT_METRICS, GROUP } = ConfigResourceType

/** AlterConfigs 0–2, the older form: the named values replace all others (`controller.md`, 5). It does not know loggers. */
export function alterConfigsHandler(deps: AlterConfigsDeps): ApiHandler<AlterConfigsRequest, AlterConfigsResponse> {
  return defineHandler(alterConfigsApi, async (request) => {
    const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
      resourceType,
      resourceName,
      configs: configs.map(({ name, value }) => ({ name, value, configOperation: AlterOperation.SET })),
    }))
    const errors = checkChanges(resources).map((error, slot) => error ?? typeError(deps, resources[slot]!))
    const accepted = resources.filter((_, slot) => errors[slot] === null)
    const results = await deps.metadata.legacyAlterConfigs(accepted, request.validateOnly)
    let next = 0
    return createAlterConfigsResponse({
      responses: resources.map(({ resourceType, resourceName }, slot) => {
        const error = errors[slot] ?? null
        const { errorCode, errorMessage } =
          error === null ? results[next++]! : { errorCode: error.code, errorMessage: error.message }
        return createAlterConfigsResponseAlterConfigsResourceResponse({
          errorCode,
          errorMessage,
          resourceType,
          resourceName,
        })
      }),
    })
  })
}

function typeError(deps: AlterConfigsDeps, resource: ChangedResource): ApiError | null {
  switch (resource.resourceType) {
    case BROKER:
      return brokerChangeError(deps.configuration, deps.image(), resource, true)
    case TOPIC:
    case CLIENT_METRICS:
    case GROUP:
      return null
    default:
      return apiError(ErrorCode.INVALID_REQUEST, `Unknown resource type ${resource.resourceType}`)
  }
}
