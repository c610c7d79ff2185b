import { atLeast, bool, int, LONG_MAX, long, string } from '../definition.ts'

/** Replicas, leaders and how they keep up. Facts: `configs.md`, "Broker and controller". */
export const replicationDefinitions = {
  'default.replication.factor': int(1, 'none', 'Replicas of a topic that is created without a count.'),
  'min.insync.replicas': int(
    1,
    'cluster',
    'In-sync replicas, leader included, that must have a record before it is acknowledged to a producer with acks=all.',
    atLeast(1),
  ),
  'unclean.leader.election.enable': bool(
    false,
    'cluster',
    'Whether a replica that may lack acknowledged records can become leader when no other is left.',
  ),
  'auto.leader.rebalance.enable': bool(
    true,
    'none',
    'Whether leadership goes back to the first replica of a partition once it can lead again.',
  ),
  'leader.imbalance.check.interval.seconds': long(
    300,
    'none',
    'Period of the look for leaderships to give back.',
    atLeast(1),
  ),
  'replica.lag.time.max.ms': long(30_000, 'none', 'How long a follower may lag before it leaves the in-sync replicas.'),
  'replica.high.watermark.checkpoint.interval.ms': long(5000, 'none', 'Period in which high watermarks are written.'),
  'replica.selector.class': string(
    null,
    'none',
    'Rule by which consumers are sent to a replica; a class name that ends in RackAwareReplicaSelector means the nearest one.',
  ),
  'num.replica.fetchers': int(1, 'cluster', "Connections that a follower uses for each leader's node.", atLeast(1)),
  'replica.fetch.min.bytes': int(1, 'none', 'Bytes that a leader gathers before it answers a follower.'),
  'replica.fetch.wait.max.ms': int(500, 'none', 'How long a leader waits for those bytes.'),
  // Kafka has 1 MiB. A batch may be as large, and a follower then stores and syncs one after the other (docs/adr/0008).
  'replica.fetch.max.bytes': int(4_194_304, 'none', 'Bytes that a follower asks for per partition.', atLeast(0)),
  'replica.fetch.response.max.bytes': int(
    10_485_760,
    'none',
    'Bytes that a follower asks for per request.',
    atLeast(0),
  ),
  'replica.fetch.backoff.ms': int(1000, 'none', 'Pause of a follower after an error.', atLeast(0)),
  'replica.socket.timeout.ms': int(30_000, 'none', 'How long a follower waits on a connection to a leader.'),
  'replica.socket.receive.buffer.bytes': int(65_536, 'none', "Receive buffer of a follower's sockets."),
  'num.replica.alter.log.dirs.threads': int(
    null,
    'none',
    'How many replicas move between data directories at the same time; unset, one per directory.',
  ),
  'replica.alter.log.dirs.io.max.bytes.per.second': long(
    LONG_MAX,
    'cluster',
    'Most bytes per second for moves between data directories.',
    atLeast(0),
  ),
  'leader.replication.throttled.rate': long(
    LONG_MAX,
    'cluster',
    'Most bytes per second that leaders send to throttled replicas.',
    atLeast(0),
  ),
  'follower.replication.throttled.rate': long(
    LONG_MAX,
    'cluster',
    'Most bytes per second that followers take for throttled replicas.',
    atLeast(0),
  ),
} as const
