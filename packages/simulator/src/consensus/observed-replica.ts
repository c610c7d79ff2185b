import type { LogIndex, RaftStatus, ReplicaKey } from '@millrace/consensus'
import type { DurableLog } from './durable-log.ts'

/** What checkers see of a node. */
export interface ObservedReplica {
  readonly id: number
  readonly key: ReplicaKey
  readonly log: DurableLog
  /** Null: its process is down. */
  readonly core: { readonly status: RaftStatus } | null
  readonly life: number
  readonly appliedIndex: LogIndex
  readonly appliedHash: number
}
