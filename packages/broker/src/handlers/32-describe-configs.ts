import { ConfigResourceType, configsOf, type MetadataImage, topicNameComplaint } from '@millrace/consensus'
import {
  createDescribeConfigsResourceResult,
  createDescribeConfigsResponse,
  createDescribeConfigsResult,
  createDescribeConfigsSynonym,
  type DescribeConfigsRequest,
  type DescribeConfigsResource,
  type DescribeConfigsResponse,
  type DescribeConfigsResult,
  describeConfigsApi,
  ErrorCode,
} from '@millrace/protocol'
import type { Configuration } from '../config/configuration.ts'
import {
  type ConfigDescription,
  describeBroker,
  describeClientMetrics,
  describeClusterDefaults,
  describeGroup,
  describeTopic,
} from '../config/describe.ts'
import { ConfigSource } from '../config/layers.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import type { LoggerLevels } from './logger-levels.ts'
import { distinctBy, mapInSlices, type NextTurn, whenMapped } from './slices.ts'

export interface DescribeConfigsDeps {
  image(): MetadataImage
  readonly configuration: Configuration
  readonly loggers: LoggerLevels
  readonly nextTurn: NextTurn
}

/** A topic has some forty settings, a broker three hundred, each with its synonyms and documentation. */
const SLICE_RESOURCES = 20

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ConfigResourceType

const KNOWN_TYPES: ReadonlySet<number> = new Set([TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP])

/** What was found for a resource, or why nothing was. */
type Found = readonly ConfigDescription[] | { readonly errorCode: number; readonly errorMessage: string }

/**
 * DescribeConfigs 1–4: every setting of a resource with value, source, synonyms and documentation (`controller.md`, 5.3). A resource that
 * is named several times is described once, and answered once for each choice of keys: a broker's description is some thousand times as
 * long as its name.
 */
export function describeConfigsHandler(
  deps: DescribeConfigsDeps,
): ApiHandler<DescribeConfigsRequest, DescribeConfigsResponse> {
  return defineHandler(describeConfigsApi, (request, context) => {
    const unknown = request.resources.find((resource) => !KNOWN_TYPES.has(resource.resourceType))
    const refusal = unknown === undefined ? null : invalid(`Unexpected resource type ${unknown.resourceType}`)
    const resources = distinctBy(request.resources, questionOf)
    const repeated = repeatedResources(resources)
    const described = new Map<string, Found>()
    const find = (resource: DescribeConfigsResource): Found => {
      const key = resourceOf(resource)
      const found = described.get(key) ?? describeResource(deps, resource)
      if (repeated.has(key)) described.set(key, found)
      return found
    }
    const results = mapInSlices(
      resources,
      deps.nextTurn,
      (resource) => result(request, resource, refusal ?? find(resource)),
      context,
      SLICE_RESOURCES,
      elementsOf,
    )
    return whenMapped(results, (all) => createDescribeConfigsResponse({ results: all }))
  })
}

/** Settings and their synonyms. */
function elementsOf({ configs }: DescribeConfigsResult): number {
  let count = 1
  for (const { synonyms } of configs) count += 1 + synonyms.length
  return count
}

function resourceOf({ resourceType, resourceName }: DescribeConfigsResource): string {
  return `${resourceType}/${resourceName}`
}

/** Resource and wanted keys; no keys mean all. */
function questionOf({ resourceType, resourceName, configurationKeys }: DescribeConfigsResource): string {
  return JSON.stringify([resourceType, resourceName, configurationKeys ?? []])
}

/** Those named more than once: only their descriptions are worth keeping. */
function repeatedResources(resources: readonly DescribeConfigsResource[]): ReadonlySet<string> {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const resource of resources) {
    const key = resourceOf(resource)
    if (seen.has(key)) repeated.add(key)
    seen.add(key)
  }
  return repeated
}

function describeResource(deps: DescribeConfigsDeps, resource: DescribeConfigsResource): Found {
  const { resourceType: type, resourceName: name } = resource
  const overrides = configsOf(deps.image(), type, name)
  switch (type) {
    case TOPIC:
      return describeTopicResource(deps, name)
    case BROKER:
      if (name === '') return describeClusterDefaults(deps.configuration)
      return nodeNameError(deps, name) ?? describeBroker(deps.configuration)
    case BROKER_LOGGER:
      if (name === '') return invalid('Broker id must not be empty')
      return nodeNameError(deps, name) ?? describeLoggers(deps.loggers)
    case CLIENT_METRICS:
      return name === ''
        ? invalid('Client metrics subscription name must not be empty')
        : describeClientMetrics(overrides)
    default:
      return name === '' ? invalid('Group name must not be empty') : describeGroup(deps.configuration, overrides)
  }
}

function describeTopicResource(deps: DescribeConfigsDeps, name: string): Found {
  const complaint = topicNameComplaint(name)
  if (complaint !== null) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: complaint }
  const image = deps.image()
  if (!image.topics.has(name)) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: '' }
  return describeTopic(deps.configuration, configsOf(image, TOPIC, name))
}

/** Each broker tells of itself only. */
function nodeNameError(deps: DescribeConfigsDeps, name: string): Found | null {
  if (!/^[+-]?\d{1,10}$/.test(name)) return invalid(`Broker id must be an integer, but it is: ${name}`)
  const { nodeId } = deps.configuration
  if (Number(name) === nodeId) return null
  return invalid(`Unexpected broker id, expected ${nodeId} or an empty name, but received ${name}`)
}

function describeLoggers(loggers: LoggerLevels): ConfigDescription[] {
  return Array.from(loggers.levels(), ([name, value]) => ({
    name,
    value,
    readOnly: false,
    configSource: ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG,
    isSensitive: false,
    synonyms: [],
    configType: 0,
    documentation: null,
  }))
}

function invalid(errorMessage: string) {
  return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage }
}

function result(
  request: DescribeConfigsRequest,
  resource: DescribeConfigsResource,
  found: Found,
): DescribeConfigsResult {
  const { resourceType, resourceName, configurationKeys } = resource
  if ('errorCode' in found) return createDescribeConfigsResult({ ...found, resourceType, resourceName })
  const wanted = configurationKeys === null || configurationKeys.length === 0 ? null : new Set(configurationKeys)
  return createDescribeConfigsResult({
    resourceType,
    resourceName,
    configs: found
      .filter((config) => wanted === null || wanted.has(config.name))
      .map((config) =>
        createDescribeConfigsResourceResult({
          ...config,
          synonyms: request.includeSynonyms
            ? config.synonyms.map((synonym) => createDescribeConfigsSynonym(synonym))
            : [],
          documentation: request.includeDocumentation ? config.documentation : null,
        }),
      ),
  })
}
