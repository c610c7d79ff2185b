import { atLeast, bool, int, offsetReset, oneOf, string } from '../definition.ts'

/** Settings of a single group (config resource GROUP). Facts: `configs.md`, "Group". */
export const groupResourceDefinitions = {
  'consumer.session.timeout.ms': int(
    45_000,
    'none',
    'Time without a heartbeat after which a member of the consumer group is removed.',
    atLeast(1),
  ),
  'consumer.heartbeat.interval.ms': int(
    5000,
    'none',
    'Period of heartbeats that members of the consumer group are told to keep.',
    atLeast(1),
  ),
  'consumer.assignment.interval.ms': int(
    1000,
    'none',
    'Least time between two assignments of the consumer group.',
    atLeast(0),
  ),
  'share.session.timeout.ms': int(
    45_000,
    'none',
    'Time without a heartbeat after which a member of the share group is removed.',
    atLeast(1),
  ),
  'share.heartbeat.interval.ms': int(
    5000,
    'none',
    'Period of heartbeats that members of the share group are told to keep.',
    atLeast(1),
  ),
  'share.assignment.interval.ms': int(
    1000,
    'none',
    'Least time between two assignments of the share group.',
    atLeast(0),
  ),
  'share.auto.offset.reset': string(
    'latest',
    'none',
    'Where a share group starts in a partition that it has no state for.',
    offsetReset,
  ),
  'share.isolation.level': string(
    'read_uncommitted',
    'none',
    'Whether members of the share group see records of transactions that are not committed.',
    oneOf('read_committed', 'read_uncommitted'),
  ),
  'share.record.lock.duration.ms': int(
    30_000,
    'none',
    'How long a member of the share group holds a delivered record.',
    atLeast(1000),
  ),
  'share.delivery.count.limit': int(
    5,
    'none',
    'Deliveries after which a record of the share group is given up.',
    atLeast(2),
  ),
  'share.partition.max.record.locks': int(
    2000,
    'none',
    'Most records in flight per partition of the share group.',
    atLeast(100),
  ),
  'share.renew.acknowledge.enable': bool(
    true,
    'none',
    'Whether members of the share group may prolong their hold on a record.',
  ),
  'share.redelivery.delay.ms': int(
    0,
    'none',
    'How long a record that was released, or held too long, waits before it is delivered again; doubled with each delivery.',
    atLeast(0),
  ),
  'share.redelivery.max.delay.ms': int(
    300_000,
    'none',
    'Longest that a record waits before it is delivered again.',
    atLeast(0),
  ),
  'share.breaker.failures': int(
    0,
    'none',
    'Records of a partition that may be given up within share.breaker.window.ms before its deliveries pause; 0: they never do.',
    atLeast(0),
  ),
  'share.breaker.window.ms': int(
    60_000,
    'none',
    'Time within which records that are given up are counted for share.breaker.failures.',
    atLeast(1),
  ),
  'share.breaker.pause.ms': int(
    60_000,
    'none',
    'How long the deliveries of a partition pause after share.breaker.failures.',
    atLeast(1),
  ),
  'errors.deadletterqueue.topic.name': string(
    '',
    'none',
    'Topic that gets a record for each one that the share group gives up, which is archived afterwards; empty: none.',
  ),
  'errors.deadletterqueue.copy.record.enable': bool(
    false,
    'none',
    'Whether the dead letters of the share group have key, value and headers of the records that they are about.',
  ),
  'streams.session.timeout.ms': int(
    45_000,
    'none',
    'Time without a heartbeat after which a member of the streams group is removed.',
    atLeast(1),
  ),
  'streams.heartbeat.interval.ms': int(
    5000,
    'none',
    'Period of heartbeats that members of the streams group are told to keep.',
    atLeast(1),
  ),
  'streams.assignment.interval.ms': int(
    1000,
    'none',
    'Least time between two assignments of the streams group.',
    atLeast(0),
  ),
  'streams.num.standby.replicas': int(0, 'none', 'Standby copies of each stateful task.', atLeast(0)),
  'streams.initial.rebalance.delay.ms': int(
    3000,
    'none',
    'How long the empty streams group waits for more members before its first assignment.',
    atLeast(0),
  ),
} as const
