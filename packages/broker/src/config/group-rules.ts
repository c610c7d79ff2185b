import type { BrokerConfig } from './broker-config.ts'
import { groupResourceDefinitions } from './definitions/group-resource-definitions.ts'
import { GROUP_KINDS, groupBounds } from './group-bounds.ts'
import type { RawSettings } from './layers.ts'
import { parseValue } from './value.ts'

/**
 * What is wrong with the settings of a single group, or null. Values must lie within the broker's bounds, also those that the group
 * inherits, and sessions must be longer than heartbeats. Throws `ConfigurationError` for a value that cannot be parsed.
 */
export function groupConfigComplaint(configs: RawSettings, broker: BrokerConfig): string | null {
  const effective = new Map<string, number>()
  for (const { key, default: inherited } of groupBounds(broker)) effective.set(key, inherited)
  for (const [key, text] of configs) {
    const value = parseValue(key, groupResourceDefinitions[key as keyof typeof groupResourceDefinitions], text)
    if (typeof value === 'number') effective.set(key, value)
  }
  for (const { key, min, max } of groupBounds(broker)) {
    const value = effective.get(key)!
    if (value < min) return `${key} must be at least ${min}, not ${value}`
    if (value > max) return `${key} must be at most ${max}, not ${value}`
  }
  for (const kind of GROUP_KINDS) {
    const session = effective.get(`${kind}.session.timeout.ms`)!
    const heartbeat = effective.get(`${kind}.heartbeat.interval.ms`)!
    if (session <= heartbeat) {
      return `${kind}.session.timeout.ms (${session}) must be more than ${kind}.heartbeat.interval.ms (${heartbeat})`
    }
  }
  return null
}
