import type { Clock, ProducerId, Timers } from '@millrace/base'
import type { Logger } from '../../logger.ts'
import type { RecordCodec } from './coordinator.ts'
import type { ParkedReply } from './step.ts'
import type { Timeline } from './timeline.ts'

/** loading → active | failed; any → closed. A failed shard stays until the next election of its partition. */
export type ShardState = 'loading' | 'active' | 'failed' | 'closed'

/** Limits and waits of a runtime's writes. */
export interface WriteLimits {
  /** How long an operation waits for the high watermark before it ends with REQUEST_TIMED_OUT. */
  readonly writeTimeoutMs: number
  /** A batch that would grow beyond this is appended first. One operation may still exceed it: the log decides. */
  readonly maxBatchSizeBytes: number
  /** How long a batch stays open for more operations: -1 until the end of the turn, 0 not at all. */
  readonly appendLingerMs: number
}

/** The end of a producer's transaction, as its coordinator tells it. */
export interface TransactionEnd {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  readonly commit: boolean
  readonly coordinatorEpoch: number
  readonly transactionVersion: number
}

/** What all shards of a runtime share. */
export interface ShardPorts<Machine, Record, Reply> {
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly codec: RecordCodec<Record>
  readonly limits: WriteLimits
  createCoordinator(partition: number, timeline: Timeline): Machine
  /** Runs the callback once, when the requests at hand were all handled. */
  enqueueEndOfTurn(callback: () => void): void
  onReply(reply: ParkedReply<Reply>): void
  /** A bug of ours surfaced inside a step. The operation was taken back and answered; the process should stop. */
  onFault(error: unknown): void
}
