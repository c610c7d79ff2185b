import { int, list } from '../definition.ts'

/** Settings of a client metrics subscription (KIP-714). */
export const clientMetricsDefinitions = {
  metrics: list('', 'none', 'Prefixes of the names of metrics that clients push; `*` for all, empty for none.'),
  'interval.ms': int(300_000, 'none', 'Period in which clients push metrics, between 100 ms and one hour.'),
  match: list('', 'none', 'Which clients the subscription is for, as name=pattern pairs; empty for all.'),
} as const
