import { brokerSynonyms } from './broker-definitions.ts'

/** Texts by key, as they were given. */
export type RawSettings = ReadonlyMap<string, string>

/**
 * Where broker settings come from, weakest last when looked up: set for this broker at run time, set for all brokers at run time,
 * given at start (file, environment, flags). Built-in defaults come after them.
 */
export interface ConfigLayers {
  readonly dynamicBroker: RawSettings
  readonly dynamicDefault: RawSettings
  readonly static: RawSettings
}

/** Kafka's numbers for where a value comes from, in answers to DescribeConfigs and CreateTopics. */
export const ConfigSource = {
  UNKNOWN: 0,
  TOPIC_CONFIG: 1,
  DYNAMIC_BROKER_CONFIG: 2,
  DYNAMIC_DEFAULT_BROKER_CONFIG: 3,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
  DYNAMIC_BROKER_LOGGER_CONFIG: 6,
  CLIENT_METRICS_CONFIG: 7,
  GROUP_CONFIG: 8,
} as const

export const NO_SETTINGS: RawSettings = new Map()

/** The layers with their sources, strongest first. */
export function layersByStrength(layers: ConfigLayers): readonly { settings: RawSettings; source: number }[] {
  return [
    { settings: layers.dynamicBroker, source: ConfigSource.DYNAMIC_BROKER_CONFIG },
    { settings: layers.dynamicDefault, source: ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG },
    { settings: layers.static, source: ConfigSource.STATIC_BROKER_CONFIG },
  ]
}

/**
 * One map of all layers. A key set in a stronger layer also hides its synonyms of weaker ones: `log.retention.hours` set at run
 * time wins over `log.retention.ms` from the file. Keys that are scoped to a listener hide only themselves.
 */
export function mergeLayers(layers: ConfigLayers): Map<string, string> {
  const merged = new Map(layers.static)
  for (const layer of [layers.dynamicDefault, layers.dynamicBroker]) {
    for (const key of layer.keys()) {
      if (!key.startsWith('listener.name.')) for (const synonym of brokerSynonyms(key)) merged.delete(synonym)
    }
    for (const [key, value] of layer) merged.set(key, value)
  }
  return merged
}
