import type { RandomStream } from '../../world/random-stream.ts'
import type { TopicPromise } from './compaction-ghost.ts'

/** A topic of this workload. */
export interface CompactedTopic extends TopicPromise {
  readonly configs: Readonly<Record<string, string>>
}

/** What all nodes are told where compaction takes part: it is begun all the time, and what it notes is written often. */
export const COMPACTION_SETTINGS: Readonly<Record<string, string>> = {
  'log.cleaner.backoff.ms': '150',
  'log.cleaner.dedupe.buffer.size': String(2 << 20),
  'log.cleaner.io.buffer.size': '32768',
  'log.flush.offset.checkpoint.interval.ms': '700',
  'log.retention.check.interval.ms': '1000',
  'transaction.state.log.num.partitions': '1',
  'transaction.state.log.min.isr': '2',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
}

/** Of the topic of committed offsets: it is compacted in every cluster, and so small here that it happens. */
export const SMALL_SEGMENTS: Readonly<Record<string, string>> = {
  'internal.segment.bytes': '20000',
  'segment.ms': '2000',
  'min.cleanable.dirty.ratio': '0.1',
  'file.delete.delay.ms': '500',
}

/** Largest batch of several records. */
export const BATCH_BYTES = 3_000

/**
 * Three of them: one that is compacted at once, one whose records are left alone for a while, and one of which old segments are deleted as
 * well.
 */
export function drawTopics(random: RandomStream): CompactedTopic[] {
  const topic = (name: string, minCompactionLagMs: number, more: Readonly<Record<string, string>>): CompactedTopic => {
    const deleteRetentionMs = random.pick([2_000, 6_000, 12_000])
    const isDeleted = more['cleanup.policy'] !== undefined
    const configs = {
      'cleanup.policy': 'compact',
      'internal.segment.bytes': random.pick(['5000', '10000']),
      'segment.ms': random.pick(['1000', '4000']),
      'min.cleanable.dirty.ratio': random.pick(['0.01', '0.3']),
      'delete.retention.ms': String(deleteRetentionMs),
      'min.compaction.lag.ms': String(minCompactionLagMs),
      'file.delete.delay.ms': '500',
      'min.insync.replicas': '2',
      ...more,
    }
    return { name, isDeleted, deleteRetentionMs, minCompactionLagMs, configs }
  }
  return [
    topic('stock', 0, {}),
    topic('prices', random.pick([1_000, 3_000]), {}),
    topic('sessions', 0, { 'cleanup.policy': 'compact,delete', 'retention.ms': random.pick(['8000', '20000']) }),
  ]
}
