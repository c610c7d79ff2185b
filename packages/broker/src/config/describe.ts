import { brokerDefinitionOf, brokerDefinitions, brokerSynonyms } from './broker-definitions.ts'
import type { Configuration } from './configuration.ts'
import { type ConfigType, type Definition, defaultTextOf } from './definition.ts'
import { clientMetricsDefinitions } from './definitions/client-metrics-definitions.ts'
import { groupResourceDefinitions } from './definitions/group-resource-definitions.ts'
import { topicDefinitions } from './definitions/topic-definitions.ts'
import { ConfigSource, layersByStrength, mergeLayers, type RawSettings } from './layers.ts'
import { effectiveTopicText } from './topic-config.ts'
import { groupSynonyms, topicSynonyms } from './topic-synonyms.ts'
import { formatValue, parseValue } from './value.ts'

/** One key of a resource as DescribeConfigs tells it. */
export interface ConfigDescription {
  readonly name: string
  /** Null for secrets and for settings without a value. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  /** Where the value could come from, strongest first. */
  readonly synonyms: readonly ConfigSynonym[]
  readonly configType: number
  readonly documentation: string | null
}

export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: number
}

/** Kafka's numbers of value types. */
const TYPE_NUMBERS: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
}

const UNKNOWN_TYPE = 0

/** All settings of this node, sorted by key: those it knows and whatever else it was given. Internal ones only if they are set. */
export function describeBroker(configuration: Configuration): ConfigDescription[] {
  const merged = mergeLayers(configuration.layers)
  const names = new Set([...Object.keys(brokerDefinitions), ...merged.keys()])
  return [...names].sort().map((name) => {
    const definition = brokerDefinitionOf(name)
    // An unset broker id is the node id, whatever its default says.
    const unset = name === 'broker.id' ? String(configuration.nodeId) : brokerDefault(configuration, name)
    const text = merged.get(name) ?? (definition === null ? null : unset)
    return brokerDescription(configuration, name, text, () => true)
  })
}

/** What is set at run time for all brokers, sorted by key. */
export function describeClusterDefaults(configuration: Configuration): ConfigDescription[] {
  const isClusterWide = (synonym: ConfigSynonym) => synonym.source === ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG
  return [...configuration.layers.dynamicDefault]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => brokerDescription(configuration, name, text, isClusterWide))
}

/** All settings of a topic with these overrides, sorted by key. */
export function describeTopic(configuration: Configuration, overrides: RawSettings): ConfigDescription[] {
  return describeResource(topicDefinitions, overrides, ConfigSource.TOPIC_CONFIG, (name) => {
    const first = topicSynonyms[name]?.[0]
    return {
      text: effectiveTopicText(name, NO_OVERRIDES, configuration.layers).text,
      synonyms: first === undefined ? [] : synonymsOf(configuration, first.key),
    }
  })
}

/** All settings of a group, sorted by key. Groups need not exist. */
export function describeGroup(configuration: Configuration, overrides: RawSettings): ConfigDescription[] {
  return describeResource(groupResourceDefinitions, overrides, ConfigSource.GROUP_CONFIG, (name, definition) => {
    const brokerKey = groupSynonyms[name]
    if (brokerKey === undefined) {
      const value = definition.defaultText
      return { text: value, synonyms: [{ name, value, source: ConfigSource.DEFAULT_CONFIG }] }
    }
    const text = mergeLayers(configuration.layers).get(brokerKey) ?? brokerDefault(configuration, brokerKey)
    return { text, synonyms: synonymsOf(configuration, brokerKey) }
  })
}

/** All settings of a client metrics subscription, sorted by key. Subscriptions need not exist. */
export function describeClientMetrics(overrides: RawSettings): ConfigDescription[] {
  return describeResource(clientMetricsDefinitions, overrides, ConfigSource.CLIENT_METRICS_CONFIG, (_, definition) => ({
    text: definition.defaultText,
    synonyms: [],
  }))
}

const NO_OVERRIDES: RawSettings = new Map()

function describeResource(
  definitions: Readonly<Record<string, Definition>>,
  overrides: RawSettings,
  ownSource: number,
  inherited: (name: string, definition: Definition) => { text: string | null; synonyms: readonly ConfigSynonym[] },
): ConfigDescription[] {
  const descriptions: ConfigDescription[] = []
  for (const name of Object.keys(definitions).sort()) {
    const definition = definitions[name]!
    const own = overrides.get(name)
    if (definition.internal && own === undefined) continue
    const { text, synonyms } = inherited(name, definition)
    const value = shown(definition, name, own ?? text)
    const all = own === undefined ? synonyms : [{ name, value, source: ownSource }, ...synonyms]
    descriptions.push({
      name,
      value,
      readOnly: false,
      configSource: all[0]?.source ?? ConfigSource.DEFAULT_CONFIG,
      isSensitive: isSensitive(definition),
      synonyms: all,
      configType: TYPE_NUMBERS[definition.type],
      documentation: definition.documentation,
    })
  }
  return descriptions
}

function brokerDescription(
  configuration: Configuration,
  name: string,
  text: string | null,
  include: (synonym: ConfigSynonym) => boolean,
): ConfigDescription {
  const definition = brokerDefinitionOf(name)
  const synonyms = synonymsOf(configuration, name).filter(include)
  return {
    name,
    value: definition === null ? null : shown(definition, name, text),
    readOnly: definition === null || definition.dynamic === 'none',
    configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT_CONFIG,
    isSensitive: isSensitive(definition),
    synonyms,
    configType: definition === null ? UNKNOWN_TYPE : TYPE_NUMBERS[definition.type],
    documentation: definition?.documentation ?? null,
  }
}

/**
 * Every value that the setting has somewhere, strongest first. Kafka leaves out all synonyms before the first that bears the
 * name itself, so that a setting in hours does not show as a value in milliseconds; we do as it does.
 */
function synonymsOf(configuration: Configuration, name: string): ConfigSynonym[] {
  const keys = brokerSynonyms(name)
  const sensitive = isSensitive(brokerDefinitionOf(name))
  const synonyms: ConfigSynonym[] = []
  for (const { settings, source } of layersByStrength(configuration.layers)) {
    for (const key of keys) {
      const text = settings.get(key)
      if (text !== undefined) synonyms.push({ name: key, value: sensitive ? null : text, source })
    }
  }
  for (const key of keys) {
    const value = brokerDefault(configuration, key)
    if (value !== null)
      synonyms.push({ name: key, value: sensitive ? null : value, source: ConfigSource.DEFAULT_CONFIG })
  }
  const first = synonyms.findIndex((synonym) => synonym.name === name)
  return first === -1 ? [] : synonyms.slice(first)
}

/** Text of the built-in default; keys scoped to a listener have none. */
function brokerDefault(configuration: Configuration, name: string): string | null {
  const definition = (brokerDefinitions as Readonly<Record<string, Definition>>)[name]
  return definition === undefined ? null : defaultTextOf(definition, configuration.broker.nodeCount)
}

function shown(definition: Definition, name: string, text: string | null): string | null {
  if (text === null || isSensitive(definition)) return null
  return formatValue(definition, parseValue(name, definition, text))
}

/** Secrets, and what nobody knows the type of. */
function isSensitive(definition: Definition | null): boolean {
  return definition === null || definition.type === 'password'
}
