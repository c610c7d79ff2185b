import { MIXED_STEPS, type StepWeights, type WorkloadOptions } from '@millrace/storage/testing'

/** What a recorded trace is mostly about. */
interface Flavour {
  name: string
  steps: StepWeights
  partitionCount?: number
  segmentBytes?: number
}

/** Syncs that end soon, and a system that writes back, keep few pages and names unsynced: all their outcomes can be tried. */
const APPENDS: StepWeights = { append: 30, flush: 25, settle: 40, wait: 6, 'write back': 25 }

export const FLAVOURS: readonly Flavour[] = [
  { name: 'appends and rolls', steps: { ...APPENDS, 'append large': 10, 'next epoch': 3 }, segmentBytes: 900 },
  { name: 'checkpoints', steps: { ...APPENDS, checkpoint: 10, 'wait a minute': 4, 'next epoch': 3 } },
  { name: 'truncations', steps: { ...APPENDS, truncate: 12, 'next epoch': 3, checkpoint: 3 } },
  {
    name: 'retention',
    steps: { ...APPENDS, 'append large': 8, 'delete records': 10, checkpoint: 3, 'wait a minute': 2 },
  },
  {
    name: 'transactions',
    steps: { ...APPENDS, append: 8, transaction: 20, 'end transaction': 14, checkpoint: 3, truncate: 2 },
  },
  { name: 'stops and kills', steps: { ...APPENDS, stop: 5, kill: 4, 'lose power': 4, 'append large': 3 } },
  { name: 'new starts', steps: { ...APPENDS, 'start again': 6, 'delete log': 4, truncate: 4, 'delete records': 4 } },
  { name: 'idle logs', steps: { ...APPENDS, 'close idle': 12, checkpoint: 2, truncate: 2 } },
  { name: 'everything', steps: { ...MIXED_STEPS, settle: 40, 'write back': 25 } },
  { name: 'everything on two partitions', steps: { ...MIXED_STEPS, settle: 45, 'write back': 30 }, partitionCount: 2 },
]

/** The workload of a trace short enough to try all outcomes of each of its crashes. */
export function traceOptions(seed: number, operationCount: number): WorkloadOptions {
  const { steps, partitionCount = 1, segmentBytes = 1500 } = FLAVOURS[seed % FLAVOURS.length]!
  return {
    seed,
    stepCount: 10_000,
    operationCount,
    crashShare: 1,
    // Half of the traces do without mappings, each flavour both ways.
    mapping: Math.floor(seed / FLAVOURS.length) % 2 === 0,
    partitionCount,
    steps,
    config: { segmentBytes, indexIntervalBytes: 150 },
    disk: { finePageBytes: 1024 },
    valueBytesMax: 150,
    unsyncedMax: 3,
  }
}

export function flavourOf(seed: number): string {
  return FLAVOURS[seed % FLAVOURS.length]!.name
}
