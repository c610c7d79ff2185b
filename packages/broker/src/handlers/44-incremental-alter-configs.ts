import { AlterOperation, type ApiError, apiError, ConfigResourceType, type MetadataImage } from '@millrace/consensus'
import {
  createIncrementalAlterConfigsResponse,
  createIncrementalAlterConfigsResponseAlterConfigsResourceResponse,
  ErrorCode,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse,
  incrementalAlterConfigsApi,
} from '@millrace/protocol'
import type { Configuration } from '../config/configuration.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { brokerChangeError, type ChangedResource, checkChanges, type KeyChange } from './alter-configs-checks.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { LOG_LEVELS, type LoggerLevels, ROOT_LOGGER } from './logger-levels.ts'

export interface IncrementalAlterConfigsDeps {
  readonly metadata: Pick<MetadataService, 'incrementalAlterConfigs'>
  image(): MetadataImage
  readonly configuration: Configuration
  readonly loggers: LoggerLevels
}

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ConfigResourceType

/** Who decides about a resource: the controller, or the broker with this result. */
type Decision = 'controller' | ApiError | { readonly done: true }

/**
 * IncrementalAlterConfigs 0–1: sets, deletes, appends to and takes from values (`controller.md`, 5). Levels of loggers are set here and
 * forgotten with the process; the rest goes to the controller. Answers stand in the order of the request.
 */
export function incrementalAlterConfigsHandler(
  deps: IncrementalAlterConfigsDeps,
): ApiHandler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> {
  return defineHandler(incrementalAlterConfigsApi, async (request) => {
    const { resources, validateOnly } = request
    const checks = checkChanges(resources)
    const decisions = resources.map((resource, slot) => checks[slot] ?? decide(deps, resource, validateOnly))
    const accepted = resources.filter((_, slot) => decisions[slot] === 'controller')
    const results = await deps.metadata.incrementalAlterConfigs(accepted, validateOnly)
    let next = 0
    return createIncrementalAlterConfigsResponse({
      responses: resources.map(({ resourceType, resourceName }, slot) => {
        const decision = decisions[slot]!
        const outcome = decision === 'controller' ? results[next++]! : localOutcome(decision)
        const { errorCode, errorMessage } = outcome
        return createIncrementalAlterConfigsResponseAlterConfigsResourceResponse({
          errorCode,
          errorMessage,
          resourceType,
          resourceName,
        })
      }),
    })
  })
}

function decide(deps: IncrementalAlterConfigsDeps, resource: ChangedResource, validateOnly: boolean): Decision {
  switch (resource.resourceType) {
    case BROKER_LOGGER:
      return alterLoggers(deps, resource, validateOnly)
    case BROKER:
      return brokerChangeError(deps.configuration, deps.image(), resource, false) ?? 'controller'
    case TOPIC:
    case CLIENT_METRICS:
    case GROUP:
      return 'controller'
    default:
      return invalid(`Unknown resource type ${resource.resourceType}`)
  }
}

function localOutcome(decision: ApiError | { readonly done: true }) {
  if ('done' in decision) return { errorCode: ErrorCode.NONE, errorMessage: null }
  return { errorCode: decision.code, errorMessage: decision.message }
}

/** All levels of the request or none. */
function alterLoggers(deps: IncrementalAlterConfigsDeps, resource: ChangedResource, validateOnly: boolean): Decision {
  const { nodeId } = deps.configuration
  if (!/^[+-]?\d{1,10}$/.test(resource.resourceName)) {
    return invalid(`Node id must be an integer, but it is: ${resource.resourceName}`)
  }
  if (Number(resource.resourceName) !== nodeId) {
    return invalid(`Unexpected node id. Expected ${nodeId}, but received ${resource.resourceName}`)
  }
  const known = deps.loggers.levels()
  for (const change of resource.configs) {
    const error = loggerError(known, change)
    if (error !== null) return error
  }
  if (!validateOnly) {
    for (const { name, value, configOperation } of resource.configs) {
      if (configOperation === AlterOperation.SET) deps.loggers.setLevel(name, value!)
      else deps.loggers.unsetLevel(name)
    }
  }
  return { done: true }
}

function loggerError(known: ReadonlyMap<string, string>, change: KeyChange): ApiError | null {
  const { name, value, configOperation } = change
  const { SET, DELETE } = AlterOperation
  if (configOperation !== SET && configOperation !== DELETE) {
    return invalid(`Operation type ${configOperation} is not allowed for loggers`)
  }
  if (!known.has(name)) return apiError(ErrorCode.INVALID_CONFIG, `Logger ${name} does not exist`)
  if (configOperation === DELETE) {
    return name === ROOT_LOGGER ? invalid('The log level of the root logger cannot be removed') : null
  }
  if (LOG_LEVELS.includes(value!)) return null
  return apiError(
    ErrorCode.INVALID_CONFIG,
    `Cannot set the log level of ${name} to ${value}: valid log levels are ${LOG_LEVELS.join(', ')}`,
  )
}

function invalid(message: string): ApiError {
  return apiError(ErrorCode.INVALID_REQUEST, message)
}
