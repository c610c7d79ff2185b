import type { Clock, Disk, DiskError, Random, Timers, Uuid } from '@millrace/base'
import type { CleanerOptions } from './cleaner/cleaner-settings.ts'
import type { Log } from './log.ts'
import type { LogConfig, StorageLogger } from './log-config.ts'

/** What a node's logs are opened with. */
export interface StorageOptions {
  disk: Disk
  clock: Clock
  timers: Timers
  random: Random
  /** Log directories; absent ones are created. */
  directories: readonly string[]
  nodeId: number
  clusterId: string | null
  producerIdExpirationMs: number
  retentionCheckIntervalMs: number
  checkpointIntervalMs: number
  defaultConfig: LogConfig
  /** Called when a log is opened; later changes come through `Log.updateConfig`. */
  configOf(topic: string): LogConfig
  logger: StorageLogger
  /** `durableOffset` of the log rose: once per log and group commit. */
  onDurable(log: Log): void
  /** A read met damage that was not known: `faultyRanges` of the log has grown. What a start finds is there when the log is. */
  onDamaged(log: Log): void
  /** The directory is offline for good, with the logs in it. */
  onDirectoryFailed(directory: string, error: DiskError): void
  /** Segments whose files may be open at a time, for all directories; no bound if left out. At least a few dozen. */
  maxOpenSegments?: number
  /** Threads of the pool that disk operations share; Node's default if left out. */
  poolThreadCount?: number
  /** Compaction; nothing is compacted if left out. */
  cleaner?: CleanerOptions
  /** Called at each step where a crash is worth testing. */
  failpoint?(name: string): void
}

/** A log directory, as its users see it. */
export interface DirectoryInfo {
  path: string
  id: Uuid
  online: boolean
  totalBytes: number
  usableBytes: number
  /** Files and directories that were set aside and wait for the operator, and their bytes, as of the last look at them. */
  strayCount: number
  strayBytes: number
}
