import type { CleanerStatus } from '@millrace/storage'
import type { DefineMetric, SetValue } from './define-metric.ts'

export interface CleanerSources {
  /** Null where nothing is compacted. */
  cleaner(): CleanerStatus | null
}

/** How compaction is doing, under the names that dashboards of Kafka expect. */
export function defineCleanerMetrics(sources: CleanerSources, counter: DefineMetric, gauge: DefineMetric): void {
  const of = (value: (status: CleanerStatus) => number) => (set: SetValue) => {
    const status = sources.cleaner()
    if (status !== null) set({}, value(status))
  }
  gauge(
    'kafka_log_logcleanermanager_max_dirty_percent',
    'Largest share of a log that is new since it was compacted.',
    [],
    of(({ maxDirtyPercent }) => maxDirtyPercent),
  )
  gauge(
    'kafka_log_logcleanermanager_uncleanable_partitions_count',
    'Logs that could not be compacted the last time.',
    [],
    of(({ uncleanableCount }) => uncleanableCount),
  )
  gauge(
    'kafka_log_logcleanermanager_uncleanable_bytes',
    'Bytes of logs that could not be compacted the last time.',
    [],
    of(({ uncleanableBytes }) => uncleanableBytes),
  )
  gauge(
    'kafka_log_logcleanermanager_time_since_last_run_ms',
    'Time since compaction last looked for work; 0 while it works.',
    [],
    of(({ timeSinceLastRunMs }) => timeSinceLastRunMs),
  )
  gauge(
    'kafka_log_logcleaner_deadthreadcount',
    'Threads of compaction that broke off since the start; others took their places.',
    [],
    of(({ brokenCount }) => brokenCount),
  )
  gauge(
    'kafka_log_logcleaner_max_clean_time_secs',
    'Longest compaction of a log since the start.',
    [],
    of(({ maxCleanMs }) => maxCleanMs / 1000),
  )
  gauge(
    'kafka_log_logcleaner_cleaner_recopy_percent',
    'Bytes that the last compaction kept of those that it read.',
    [],
    of(({ recopyPercent }) => recopyPercent),
  )
  gauge(
    'kafka_log_logcleaner_max_buffer_utilization_percent',
    'How full the memory for keys was in the last compaction.',
    [],
    of(({ bufferPercent }) => bufferPercent),
  )
  counter(
    'millrace_cleaner_read_bytes_total',
    'Bytes that compaction has read.',
    [],
    of(({ readBytes }) => readBytes),
  )
  counter(
    'millrace_cleaner_written_bytes_total',
    'Bytes that compaction has written.',
    [],
    of(({ writtenBytes }) => writtenBytes),
  )
  counter(
    'millrace_cleaner_logs_total',
    'Compactions of logs that came to their end.',
    [],
    of(({ cleanedCount }) => cleanedCount),
  )
  gauge(
    'millrace_cleaner_key_memory_bytes',
    'Memory that compaction holds for keys now.',
    [],
    of(({ memoryBytes }) => memoryBytes),
  )
}
