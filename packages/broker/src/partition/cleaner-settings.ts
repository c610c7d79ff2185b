import type { CleanerSettings } from '@millrace/storage'
import type { BrokerConfig } from '../config/broker-config.ts'

/** What the broker's settings say of compaction, as the storage takes it. */
export function cleanerSettings(config: BrokerConfig): CleanerSettings {
  return {
    enabled: config.logCleanerEnable,
    threadCount: config.logCleanerThreads,
    dedupeBufferBytes: config.logCleanerDedupeBufferSize,
    loadFactor: config.logCleanerIoBufferLoadFactor,
    ioBufferBytes: config.logCleanerIoBufferSize,
    maxBytesPerSecond: config.logCleanerIoMaxBytesPerSecond,
    backoffMs: config.logCleanerBackoffMs,
  }
}
