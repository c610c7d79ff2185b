import type { BrokerSettings } from './broker-definitions.ts'
import { camelCase } from './definition.ts'

/** A setting of groups for which the broker has a default and bounds. */
export interface GroupBounds {
  /** As a single group has it; the broker's key is this behind `group.`. */
  readonly key: string
  readonly default: number
  readonly min: number
  readonly max: number
}

/** Settings of single groups that the broker bounds with `group.<kind>.min.<rest>` and `group.<kind>.max.<rest>`. */
const BOUNDED_KEYS = [
  'consumer.session.timeout.ms',
  'consumer.heartbeat.interval.ms',
  'consumer.assignment.interval.ms',
  'share.session.timeout.ms',
  'share.heartbeat.interval.ms',
  'share.assignment.interval.ms',
  'share.record.lock.duration.ms',
  'share.delivery.count.limit',
  'share.partition.max.record.locks',
  'streams.session.timeout.ms',
  'streams.heartbeat.interval.ms',
  'streams.assignment.interval.ms',
]

export const GROUP_KINDS = ['consumer', 'share', 'streams'] as const

/** All bounded settings with their present bounds. */
export function groupBounds(broker: BrokerSettings): GroupBounds[] {
  const bounds = BOUNDED_KEYS.map((key) => {
    const dot = key.indexOf('.')
    const [kind, rest] = [key.slice(0, dot), key.slice(dot + 1)]
    return {
      key,
      default: numberOf(broker, `group.${key}`),
      min: numberOf(broker, `group.${kind}.min.${rest}`),
      max: numberOf(broker, `group.${kind}.max.${rest}`),
    }
  })
  bounds.push({
    key: 'streams.num.standby.replicas',
    default: broker.groupStreamsNumStandbyReplicas,
    min: 0,
    max: broker.groupStreamsMaxStandbyReplicas,
  })
  return bounds
}

function numberOf(broker: BrokerSettings, key: string): number {
  return (broker as unknown as Readonly<Record<string, number>>)[camelCase(key)]!
}
