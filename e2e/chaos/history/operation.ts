/** A log whose offsets and values are compared: `topic/partition`. */
export type Key = string

/** `ok`: it happened. `fail`: it certainly did not. `info`: nobody knows, now or ever. */
export type Outcome = 'ok' | 'fail' | 'info'

/** A place in a log: where reading goes on, what a group has committed, or a watermark. */
export interface Place {
  readonly key: Key
  readonly offset: number
}

/** A record as a reader was given it. Values are unique within a key. */
export interface Seen extends Place {
  readonly value: string
}

/** A record handed to a producer. `offset` is null unless it was acknowledged with one. */
export interface SendStep {
  readonly step: 'send'
  readonly key: Key
  readonly value: string
  readonly offset: number | null
}

/** What one poll gave, in the order it was given. */
export interface PollStep {
  readonly step: 'poll'
  readonly records: readonly Seen[]
  /** Partitions came or went before or within it, so positions may jump. */
  readonly isRebalanced: boolean
}

export type Step = SendStep | PollStep

interface Base {
  /** Rises in the order of invocation; of one producer, in the order in which records were handed to it. */
  readonly id: number
  /** One life of one client: whoever takes over after a crash has another name. Different names share no consumer and no producer. */
  readonly process: string
  readonly outcome: Outcome
  /** Milliseconds since the run began. */
  readonly invokedMs: number
  /** Infinity while the outcome is unknown: it may take effect at any later time. */
  readonly completedMs: number
}

/** How a transaction was meant to end; `abandon`: its producer goes away, and others must end it. */
export type TransactionEnd = 'commit' | 'abort' | 'abandon'

/** What a transaction processes: records that its client polled before, and where the group reads on once it is committed. */
export interface Consumed {
  readonly group: string
  readonly records: readonly Seen[]
  readonly places: readonly Place[]
}

/**
 * One `send`, one `poll`, or a transaction of several of them. A transaction that nobody was to commit is `fail`, whatever became of its
 * client.
 */
export interface DataOperation extends Base {
  readonly kind: 'send' | 'poll' | 'txn'
  readonly steps: readonly Step[]
  /** Of a transaction that processes inputs: its sends are what came of them, one for each. */
  readonly consumed?: Consumed
}

/** Partitions taken by hand, and where reading begins; all others are given up. */
export interface AssignOperation extends Base {
  readonly kind: 'assign'
  readonly places: readonly Place[]
}

/** Partitions are given by a group from now on. */
export interface SubscribeOperation extends Base {
  readonly kind: 'subscribe'
  readonly group: string
}

/** `commit`: these were told to the group. `committed`: this is what the group said. */
export interface OffsetsOperation extends Base {
  readonly kind: 'commit' | 'committed'
  readonly group: string
  readonly places: readonly Place[]
}

/** Visible ends of logs: high watermarks, or with read_committed last stable offsets. */
export interface EndsOperation extends Base {
  readonly kind: 'ends'
  readonly isolation: 'read_committed' | 'read_uncommitted'
  readonly places: readonly Place[]
}

/** The newest value of a log, which is used as a register: every send to it is a write. Null: the log is empty. */
export interface ReadOperation extends Base {
  readonly kind: 'read'
  readonly key: Key
  readonly value: string | null
}

/** What a share group goes by, as far as its members' histories are judged by it. */
export interface ShareRules {
  /** How often a record is delivered at most. */
  readonly deliveryLimit: number
  /** How long a delivered record is its member's, from the moment that the broker gave it away. */
  readonly lockMs: number
  /** A fetch that was sent earlier than this before a poll brings it nothing. */
  readonly fetchMs: number
  /** A poll that gives as many may have left some of what was fetched for the next. */
  readonly maxPollRecords: number
}

/** A member of a share group begins. */
export interface JoinOperation extends Base {
  readonly kind: 'join'
  readonly group: string
  readonly rules: ShareRules
}

/** A record as a share group hands it out. */
export interface Delivered extends Seen {
  /** How often it was delivered, this time included. */
  readonly count: number
}

/** One poll of a member of a share group. */
export interface AcquireOperation extends Base {
  readonly kind: 'acquire'
  readonly group: string
  readonly records: readonly Delivered[]
}

export type ShareVerdict = 'accept' | 'release' | 'reject'

/**
 * What became of records that a member was handed out. Of those `taken` it was answered that this is known now, of those `refused` that they are
 * not its member's.
 */
export interface AcknowledgeOperation extends Base {
  readonly kind: 'acknowledge'
  readonly group: string
  readonly verdicts: readonly (Place & { readonly verdict: ShareVerdict })[]
  readonly taken: readonly Place[]
  readonly refused?: readonly Place[]
}

/** How far a share group is, as its coordinator tells: it is done with all records before these places, and with all of `drained` logs. */
export interface ShareProgressOperation extends Base {
  readonly kind: 'share-progress'
  readonly group: string
  readonly places: readonly Place[]
  readonly drained: readonly Key[]
}

export type Operation =
  | DataOperation
  | JoinOperation
  | AcquireOperation
  | AcknowledgeOperation
  | ShareProgressOperation
  | AssignOperation
  | SubscribeOperation
  | OffsetsOperation
  | EndsOperation
  | ReadOperation

/** A time in which something was broken on purpose. */
export interface FaultSpan {
  readonly kind: string
  /** For people: what was done, to whom. */
  readonly detail: string
  /** Ids of the nodes that were hit themselves. */
  readonly nodes: readonly number[]
  readonly beginMs: number
  /** When all of it was done: between this and the beginning it may have been half done. */
  readonly brokenMs: number
  /** When it was undone; Infinity: never. */
  readonly endMs: number
}

export interface History {
  readonly operations: readonly Operation[]
  readonly faults: readonly FaultSpan[]
  /** When everything was healed and the final phase began. */
  readonly healedMs: number
  readonly endMs: number
}

export function isData(operation: Operation): operation is DataOperation {
  return operation.kind === 'send' || operation.kind === 'poll' || operation.kind === 'txn'
}
