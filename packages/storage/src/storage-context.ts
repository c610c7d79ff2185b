import type { Clock, Disk, Random, Timers } from '@millrace/base'
import type { LateFlushed } from './flush-schedule.ts'
import type { LogConfig, StorageLogger } from './log-config.ts'
import type { LogCore } from './log-core.ts'
import type { OpenSegments } from './open-segments.ts'
import type { StagingPool } from './staging-pool.ts'
import type { WalkBudget } from './walk-budget.ts'

/** What all logs of one manager share. */
export interface StorageContext {
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: StorageLogger
  readonly staging: StagingPool
  readonly openSegments: OpenSegments
  readonly producerIdExpirationMs: number
  /** Threads of the pool that the syncs of one directory may take. */
  readonly syncThreadCount: number
  configOf(topic: string): LogConfig
  /** Logs with staged appends, which the end of the turn writes. */
  readonly dirtyLogs: LogCore[]
  /** Logs with open files, looked at from time to time for idleness. */
  readonly openLogs: Set<LogCore>
  /** What recovery would have to walk of all logs. */
  readonly walks: WalkBudget
  /** The manager is shutting down: logs are synced whatever their caching. */
  readonly isClosing: boolean
  /** Idle logs give back their descriptors at the next occasion. */
  closeIdleSoon(): void
  /** The log has writes that must be synced when they are `flushMs` old. */
  flushLater(log: LateFlushed, flushMs: number): void
  /** Staged appends are written soon although no turn ends. */
  flushSoon(): void
  /** Runs `task` with a bound on how many read from the disk at once. */
  readCold<Result>(task: () => Promise<Result>): Promise<Result>
  /** Damage was found in a segment of this partition directory. */
  onDamaged(directory: string): void
  /** Something was set aside, or lies set aside, that is not removed but by the operator. */
  onSetAside(path: string, sizeBytes: number): void
  /** Removes a file, or a directory with all it holds, on the thread pool. */
  removeSoon(path: string): void
  /** The same after a while; what the end of the process leaves, the next start removes. */
  removeLater(paths: readonly string[], delayMs: number): void
  /** Resolves when other work of the loop has had its turn. */
  yieldTurn(): Promise<void>
  /** Names a step of `reliability.md` 5.1; tests stop the process there. */
  failpoint(name: string): void
}
