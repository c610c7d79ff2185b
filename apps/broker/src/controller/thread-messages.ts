import type { QuorumWait } from '@millrace/broker'
import type {
  BrokerHeartbeat,
  ControllerRequestName,
  HeartbeatAnswer,
  MetadataRecord,
  RaftStatus,
} from '@millrace/consensus'

/** Both ends are of one build; the number is checked all the same, since a stale bundle would misread everything. */
export const THREAD_PROTOCOL_VERSION = 2

/** Records in one message: taking it must not hold the other thread for more than a few milliseconds. */
export const MAX_RECORDS_PER_MESSAGE = 1_000
/** Messages with records that the broker's thread has not confirmed. */
export const MAX_UNCONFIRMED_MESSAGES = 16
/** Records that wait for the broker's thread; what it cannot take in time it gets as a whole image. */
export const MAX_WAITING_RECORDS = 100_000
/** Requests that wait for an answer; more are refused. */
export const MAX_REQUESTS = 10_000

/** From the broker's thread to the controller's. */
export type ToController =
  | { readonly type: 'start'; readonly version: number }
  | {
      readonly type: 'request'
      readonly id: number
      readonly name: ControllerRequestName
      readonly request: unknown
      readonly timeoutMs: number
    }
  | { readonly type: 'heartbeat'; readonly heartbeat: BrokerHeartbeat }
  /** A message with records was applied: another may come. */
  | { readonly type: 'confirm' }
  | { readonly type: 'close' }

/** From the controller's thread to the broker's. */
export type ToBroker =
  /** The log is open and the node listens to others. */
  | { readonly type: 'ready'; readonly version: number; readonly port: number | null }
  | {
      readonly type: 'records'
      readonly startOffset: number
      readonly records: readonly MetadataRecord[]
      readonly isLast: boolean
    }
  /** A part of an image; the first part begins it anew. */
  | {
      readonly type: 'image'
      readonly isFirst: boolean
      readonly isLast: boolean
      readonly offset: number
      readonly records: readonly MetadataRecord[]
    }
  | { readonly type: 'activeController'; readonly id: number | null }
  | { readonly type: 'heartbeatAnswer'; readonly answer: HeartbeatAnswer }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly error: SentError }
  /** No `status`: the quorum has not begun. No `wait`: it has a leader. */
  | { readonly type: 'status'; readonly status: ControllerStatus | null; readonly wait: QuorumWait | null }
  | {
      readonly type: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly message: string
      readonly fields: Readonly<Record<string, unknown>>
    }
  /** It could not start. */
  | { readonly type: 'failed'; readonly error: SentError }
  | { readonly type: 'fatal'; readonly error: SentError }
  | { readonly type: 'closed' }

/** Errors lose their class between threads. */
export interface SentError {
  readonly kind: 'unavailable' | 'request' | 'configuration' | 'assertion' | 'other'
  readonly message: string
  readonly stack: string | null
  readonly mayBeDone: boolean
  readonly errorCode: number
  /** Of a setting that is wrong. */
  readonly key: string
  /** Of a failed system call, as Node tells it. */
  readonly system: {
    readonly syscall?: string
    readonly code?: string
    readonly address?: string
    readonly port?: number
  }
}

/** The quorum node's state, for metrics. */
export interface ControllerStatus
  extends Pick<RaftStatus, 'role' | 'term' | 'commitIndex' | 'lastIndex' | 'appliedIndex' | 'leaderId'> {
  readonly voterCount: number
  readonly observerCount: number
  readonly isActive: boolean
}
