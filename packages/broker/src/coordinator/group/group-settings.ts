import { ConfigResourceType, configsOf, type MetadataImage } from '@millrace/consensus'
import type { GroupCoordinatorConfig } from './group-config.ts'

/** What a single group goes by whose partitions the coordinator assigns. */
export interface ModernGroupSettings {
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** Least time between two runs of the assignor. */
  readonly assignmentIntervalMs: number
}

/**
 * Settings of single groups (KIP-1043's GROUP resources), over those of the broker. The controller has checked them when they were set;
 * what the broker's bounds do not allow any more is brought within them.
 */
export class GroupSettings {
  readonly #config: GroupCoordinatorConfig
  readonly #image: () => MetadataImage
  /** What groups without settings of their own go by. */
  readonly #defaults: ModernGroupSettings
  readonly #shareDefaults: ModernGroupSettings

  constructor(config: GroupCoordinatorConfig, image: () => MetadataImage) {
    this.#config = config
    this.#image = image
    this.#shareDefaults = shareDefaults(config)
    this.#defaults = {
      sessionTimeoutMs: config.groupConsumerSessionTimeoutMs,
      heartbeatIntervalMs: config.groupConsumerHeartbeatIntervalMs,
      assignmentIntervalMs: config.groupConsumerAssignmentIntervalMs,
    }
  }

  consumer(groupId: string): ModernGroupSettings {
    const image = this.#image()
    const own = configsOf(image, ConfigResourceType.GROUP, groupId)
    // The one of these that can be changed for all brokers as they run.
    const interval = configsOf(image, ConfigResourceType.BROKER, '').get('group.consumer.assignment.interval.ms')
    if (own.size === 0 && interval === undefined) return this.#defaults
    const config = this.#config
    return {
      sessionTimeoutMs: within(
        own.get('consumer.session.timeout.ms'),
        config.groupConsumerSessionTimeoutMs,
        config.groupConsumerMinSessionTimeoutMs,
        config.groupConsumerMaxSessionTimeoutMs,
      ),
      heartbeatIntervalMs: within(
        own.get('consumer.heartbeat.interval.ms'),
        config.groupConsumerHeartbeatIntervalMs,
        config.groupConsumerMinHeartbeatIntervalMs,
        config.groupConsumerMaxHeartbeatIntervalMs,
      ),
      assignmentIntervalMs: within(
        own.get('consumer.assignment.interval.ms') ?? interval,
        config.groupConsumerAssignmentIntervalMs,
        config.groupConsumerMinAssignmentIntervalMs,
        config.groupConsumerMaxAssignmentIntervalMs,
      ),
    }
  }

  share(groupId: string): ModernGroupSettings {
    const image = this.#image()
    const own = configsOf(image, ConfigResourceType.GROUP, groupId)
    // The one of these that can be changed for all brokers as they run.
    const interval = configsOf(image, ConfigResourceType.BROKER, '').get('group.share.assignment.interval.ms')
    if (own.size === 0 && interval === undefined) return this.#shareDefaults
    const config = this.#config
    return {
      sessionTimeoutMs: within(
        own.get('share.session.timeout.ms'),
        config.groupShareSessionTimeoutMs,
        config.groupShareMinSessionTimeoutMs,
        config.groupShareMaxSessionTimeoutMs,
      ),
      heartbeatIntervalMs: within(
        own.get('share.heartbeat.interval.ms'),
        config.groupShareHeartbeatIntervalMs,
        config.groupShareMinHeartbeatIntervalMs,
        config.groupShareMaxHeartbeatIntervalMs,
      ),
      assignmentIntervalMs: within(
        own.get('share.assignment.interval.ms') ?? interval,
        config.groupShareAssignmentIntervalMs,
        config.groupShareMinAssignmentIntervalMs,
        config.groupShareMaxAssignmentIntervalMs,
      ),
    }
  }
}

function shareDefaults(config: GroupCoordinatorConfig): ModernGroupSettings {
  return {
    sessionTimeoutMs: config.groupShareSessionTimeoutMs,
    heartbeatIntervalMs: config.groupShareHeartbeatIntervalMs,
    assignmentIntervalMs: config.groupShareAssignmentIntervalMs,
  }
}

function within(text: string | undefined, inherited: number, min: number, max: number): number {
  const value = text === undefined ? Number.NaN : Number(text)
  return Number.isInteger(value) ? Math.min(Math.max(value, min), max) : inherited
}
