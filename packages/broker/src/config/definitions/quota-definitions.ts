import { atLeast, int, list, long, string } from '../definition.ts'

/** Windows over which quotas and metrics are measured. Facts: `configs.md`, "Broker and controller". */
export const quotaDefinitions = {
  'quota.window.num': int(11, 'none', 'Samples kept for client quotas.', atLeast(1)),
  'quota.window.size.seconds': int(1, 'none', 'Span of one sample for client quotas.', atLeast(1)),
  'replication.quota.window.num': int(11, 'none', 'Samples kept for replication quotas.', atLeast(1)),
  'replication.quota.window.size.seconds': int(1, 'none', 'Span of one sample for replication quotas.', atLeast(1)),
  'alter.log.dirs.replication.quota.window.num': int(
    11,
    'none',
    'Samples kept for the quota of moves between data directories.',
    atLeast(1),
  ),
  'alter.log.dirs.replication.quota.window.size.seconds': int(
    1,
    'none',
    'Span of one sample for the quota of moves between data directories.',
    atLeast(1),
  ),
  'controller.quota.window.num': int(11, 'none', 'Samples kept for the quota of topic changes.', atLeast(1)),
  'controller.quota.window.size.seconds': int(
    1,
    'none',
    'Span of one sample for the quota of topic changes.',
    atLeast(1),
  ),
  'metric.reporters': list(
    '',
    'cluster',
    'Accepted for compatibility, without effect: metrics are served over HTTP at /metrics.',
  ),
  'metrics.num.samples': int(
    2,
    'none',
    'Accepted for compatibility, without effect: metrics are counters that the reader rates.',
    atLeast(1),
  ),
  'metrics.sample.window.ms': long(
    30_000,
    'none',
    'Accepted for compatibility, without effect: metrics are counters that the reader rates.',
    atLeast(1),
  ),
  'metrics.recording.level': string(
    'INFO',
    'none',
    'Accepted for compatibility, without effect: all metrics are recorded.',
  ),
  'telemetry.max.bytes': int(1_048_576, 'none', 'Largest push of client metrics.', atLeast(1)),
} as const
