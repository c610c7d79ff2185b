/**
 * What the programs under `programs/` understand: JSON lines on their standard input, answers on their standard output, in any order. One
 * program holds many clients, each a producer and a consumer of its library.
 *
 * A producer is idempotent with acks=all and sends without lingering; a consumer reads committed records only, commits nothing by itself,
 * and fails where its position does not exist. Sends are handed to the producer in the order of the lines; all else of one client is done one
 * after the other. Unknown errors are `info`; `fail` is answered only where the library never took the request.
 */

/** Topic and partition; in answers and requests with an offset behind them. */
export type WirePartition = readonly [topic: string, partition: number]
export type WirePlace = readonly [topic: string, partition: number, offset: number]
export type WireRecord = readonly [topic: string, partition: number, offset: number, value: string]

/** What is asked, without the number and the name of the client that go with it. */
export type ClientRequest =
  /** Makes the client. `group`: whose offsets it commits. */
  | { readonly op: 'open'; readonly group: string }
  | { readonly op: 'send'; readonly topic: string; readonly partition: number; readonly value: string }
  | { readonly op: 'assign'; readonly places: readonly WirePlace[] }
  | { readonly op: 'subscribe'; readonly topic: string }
  /** Waits at most `maxMs` for the first record. */
  | { readonly op: 'poll'; readonly maxMs: number }
  | { readonly op: 'commit'; readonly places: readonly WirePlace[] }
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
  /** Of `poll`. */
  readonly records?: readonly WireRecord[]
  /** Of `poll`: partitions came or went since the poll before. */
  readonly rebalanced?: boolean
  /** Of `committed`, with nothing for what has no offset, and of `ends`. */
  readonly places?: readonly WirePlace[]
}

/**
 * How long a library tries to deliver a record, in milliseconds. Longer than any outage of a run: a librdkafka that gives up a record
 * begins a new epoch and sends others again under it which may be stored already, and no broker can tell.
 */
export const deliveryTimeoutMs = 120_000
/** How long it waits for one answer, in milliseconds, before it asks again. */
export const requestTimeoutMs = 5_000
