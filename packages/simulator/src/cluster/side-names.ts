/** Parts of what brokers promise that have clients and judges of their own (`side-workload.ts`). */
export const SIDE_NAMES = ['transactions', 'consumer groups', 'share groups', 'compaction'] as const
export type SideName = (typeof SIDE_NAMES)[number]

/** Each draws with this chance whether it takes part in a seed. */
export const SIDE_CHANCE = 0.25
