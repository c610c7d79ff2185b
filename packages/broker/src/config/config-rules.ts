import { ConfigurationError } from '@millrace/base'
import {
  type ApiError,
  apiError,
  ConfigResourceType,
  type ConfigRules,
  configsOf,
  type EffectiveTopicConfig,
  MetadataErrorCode,
  type MetadataImage,
  topicNameComplaint,
} from '@millrace/consensus'
import { brokerDefinitions } from './broker-definitions.ts'
import type { Configuration } from './configuration.ts'
import type { Definition } from './definition.ts'
import { clientMetricsDefinitions } from './definitions/client-metrics-definitions.ts'
import { groupResourceDefinitions } from './definitions/group-resource-definitions.ts'
import { topicDefinitions } from './definitions/topic-definitions.ts'
import { groupConfigComplaint } from './group-rules.ts'
import { type ConfigLayers, NO_SETTINGS, type RawSettings } from './layers.ts'
import { suggestion } from './suggest.ts'
import {
  checkTopicConfig,
  effectiveTopicText,
  isTopicKey,
  resolveTopicConfig,
  topicDefinition,
} from './topic-config.ts'
import { formatValue, parseValue } from './value.ts'

/** The controller's view of configuration keys: it validates by the same tables that the broker runs on. */
export function createConfigRules(configuration: Configuration): ConfigRules {
  const layersOf = (image: MetadataImage): ConfigLayers => ({
    static: configuration.layers.static,
    dynamicDefault: configsOf(image, ConfigResourceType.BROKER, ''),
    dynamicBroker: configsOf(image, ConfigResourceType.BROKER, String(configuration.nodeId)),
  })
  const effective = (image: MetadataImage, topic: string, key: string) =>
    effectiveTopicText(key, configsOf(image, ConfigResourceType.TOPIC, topic), layersOf(image)).text
  return {
    validate(resourceType, resourceName, configs) {
      try {
        return validate(configuration, resourceType, resourceName, configs)
      } catch (error) {
        if (error instanceof ConfigurationError) return apiError(MetadataErrorCode.INVALID_CONFIG, error.message)
        throw error
      }
    },
    isList: (resourceType, key) => definitionOf(resourceType, key)?.type === 'list',
    schemaDefault: (resourceType, key) => definitionOf(resourceType, key)?.defaultText ?? null,
    effectiveTopicConfigs: (image, own) => effectiveTopicConfigs(own, layersOf(image)),
    minInsyncReplicas: (image, topic) => Number(effective(image, topic, 'min.insync.replicas')),
    staticMinInsyncReplicas() {
      const layers = { ...configuration.layers, dynamicBroker: NO_SETTINGS, dynamicDefault: NO_SETTINGS }
      return Number(effectiveTopicText('min.insync.replicas', NO_SETTINGS, layers).text)
    },
    uncleanLeaderElectionEnable: (image, topic) =>
      effective(image, topic, 'unclean.leader.election.enable')?.trim().toLowerCase() === 'true',
  }
}

const DEFINITIONS_BY_TYPE = new Map<number, Readonly<Record<string, Definition>>>([
  [ConfigResourceType.TOPIC, topicDefinitions],
  [ConfigResourceType.BROKER, brokerDefinitions],
  [ConfigResourceType.GROUP, groupResourceDefinitions],
  [ConfigResourceType.CLIENT_METRICS, clientMetricsDefinitions],
])

function definitionOf(resourceType: number, key: string): Definition | null {
  const definitions = DEFINITIONS_BY_TYPE.get(resourceType)
  return definitions !== undefined && Object.hasOwn(definitions, key) ? definitions[key]! : null
}

/** Throws `ConfigurationError` for a wrong value; other refusals are returned. */
function validate(
  configuration: Configuration,
  resourceType: number,
  resourceName: string,
  configs: RawSettings,
): ApiError | null {
  switch (resourceType) {
    case ConfigResourceType.TOPIC:
      return validateTopic(configuration, resourceName, configs)
    case ConfigResourceType.BROKER:
      return brokerNameError(resourceName)
    case ConfigResourceType.CLIENT_METRICS:
      return validateClientMetrics(resourceName, configs)
    case ConfigResourceType.GROUP:
      return validateGroup(configuration, resourceName, configs)
    default:
      return apiError(MetadataErrorCode.INVALID_REQUEST, `Unknown resource type ${resourceType}`)
  }
}

function validateTopic(configuration: Configuration, name: string, configs: RawSettings): ApiError | null {
  if (name === '') return apiError(MetadataErrorCode.INVALID_REQUEST, 'Default topic resources are not allowed.')
  const complaint = topicNameComplaint(name)
  if (complaint !== null) return apiError(MetadataErrorCode.INVALID_TOPIC_EXCEPTION, complaint)
  for (const key of configs.keys()) {
    if (isTopicKey(key)) continue
    const hint = suggestion(key, Object.keys(topicDefinitions))
    return apiError(MetadataErrorCode.INVALID_CONFIG, `Unknown topic config name: ${key}${hint}`)
  }
  if (configs.size > 0) checkTopicConfig(resolveTopicConfig(configs, configuration.layers))
  return null
}

/** Values of broker settings are checked by the broker that the request came to, before the controller sees them. */
function brokerNameError(name: string): ApiError | null {
  if (name === '' || /^\d{1,9}$/.test(name)) return null
  return apiError(MetadataErrorCode.INVALID_REQUEST, `A broker is named by its number or not at all, not by '${name}'`)
}

const MATCH_PARAMETERS: ReadonlySet<string> = new Set([
  'client_instance_id',
  'client_id',
  'client_software_name',
  'client_software_version',
  'client_source_address',
  'client_source_port',
])

function validateClientMetrics(name: string, configs: RawSettings): ApiError | null {
  const refuse = (message: string) => apiError(MetadataErrorCode.INVALID_REQUEST, message)
  if (name === '') return refuse('The name of a client metrics subscription must not be empty')
  for (const [key, text] of configs) {
    const definition = definitionOf(ConfigResourceType.CLIENT_METRICS, key)
    if (definition === null) {
      return refuse(
        `Unknown client metrics configuration: ${key}${suggestion(key, Object.keys(clientMetricsDefinitions))}`,
      )
    }
    const value = parseValue(key, definition, text)
    if (key === 'interval.ms' && ((value as number) < 100 || (value as number) > 3_600_000)) {
      return refuse(`Invalid value ${text} for configuration interval.ms: must be between 100 and 3600000`)
    }
    if (key !== 'match') continue
    const bad = (value as readonly string[]).find((pattern) => !isMatchPattern(pattern))
    if (bad !== undefined) {
      return apiError(MetadataErrorCode.INVALID_CONFIG, `Illegal client matching pattern: ${bad}`)
    }
  }
  return null
}

/** `parameter=regular expression`. */
function isMatchPattern(pattern: string): boolean {
  const [parameter, expression, ...rest] = pattern.split('=')
  if (expression === undefined || rest.length > 0 || !MATCH_PARAMETERS.has(parameter!.trim())) return false
  try {
    new RegExp(expression.trim())
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}

function validateGroup(configuration: Configuration, name: string, configs: RawSettings): ApiError | null {
  if (name === '') return apiError(MetadataErrorCode.INVALID_REQUEST, 'Default group resources are not allowed.')
  for (const key of configs.keys()) {
    if (definitionOf(ConfigResourceType.GROUP, key) !== null) continue
    const hint = suggestion(key, Object.keys(groupResourceDefinitions))
    return apiError(MetadataErrorCode.INVALID_CONFIG, `Unknown group config name: ${key}${hint}`)
  }
  const complaint = groupConfigComplaint(configs, configuration.broker)
  return complaint === null ? null : apiError(MetadataErrorCode.INVALID_CONFIG, complaint)
}

function effectiveTopicConfigs(own: RawSettings, layers: ConfigLayers): EffectiveTopicConfig[] {
  const configs: EffectiveTopicConfig[] = []
  for (const name of Object.keys(topicDefinitions).sort()) {
    const definition = topicDefinition(name)
    if (definition.internal && !own.has(name)) continue
    const { text, source } = effectiveTopicText(name, own, layers)
    const value = text === null ? null : formatValue(definition, parseValue(name, definition, text))
    configs.push({ name, value, readOnly: false, configSource: source, isSensitive: false })
  }
  return configs
}
