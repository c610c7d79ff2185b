import { ConfigurationError } from '@millrace/base'
import { ConfigResourceType, configsOf, type MetadataImage } from '@millrace/consensus'
import type { BrokerConfig } from './broker-config.ts'
import { baseKeyOf, brokerDefinitionOf, isListenerKey } from './broker-definitions.ts'
import { type ConfigLayers, mergeLayers, NO_SETTINGS, type RawSettings } from './layers.ts'
import { type OriginOf, parseBrokerConfig, withNodeId } from './parse-broker-config.ts'
import { resolveTopicConfig, type TopicConfig } from './topic-config.ts'
import { parseValue } from './value.ts'

/** What the configuration tells about itself: values that it had to leave out. */
export interface ConfigurationLog {
  warn(message: string, fields: Readonly<Record<string, unknown>>): void
}

/**
 * The configuration of this node as it stands now: what it was started with, and over it what the metadata sets at run time.
 * Whoever keeps a copy of a dynamic setting subscribes to learn of changes.
 */
export class Configuration {
  /** Id that names this broker's own dynamic settings. */
  readonly nodeId: number
  /** Warnings of the start settings, one sentence each. */
  readonly warnings: readonly string[]
  readonly #log: ConfigurationLog
  /** As the image has them, to notice a change by identity. */
  #storedDefault: RawSettings = NO_SETTINGS
  #storedBroker: RawSettings = NO_SETTINGS
  #layers: ConfigLayers
  #broker: BrokerConfig
  #topicDefaults: TopicConfig
  #byOverrides = new WeakMap<RawSettings, TopicConfig>()
  readonly #listeners = new Set<(broker: BrokerConfig) => void>()

  /** Throws `ConfigurationError` if the start settings are wrong. `originOf` names the places of start settings in warnings. */
  constructor(startSettings: RawSettings, log: ConfigurationLog, originOf?: OriginOf) {
    const start = withNodeId(startSettings)
    const { config, warnings } = parseBrokerConfig(start, originOf)
    this.nodeId = config.nodeId
    this.warnings = warnings
    this.#log = log
    this.#layers = { dynamicBroker: NO_SETTINGS, dynamicDefault: NO_SETTINGS, static: start }
    this.#broker = config
    this.#topicDefaults = resolveTopicConfig(NO_SETTINGS, this.#layers)
  }

  /** Broker settings now. The object changes with each change at run time. */
  get broker(): BrokerConfig {
    return this.#broker
  }

  /** Settings of a topic without any of its own. */
  get topicDefaults(): TopicConfig {
    return this.#topicDefaults
  }

  /** The layers that are in effect, for descriptions and validation. */
  get layers(): ConfigLayers {
    return this.#layers
  }

  /** Effective settings of a topic by that image. Equal images give the same object. */
  topic(image: MetadataImage, topic: string): TopicConfig {
    const overrides = configsOf(image, ConfigResourceType.TOPIC, topic)
    if (overrides.size === 0) return this.#topicDefaults
    let config = this.#byOverrides.get(overrides)
    if (config === undefined) {
      config = resolveTopicConfig(this.#usable(overrides, topic), this.#layers)
      this.#byOverrides.set(overrides, config)
    }
    return config
  }

  /**
   * Takes the dynamic broker settings from an image and tells listeners if they changed. A stored value that this node cannot use
   * (from another version, or refused beside the start settings) is left out with a warning: the log of metadata is not to blame
   * a node to death.
   */
  update(image: MetadataImage): void {
    const dynamicDefault = configsOf(image, ConfigResourceType.BROKER, '')
    const dynamicBroker = configsOf(image, ConfigResourceType.BROKER, String(this.nodeId))
    if (dynamicDefault === this.#storedDefault && dynamicBroker === this.#storedBroker) return
    this.#storedDefault = dynamicDefault
    this.#storedBroker = dynamicBroker
    const layers: ConfigLayers = {
      static: this.#layers.static,
      dynamicDefault: this.#usableDynamic(dynamicDefault, false),
      dynamicBroker: this.#usableDynamic(dynamicBroker, true),
    }
    try {
      this.#adopt(layers)
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      this.#log.warn('dynamic configuration does not fit and is not used', { error: error.message })
    }
  }

  /**
   * Why these settings could not take the place of the dynamic ones, for this broker or for all; null if they could. Looks at each
   * by itself and at all beside the start settings.
   */
  dynamicChangeComplaint(settings: RawSettings, perBroker: boolean): string | null {
    for (const [key, text] of settings) {
      const complaint = dynamicComplaint(key, text, perBroker)
      if (complaint !== null) return complaint
    }
    const { dynamicBroker, dynamicDefault } = this.#layers
    const layers: ConfigLayers = {
      static: this.#layers.static,
      dynamicDefault: perBroker ? dynamicDefault : settings,
      dynamicBroker: perBroker ? settings : dynamicBroker,
    }
    try {
      parseBrokerConfig(mergeLayers(layers))
      resolveTopicConfig(NO_SETTINGS, layers)
      return null
    } catch (error) {
      if (error instanceof ConfigurationError) return error.message
      throw error
    }
  }

  /** Called after each change at run time, with the new settings. Returns the way to stop it. */
  subscribe(listener: (broker: BrokerConfig) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #adopt(layers: ConfigLayers): void {
    const { config } = parseBrokerConfig(mergeLayers(layers))
    this.#topicDefaults = resolveTopicConfig(NO_SETTINGS, layers)
    this.#broker = config
    this.#layers = layers
    this.#byOverrides = new WeakMap()
    for (const listener of this.#listeners) listener(config)
  }

  #usableDynamic(stored: RawSettings, perBroker: boolean): RawSettings {
    const usable = new Map<string, string>()
    for (const [key, text] of stored) {
      const complaint = dynamicComplaint(key, text, perBroker)
      if (complaint === null) usable.set(key, text)
      else this.#log.warn('dynamic configuration is not used', { key, error: complaint })
    }
    return usable
  }

  #usable(overrides: RawSettings, topic: string): RawSettings {
    try {
      resolveTopicConfig(overrides, this.#layers)
      return overrides
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      this.#log.warn('topic configuration is not used', { topic, key: error.key, error: error.message })
      return this.#usable(new Map([...overrides].filter(([key]) => key !== error.key)), topic)
    }
  }
}

/**
 * Why a broker setting cannot be set at run time, or null if it can. Encryption and authentication settings are dynamic only when
 * scoped to a listener; settings that each broker has for itself cannot be set for all.
 */
export function dynamicComplaint(key: string, text: string, perBroker: boolean): string | null {
  const definition = brokerDefinitionOf(key)
  if (definition === null) return null
  if (definition.dynamic === 'none') return `Cannot update ${key} at run time`
  const base = baseKeyOf(key)
  if (base.startsWith('ssl.') && !isListenerKey(key)) {
    return `Cannot update ${key} at run time except for a single listener, as listener.name.<listener>.${key}`
  }
  if (!perBroker && definition.dynamic === 'broker') {
    return `Cannot update ${key} for all brokers: a broker id must be given`
  }
  try {
    parseValue(key, definition, text)
    return null
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message
    throw error
  }
}
