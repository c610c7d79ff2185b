export {
  type CleanEngine,
  CleanEngineError,
  type CleanOrder,
  type IndexOutcome,
  type RewriteOrder,
  type RewriteOutcome,
} from './cleaner/clean-orders.ts'
export type { CleanerOptions, CleanerSettings } from './cleaner/cleaner-settings.ts'
export { LocalCleanEngine } from './cleaner/local-clean-engine.ts'
export type { CleanerStatus } from './cleaner/log-cleaner.ts'
export { canBeMoved } from './file-names.ts'
export type { FutureLogs } from './future-logs.ts'
export type { EpochEnd } from './leader-epoch-cache.ts'
export { Log } from './log.ts'
export type { LogConfig, StorageLogger } from './log-config.ts'
export type { FaultyRange } from './log-core.ts'
export { LogManager } from './log-manager.ts'
export { LogMove } from './log-move.ts'
export { AppendResult, type FoundOffset, ReadResult } from './log-results.ts'
export type { LostLogs } from './lost-logs.ts'
export type { ProducerEntry } from './producer-entry.ts'
export type { AppendOrigin } from './producer-state.ts'
export type { DirectoryInfo, StorageOptions } from './storage-options.ts'
export { CorruptFileError } from './text-checkpoint.ts'
