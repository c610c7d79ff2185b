import type { CleanEngine } from './clean-orders.ts'

/** The broker's settings of compaction (`log.cleaner.*`), as they are now. */
export interface CleanerSettings {
  readonly enabled: boolean
  /** Logs that are compacted at a time. */
  readonly threadCount: number
  /** Memory for keys, of all threads together. */
  readonly dedupeBufferBytes: number
  /** How much of it may be used, 0 to 1. */
  readonly loadFactor: number
  /** Memory for reading and writing, of all threads together. */
  readonly ioBufferBytes: number
  /** Bytes that all threads together may read and write in a second. */
  readonly maxBytesPerSecond: number
  /** Pause where no log needs to be compacted. */
  readonly backoffMs: number
}

export interface CleanerOptions {
  /** Asked before each log. */
  settings(): CleanerSettings
  /** Does the work; on this thread, a piece at a time, if left out. */
  createEngine?(): CleanEngine
}
