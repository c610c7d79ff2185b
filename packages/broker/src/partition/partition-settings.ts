import { CodecId } from '@millrace/protocol'
import type { LogConfig } from '@millrace/storage'
import type { TopicConfig } from '../config/topic-config.ts'
import { ThrottledReplicas } from '../replication/throttled-replicas.ts'

/**
 * What the append and fetch paths need of a topic's configuration, worked out once per change: the full configuration is too
 * large an object to be read per request.
 */
export class PartitionSettings {
  readonly log: LogConfig
  readonly minInsyncReplicas: number
  readonly maxMessageBytes: number
  readonly segmentBytes: number
  /** Every record needs a key. */
  readonly compacted: boolean
  readonly logAppendTime: boolean
  readonly timestampBeforeMaxMs: number
  readonly timestampAfterMaxMs: number
  /** Codec number that batches are stored with, or null to keep the producer's. */
  readonly targetCodec: number | null
  readonly compressionLevel: number | null
  readonly writeCaching: boolean
  /** `unclean.leader.election.enable`: rather serve without what was lost than not at all. */
  readonly acceptsLoss: boolean
  /** Replicas whose traffic is bounded while they are not in sync, on the leader's side and on the follower's. */
  readonly leaderThrottled: ThrottledReplicas
  readonly followerThrottled: ThrottledReplicas

  constructor(topic: TopicConfig) {
    this.log = logConfigOf(topic)
    this.minInsyncReplicas = topic.minInsyncReplicas
    this.maxMessageBytes = topic.maxMessageBytes
    this.segmentBytes = this.log.segmentBytes
    this.compacted = this.log.cleanupCompact
    this.logAppendTime = topic.messageTimestampType === 'LogAppendTime'
    this.timestampBeforeMaxMs = topic.messageTimestampBeforeMaxMs
    this.timestampAfterMaxMs = topic.messageTimestampAfterMaxMs
    this.targetCodec = targetCodecOf(topic.compressionType)
    this.compressionLevel = levelOf(topic)
    this.writeCaching = topic.writeCaching
    this.acceptsLoss = topic.uncleanLeaderElectionEnable
    this.leaderThrottled = new ThrottledReplicas(topic.leaderReplicationThrottledReplicas)
    this.followerThrottled = new ThrottledReplicas(topic.followerReplicationThrottledReplicas)
  }
}

function logConfigOf(topic: TopicConfig): LogConfig {
  return {
    segmentBytes: topic.internalSegmentBytes ?? topic.segmentBytes,
    segmentMs: topic.segmentMs,
    segmentJitterMs: topic.segmentJitterMs,
    segmentIndexBytes: topic.segmentIndexBytes,
    indexIntervalBytes: topic.indexIntervalBytes,
    retentionMs: topic.retentionMs,
    retentionBytes: topic.retentionBytes,
    cleanupDelete: topic.cleanupPolicy.includes('delete'),
    cleanupCompact: topic.cleanupPolicy.includes('compact'),
    minCleanableDirtyRatio: topic.minCleanableDirtyRatio,
    minCompactionLagMs: topic.minCompactionLagMs,
    maxCompactionLagMs: topic.maxCompactionLagMs,
    deleteRetentionMs: topic.deleteRetentionMs,
    flushMessages: topic.flushMessages,
    flushMs: topic.flushMs,
    fileDeleteDelayMs: topic.fileDeleteDelayMs,
    writeCaching: topic.writeCaching,
  }
}

function targetCodecOf(compressionType: string): number | null {
  switch (compressionType) {
    case 'producer':
      return null
    case 'uncompressed':
      return CodecId.NONE
    case 'gzip':
      return CodecId.GZIP
    case 'snappy':
      return CodecId.SNAPPY
    case 'lz4':
      return CodecId.LZ4
    default:
      return CodecId.ZSTD
  }
}

function levelOf(topic: TopicConfig): number | null {
  switch (topic.compressionType) {
    case 'gzip':
      return topic.compressionGzipLevel
    case 'lz4':
      return topic.compressionLz4Level
    case 'zstd':
      return topic.compressionZstdLevel
    default:
      return null
  }
}
