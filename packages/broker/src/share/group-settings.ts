import { ConfigResourceType, configsOf, type MetadataImage } from '@millrace/consensus'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { OffsetReset, ShareGroupSettings } from './share-settings.ts'

const DURATION = /^by_duration:P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/
const REDELIVERY_MAX_DELAY_MS = 300_000
const BREAKER_MS = 60_000

/** Settings of share groups: each one's own over those of the broker. The controller has checked what it has stored. */
export class ShareGroupConfigs {
  readonly #metadata: () => MetadataImage
  readonly #broker: () => BrokerConfig
  /** By the settings that a group has of its own: an image never changes. */
  #resolved = new WeakMap<ReadonlyMap<string, string>, ShareGroupSettings>()
  #resolvedFor: BrokerConfig | null = null

  constructor(metadata: () => MetadataImage, broker: () => BrokerConfig) {
    this.#metadata = metadata
    this.#broker = broker
  }

  /** Asked for with every record range: equal images give the same object. */
  of(groupId: string): ShareGroupSettings {
    const broker = this.#broker()
    if (broker !== this.#resolvedFor) {
      this.#resolved = new WeakMap()
      this.#resolvedFor = broker
    }
    const own = configsOf(this.#metadata(), ConfigResourceType.GROUP, groupId)
    let settings = this.#resolved.get(own)
    if (settings === undefined) {
      settings = resolve(own, broker)
      this.#resolved.set(own, settings)
    }
    return settings
  }
}

function resolve(own: ReadonlyMap<string, string>, broker: BrokerConfig): ShareGroupSettings {
  const number = (key: string, inherited: number, min = 0, max = Number.MAX_SAFE_INTEGER): number => {
    const value = Number(own.get(key) ?? inherited)
    // The broker's bounds may have become narrower since it was set.
    return Math.min(Math.max(value, min), max)
  }
  return {
    deliveryCountLimit: number(
      'share.delivery.count.limit',
      broker.groupShareDeliveryCountLimit,
      broker.groupShareMinDeliveryCountLimit,
      broker.groupShareMaxDeliveryCountLimit,
    ),
    recordLockDurationMs: number(
      'share.record.lock.duration.ms',
      broker.groupShareRecordLockDurationMs,
      broker.groupShareMinRecordLockDurationMs,
      broker.groupShareMaxRecordLockDurationMs,
    ),
    maxRecordLocks: number(
      'share.partition.max.record.locks',
      broker.groupSharePartitionMaxRecordLocks,
      broker.groupShareMinPartitionMaxRecordLocks,
      broker.groupShareMaxPartitionMaxRecordLocks,
    ),
    redeliveryDelayMs: number('share.redelivery.delay.ms', 0),
    redeliveryMaxDelayMs: number('share.redelivery.max.delay.ms', REDELIVERY_MAX_DELAY_MS),
    keepsDeadLetters: (own.get('errors.deadletterqueue.topic.name') ?? '') !== '',
    offsetReset: parseOffsetReset(own.get('share.auto.offset.reset') ?? 'latest'),
    isReadCommitted: own.get('share.isolation.level')?.toLowerCase() === 'read_committed',
    allowsRenewal: own.get('share.renew.acknowledge.enable')?.toLowerCase() !== 'false',
    deadLetterTopic: own.get('errors.deadletterqueue.topic.name') ?? '',
    copiesRecords: own.get('errors.deadletterqueue.copy.record.enable')?.toLowerCase() === 'true',
    breaker: {
      failureCount: number('share.breaker.failures', 0),
      windowMs: number('share.breaker.window.ms', BREAKER_MS),
      pauseMs: number('share.breaker.pause.ms', BREAKER_MS),
    },
  }
}

/** As the check of the setting has let it pass (`config/checks.ts`). */
export function parseOffsetReset(text: string): OffsetReset {
  if (text === 'earliest') return { kind: 'earliest' }
  const parts = DURATION.exec(text)
  if (parts === null) return { kind: 'latest' }
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0))
  const durationMs = ((days! * 24 + hours!) * 60 + minutes!) * 60_000 + seconds! * 1000
  return { kind: 'duration', durationMs: Math.round(durationMs) }
}
