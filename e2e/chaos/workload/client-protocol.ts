import type { ShareVerdict, TransactionEnd } from '../history/operation.ts'

/**
 * What the programs under `programs/` understand: JSON lines on their standard input, answers on their standard output, in any order. One
 * program holds many clients, each a producer and a consumer of its library.
 *
 * A producer is idempotent with acks=all and sends without lingering; a consumer reads committed records only, commits nothing by itself,
 * and fails where its position does not exist. Partitions come and go at the beginning of a poll alone, so that what a poll gave is its
 * client's until it asks for more. Sends are handed to the producer in the order of the lines; all else of one client is done one
 * after the other. Unknown errors are `info`; `fail` is answered only where the library never took the request.
 */

/** Topic and partition; in answers and requests with an offset behind them. */
export type WirePartition = readonly [topic: string, partition: number]
export type WirePlace = readonly [topic: string, partition: number, offset: number]
export type WireRecord = readonly [topic: string, partition: number, offset: number, value: string]

export type WireSend = readonly [topic: string, partition: number, value: string]

/** A record that a share group hands out, for the `count`th time; and what its member says of one. */
export type WireDelivery = readonly [topic: string, partition: number, offset: number, value: string, count: number]
export type WireVerdict = readonly [topic: string, partition: number, offset: number, verdict: ShareVerdict]

/** `consumer` is that of KIP-848, `share` that of KIP-932: such a client is a share consumer and nothing else. */
export type GroupProtocol = 'classic' | 'consumer' | 'share'

export interface ClientSettings {
  /** Whose offsets it commits. */
  readonly group: string
  readonly groupProtocol: GroupProtocol
  /** Null: its producer sends without transactions. Else whoever had the id before is fenced, and its transaction ended, when the client is made. */
  readonly transactionalId: string | null
}

/** What is asked, without the number and the name of the client that go with it. */
export type ClientRequest =
  /** Makes the client. */
  | ({ readonly op: 'open' } & ClientSettings)
  | { readonly op: 'send'; readonly topic: string; readonly partition: number; readonly value: string }
  | { readonly op: 'assign'; readonly places: readonly WirePlace[] }
  | { readonly op: 'subscribe'; readonly topics: readonly string[] }
  /** Waits at most `maxMs` for the first record. */
  | { readonly op: 'poll'; readonly maxMs: number }
  | { readonly op: 'commit'; readonly places: readonly WirePlace[] }
  /**
   * Does a transaction: half of the sends, a pause, the other half, the offsets for the group, a pause, the end. `ok`: it ended as it was to
   * end. `fail`: it was not committed, and never will be. `info`: the commit was asked for, and nobody knows.
   */
  | {
      readonly op: 'txn'
      readonly sends: readonly WireSend[]
      readonly offsets: readonly WirePlace[]
      /** Of both together. */
      readonly pauseMs: number
      readonly end: TransactionEnd
    }
  /** Of a share consumer, as `poll` is of others. What it was handed out before must be acknowledged. */
  | { readonly op: 'acquire'; readonly maxMs: number }
  /**
   * Says what became of records. `isAwaited`: brokers are told at once, and it is answered what is known then; else they are told with the next
   * `acquire`, and it is answered, maybe after later requests, once it is known of all.
   */
  | { readonly op: 'acknowledge'; readonly verdicts: readonly WireVerdict[]; readonly isAwaited: boolean }
  | { readonly op: 'committed'; readonly partitions: readonly WirePartition[] }
  | { readonly op: 'ends'; readonly partitions: readonly WirePartition[] }
  /** Ends the client in order, within a few seconds. */
  | { readonly op: 'close' }

export interface ClientAnswer {
  readonly id: number
  readonly type: 'ok' | 'fail' | 'info'
  readonly error?: string
  /** Of `send`; -1 if the library does not know it. */
  readonly offset?: number
  /** Of `txn`: those of its sends; -1 where the library does not know it. */
  readonly offsets?: readonly number[]
  /** Of `txn`: its producer can do no more transactions. */
  readonly isBroken?: boolean
  /** Of `poll`. */
  readonly records?: readonly WireRecord[]
  /** Of `acquire`. */
  readonly delivered?: readonly WireDelivery[]
  /** Of `acknowledge`: what the brokers said that they took. */
  readonly taken?: readonly WirePlace[]
  /** Of `acknowledge`: what they said that its member does not have (INVALID_RECORD_STATE). */
  readonly refused?: readonly WirePlace[]
  /** Of `poll`: partitions came or went since the poll before. */
  readonly rebalanced?: boolean
  /** Of `committed`, with nothing for what has no offset, and of `ends`. */
  readonly places?: readonly WirePlace[]
}

/** What a program answers with; `ok` if no type is told. */
export type Body = Omit<ClientAnswer, 'id' | 'type'> & { readonly type?: ClientAnswer['type'] }

/**
 * How long a library tries to deliver a record, in milliseconds. Longer than any outage of a run: a librdkafka that gives up a record
 * begins a new epoch and sends others again under it which may be stored already, and no broker can tell.
 */
export const deliveryTimeoutMs = 120_000
/** How long it waits for one answer, in milliseconds, before it asks again. */
export const requestTimeoutMs = 5_000
/** How long a broker may wait for records before it answers a share consumer, in milliseconds. */
export const shareWaitMs = 300
/** After which the coordinator aborts a transaction: longer than most faults, shorter than the longest. Also how long a library tries to end one. */
export const transactionTimeoutMs = 12_000
/** The longest time between two polls, after which others get what a member has. Longer than a transaction takes. */
export const pollIntervalMs = 30_000
