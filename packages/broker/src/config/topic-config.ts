import { camelCase, type Definition, type SettingsOf } from './definition.ts'
import { topicDefinitions } from './definitions/topic-definitions.ts'
import { type ConfigLayers, ConfigSource, layersByStrength, type RawSettings } from './layers.ts'
import { topicSynonyms } from './topic-synonyms.ts'
import { invalidValue, parseValue, settingOf } from './value.ts'

/**
 * The effective settings of one topic as typed properties: its own, else the broker's, else the defaults. All objects have the same
 * shape, so that the hot path may read them. It fits the log's settings as they are. Never changes; topics without settings of
 * their own share one.
 */
export interface TopicConfig extends SettingsOf<typeof topicDefinitions> {
  /** `cleanup.policy` contains `delete`. */
  readonly cleanupDelete: boolean
  /** `cleanup.policy` contains `compact`. */
  readonly cleanupCompact: boolean
}

/** An effective value as text, in the unit of the topic setting, and where it comes from ({@link ConfigSource}). */
export interface EffectiveText {
  readonly text: string | null
  readonly source: number
}

/** The effective value of one topic setting. Broker settings in other units are converted. */
export function effectiveTopicText(key: string, overrides: RawSettings, layers: ConfigLayers): EffectiveText {
  const own = overrides.get(key)
  if (own !== undefined) return { text: own, source: ConfigSource.TOPIC_CONFIG }
  const synonyms = topicSynonyms[key] ?? []
  for (const { settings, source } of layersByStrength(layers)) {
    for (const synonym of synonyms) {
      const text = settings.get(synonym.key)
      if (text !== undefined) return { text: converted(text, synonym.factor), source }
    }
  }
  return { text: topicDefinition(key).defaultText, source: ConfigSource.DEFAULT_CONFIG }
}

/**
 * The settings of a topic with these overrides. Throws `ConfigurationError` if a value is wrong; those that the controller took
 * are not.
 */
export function resolveTopicConfig(overrides: RawSettings, layers: ConfigLayers): TopicConfig {
  const settings: Record<string, unknown> = {}
  for (const [key, definition] of Object.entries<Definition>(topicDefinitions)) {
    const { text } = effectiveTopicText(key, overrides, layers)
    settings[camelCase(key)] = text === null ? null : settingOf(parseValue(key, definition, text))
  }
  const config = settings as unknown as SettingsOf<typeof topicDefinitions>
  return {
    ...config,
    segmentBytes: config.internalSegmentBytes ?? config.segmentBytes,
    retentionMs: Math.max(-1, config.retentionMs),
    cleanupDelete: config.cleanupPolicy.includes('delete'),
    cleanupCompact: config.cleanupPolicy.includes('compact'),
  }
}

/** Rules that bind several topic settings. Throws `ConfigurationError` for the first that is broken. */
export function checkTopicConfig(config: TopicConfig): void {
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    throw invalidValue(
      'min.compaction.lag.ms',
      config.minCompactionLagMs,
      `must not be more than max.compaction.lag.ms (${config.maxCompactionLagMs})`,
    )
  }
}

/** The definition of a topic setting; an unknown key is a programmer's error here. */
export function topicDefinition(key: string): Definition {
  return (topicDefinitions as Readonly<Record<string, Definition>>)[key]!
}

export function isTopicKey(key: string): boolean {
  return Object.hasOwn(topicDefinitions, key)
}

/** Only whole numbers are ever converted; a negative one means "no limit" in any unit. */
function converted(text: string, factor: number): string {
  if (factor === 1) return text
  const value = Number(text)
  return value < 0 ? '-1' : String(value * factor)
}
