/** Settings of one log, from its topic's and the broker's configuration. Sizes and times as Kafka has them, -1 for none. */
export interface LogConfig {
  segmentBytes: number
  segmentMs: number
  segmentJitterMs: number
  segmentIndexBytes: number
  indexIntervalBytes: number
  retentionMs: number
  retentionBytes: number
  cleanupDelete: boolean
  cleanupCompact: boolean
  /** Share of the log that must be new before it is compacted again, 0 to 1. */
  minCleanableDirtyRatio: number
  /** Records stay uncompacted at least, and at most, so long. */
  minCompactionLagMs: number
  maxCompactionLagMs: number
  /** How long tombstones and end markers stay once compaction has met them. */
  deleteRetentionMs: number
  /** With `writeCaching`: a sync after this many records or this time; otherwise every append schedules one. -1 is never. */
  flushMessages: number
  flushMs: number
  fileDeleteDelayMs: number
  /** Kafka's own behaviour: the page cache is enough for an acknowledgement. */
  writeCaching: boolean
}

/** Where the storage reports what operators should see. */
export interface StorageLogger {
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}
