import { MIXED_STEPS, type StepWeights, type WorkloadOptions } from '@millrace/storage/testing'

/** What a workload is mostly about. */
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
    checksRunning: true,
  }
}

export function flavourOf(seed: number): string {
  return FLAVOURS[seed % FLAVOURS.length]!.name
}

/** What a long workload is mostly about, of whose crashes some are drawn. */
interface LongFlavour {
  steps: StepWeights
  partitionCount?: number
  indexIntervalBytes?: number
  stepCount?: number
  waitMsMax?: number
  /** Recovery must begin at the last checkpoint: where nothing is cut, it always can. */
  checksExtent?: boolean
}

/** Nothing is written back but by syncs, so that one which is missing shows. */
const PLAIN: StepWeights = { append: 30, flush: 22, settle: 22, wait: 5 }
const TRANSACTIONS: StepWeights = { transaction: 8, 'end transaction': 6 }

const LONG_FLAVOURS = {
  rolls: { steps: { ...PLAIN, 'append large': 12, 'next epoch': 3, checkpoint: 2 }, checksExtent: true },
  // What is checkpointed waits for its sync: nobody else asks for one.
  checkpoints: {
    steps: { append: 20, flush: 6, settle: 40, wait: 14, checkpoint: 12, 'next epoch': 3, 'wait a minute': 2 },
    indexIntervalBytes: 60,
    checksExtent: true,
  },
  // Segments are closed, checkpointed and marked before their files are synced; short waits, so that files are extended ahead.
  tails: {
    steps: { append: 25, flush: 12, settle: 40, wait: 20, 'append large': 10 },
    waitMsMax: 60,
    checksExtent: true,
  },
  transactions: {
    steps: { ...PLAIN, append: 8, wait: 8, transaction: 20, 'end transaction': 15, checkpoint: 8, 'append large': 3 },
    checksExtent: true,
  },
  truncations: { steps: { ...PLAIN, ...TRANSACTIONS, truncate: 10, checkpoint: 9, 'next epoch': 2 } },
  'cut transactions': {
    steps: { ...PLAIN, append: 6, transaction: 20, 'end transaction': 15, truncate: 9, checkpoint: 4 },
  },
  'log starts': {
    steps: { ...PLAIN, settle: 30, 'delete records': 10, 'wait a minute': 6, truncate: 10, 'append large': 2 },
  },
  retention: { steps: { ...PLAIN, settle: 30, 'append large': 12, 'delete records': 10, checkpoint: 4 } },
  'retention of the unsynced': {
    steps: { append: 25, flush: 20, settle: 15, wait: 1, 'append large': 12, 'delete records': 12 },
  },
  'new starts': { steps: { ...PLAIN, wait: 8, 'start again': 8, 'delete log': 2, truncate: 3, 'append large': 3 } },
  stops: {
    steps: { ...PLAIN, ...TRANSACTIONS, stop: 8, 'delete records': 5, truncate: 3, 'append large': 3, 'close idle': 2 },
  },
  kills: { steps: { ...PLAIN, settle: 15, kill: 8, 'lose power': 2, 'append large': 8, checkpoint: 2 } },
  // Of what a killed process left in memory only, retention takes the first segments, and deleted records the rest.
  'retention after kills': {
    steps: { append: 20, 'append large': 20, flush: 20, settle: 8, wait: 1, kill: 10, 'delete records': 12 },
  },
  // Also of those whose names were durable before they had any data.
  'young logs': {
    steps: { append: 20, 'append large': 15, flush: 20, settle: 10, 'delete log': 4, 'write back': 5 },
    stepCount: 30,
    partitionCount: 3,
  },
} satisfies Record<string, LongFlavour>

export type LongFlavourName = keyof typeof LONG_FLAVOURS

export const LONG_FLAVOUR_NAMES = Object.keys(LONG_FLAVOURS) as LongFlavourName[]

/** Crash points that a long workload gives, about. */
export const POINTS_PER_WORKLOAD = 40
/** Changes of the disk that a step does, about. */
const OPERATIONS_PER_STEP = 4

export interface LongWorkload {
  options: WorkloadOptions
  checksExtent: boolean
}

/** One workload of a flavour; each kind of disk in turn. */
export function longWorkload(name: LongFlavourName, seed: number): LongWorkload {
  const flavour: LongFlavour = LONG_FLAVOURS[name]
  const { steps, partitionCount, indexIntervalBytes, waitMsMax, checksExtent = false } = flavour
  const stepCount = flavour.stepCount ?? 80 + (seed % 3) * 40
  return {
    checksExtent,
    options: {
      seed,
      stepCount,
      crashShare: POINTS_PER_WORKLOAD / (stepCount * OPERATIONS_PER_STEP),
      mapping: seed % 2 === 0,
      partitionCount: partitionCount ?? 1 + (seed % 2),
      steps,
      config: indexIntervalBytes === undefined ? {} : { indexIntervalBytes },
      disk: { finePageBytes: [1024, 4096, 0][seed % 3]!, looseNames: true },
      ...(waitMsMax === undefined ? {} : { waitMsMax }),
      waitsAtStart: true,
      checksRunning: true,
    },
  }
}
