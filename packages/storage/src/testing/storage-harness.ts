import {
  type Clock,
  type Disk,
  type DiskError,
  type Random,
  RealClock,
  RealTimers,
  SeededRandom,
  type Timers,
  type Uuid,
} from '@millrace/base'
import { BatchBuilder, type BatchOptions } from '@millrace/protocol'
import { type Log, LogManager, type StorageOptions } from '../index.ts'
import type { LogConfig } from '../log-config.ts'

/** Kafka's defaults. */
export const DEFAULT_CONFIG: LogConfig = {
  segmentBytes: 1 << 30,
  segmentMs: 7 * 24 * 3600_000,
  segmentJitterMs: 0,
  segmentIndexBytes: 10 << 20,
  indexIntervalBytes: 4096,
  retentionMs: 7 * 24 * 3600_000,
  retentionBytes: -1,
  cleanupDelete: true,
  cleanupCompact: false,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  deleteRetentionMs: 24 * 3600_000,
  flushMessages: -1,
  flushMs: -1,
  fileDeleteDelayMs: 60_000,
  writeCaching: false,
}

export const TOPIC_ID = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid

/** A manager with all that a test wants to look at. */
export interface Harness {
  manager: LogManager
  durable: Log[]
  damaged: Log[]
  failures: { directory: string; error: DiskError }[]
  warnings: string[]
  errors: string[]
}

export interface HarnessOptions extends Partial<Omit<StorageOptions, 'disk'>> {
  disk: Disk
  config?: Partial<LogConfig>
}

/** Opens storage on a disk with test defaults: one directory, real time unless given, nothing periodic. */
export async function openStorage(options: HarnessOptions): Promise<Harness> {
  const config = { ...DEFAULT_CONFIG, ...options.config }
  const harness: Omit<Harness, 'manager'> = { durable: [], damaged: [], failures: [], warnings: [], errors: [] }
  const clock: Clock = options.clock ?? new RealClock()
  const timers: Timers = options.timers ?? new RealTimers()
  const random: Random = options.random ?? new SeededRandom(1)
  const manager = await LogManager.open({
    directories: ['/data'],
    nodeId: 1,
    clusterId: 'cluster',
    producerIdExpirationMs: 24 * 3600_000,
    retentionCheckIntervalMs: 300_000,
    checkpointIntervalMs: 60_000,
    defaultConfig: config,
    configOf: () => config,
    logger: {
      info: () => undefined,
      warn: (message) => harness.warnings.push(message),
      error: (message) => harness.errors.push(message),
    },
    onDurable: (log) => harness.durable.push(log),
    onDamaged: (log) => harness.damaged.push(log),
    onDirectoryFailed: (directory, error) => harness.failures.push({ directory, error }),
    ...options,
    clock,
    timers,
    random,
  })
  manager.startRetention()
  return { manager, ...harness }
}

/** One encoded batch of records with these values; offsets start at 0 as a producer sends them. */
export function batchOf(
  values: readonly (string | Buffer)[],
  options: BatchOptions & { timestamp?: number } = {},
): Buffer {
  const { timestamp = 1000, ...rest } = options
  const builder = new BatchBuilder(rest)
  for (const value of values) builder.append(timestamp, null, Buffer.from(value))
  return Buffer.from(builder.build())
}
