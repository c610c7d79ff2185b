import type { OffsetSpec } from '../offsets/offset-lookup.ts'
import type { FetchedChunk } from './fetched-chunk.ts'

/** Where reading goes on. */
export interface Position {
  /** Offset of the next record. */
  offset: number
  /** Epoch of the leader that the last record came from, -1 if none was read: tells a truncated log from a grown one (KIP-320). */
  leaderEpoch: number
}

/**
 * `unpositioned`: a committed offset may exist and has to be asked for. `resetting`: {@link PartitionState.resetTo} has to be
 * looked up. `validating`: the leader changed and has to confirm that it has what was read. `ready`: fetch.
 */
export type PartitionStatus = 'unpositioned' | 'resetting' | 'validating' | 'ready'

/** Everything a consumer knows of one assigned partition. */
export class PartitionState {
  readonly topic: string
  readonly partition: number
  status: PartitionStatus = 'unpositioned'
  paused = false
  /** Next record to hand out; null while not positioned. */
  position: Position | null = null
  /** All records before are dealt with by the application: what may be committed. -1 while not positioned. */
  processedOffset = -1
  processedEpoch = -1
  /** The committed offset as last known here, so that automatic commits repeat nothing; -1 if unknown. */
  committedOffset = -1
  resetTo: OffsetSpec | null = null
  /** Set anew by each seek or reset: answers to requests of before are thrown away. */
  version = 0
  /** Next offset to fetch: behind what is buffered. */
  fetchOffset = 0
  buffered: FetchedChunk[] = []
  bufferedBytes = 0
  /** A fetch that includes this partition is under way. */
  isFetching = false
  /** A lookup (committed offset, reset, validation) is under way. */
  isResolving = false
  /** Nothing is asked of brokers before, in monotonic milliseconds. */
  notBeforeMs = 0
  /** -1 while unknown. */
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1
  /** Epoch of the leader under which the position was last valid. */
  validatedEpoch = -1
  /** A replica that the leader named as nearer, -1 for none, and until when that holds. */
  preferredReplica = -1
  preferredUntilMs = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Goes on at a place, forgetting what was fetched. Records before it count as dealt with. */
  moveTo(position: Position, nowStatus: PartitionStatus = 'ready'): void {
    this.position = position
    this.processedOffset = position.offset
    this.processedEpoch = position.leaderEpoch
    this.fetchOffset = position.offset
    this.status = nowStatus
    this.resetTo = null
    this.dropBuffered()
  }

  /** Will go on where a lookup says. */
  resetAt(spec: OffsetSpec): void {
    this.status = 'resetting'
    this.resetTo = spec
    this.dropBuffered()
  }

  /** Throws away what was fetched and what is on its way. */
  dropBuffered(): void {
    this.version++
    this.buffered = []
    this.bufferedBytes = 0
    this.isResolving = false
    if (this.position !== null) this.fetchOffset = this.position.offset
  }
}
