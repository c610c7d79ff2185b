import type { Uuid } from '@millrace/base'

/** Number of an election, ≥ 0. Safe integer (C21). */
export type Term = number
/** Position of an entry, from 1; 0 stands for "before the first". Safe integer. */
export type LogIndex = number

/** Who a node is: its id and the id of the directory that holds its log (KIP-853). A wiped disk makes another replica (C15). */
export interface ReplicaKey {
  readonly id: number
  readonly directoryId: Uuid
}

/** A voter and where peers reach it. */
export interface Voter extends ReplicaKey {
  readonly host: string
  readonly port: number
}

/** Who votes, sorted by id, each id once. */
export type VoterSet = readonly Voter[]

/** `empty`: a new leader's first. `command`: the state machine's. `voters`: the next set of voters. */
export type EntryKind = 'empty' | 'command' | 'voters'

/** An entry of the log. Never changed; the data is shared, not copied. */
export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  readonly data: Buffer
  /** Checksum over the previous entry's chain and this entry (16 bytes), from {@link chainOf}: equal chains mean equal logs up to here (C5). */
  readonly chain: Buffer
}

/** What must be durable before a message of the same term leaves (C3). */
export interface HardState {
  readonly term: Term
  /** Whom this node voted for in the term. */
  readonly vote: ReplicaKey | null
}

/** The point up to which a snapshot holds the state. */
export interface SnapshotPoint {
  readonly index: LogIndex
  readonly term: Term
  /** Chain of the entry at `index`. */
  readonly chain: Buffer
  /** Voters as of the entry at `index`, and the entry that made them so (0: bootstrap). */
  readonly voters: VoterSet
  readonly votersIndex: LogIndex
}

interface Envelope {
  readonly from: ReplicaKey
  /** Receivers drop what is for another directory. Null: whoever has the id (directory not known yet). */
  readonly to: { readonly id: number; readonly directoryId: Uuid | null }
  readonly term: Term
}

/** All that nodes tell each other. `term` is the sender's, except in pre-vote requests and their grants: the term asked for. */
export type Message = Envelope &
  (
    | {
        readonly type: 'voteRequest'
        readonly preVote: boolean
        readonly lastIndex: LogIndex
        readonly lastTerm: Term
        readonly transfer: boolean
      }
    | { readonly type: 'voteReply'; readonly preVote: boolean; readonly granted: boolean }
    | {
        readonly type: 'append'
        readonly previousIndex: LogIndex
        readonly previousTerm: Term
        readonly previousChain: Buffer
        readonly entries: readonly Entry[]
        readonly commitIndex: LogIndex
        /** Number of the newest read round (C17), told back. */
        readonly readRound: number
      }
    | {
        readonly type: 'appendReply'
        readonly success: boolean
        /** Success: the last index that is durable here and known to match. Else: where the sender's probe failed. */
        readonly index: LogIndex
        /** Of a refusal: the follower's guess where the logs may agree (its last entry of a term ≤ the probe's). */
        readonly hintIndex: LogIndex
        readonly hintTerm: Term
        readonly readRound: number
      }
    | { readonly type: 'heartbeat'; readonly commitIndex: LogIndex; readonly readRound: number }
    /** Also sent unasked, and then of any term, by a node that is no voter and knows no leader: so the leader learns that it is there. */
    | { readonly type: 'heartbeatReply'; readonly readRound: number; readonly lastIndex: LogIndex }
    | {
        readonly type: 'snapshotChunk'
        readonly snapshot: SnapshotPoint
        readonly sizeBytes: number
        readonly offset: number
        readonly data: Buffer
      }
    | {
        readonly type: 'snapshotReply'
        readonly snapshotIndex: LogIndex
        /** Bytes taken so far: the next chunk starts there. -1: refused, begin anew. `sizeBytes` of the snapshot: installed and durable. */
        readonly nextOffset: number
      }
    | { readonly type: 'timeoutNow' }
    /**
     * To a node that asks for votes or for the leader in the wrong place: who leads, as far as the sender knows, and who votes. So a node
     * finds the leader even if all voters it knows of were replaced while it was away. Changes nobody's term.
     */
    | { readonly type: 'leaderHint'; readonly leader: ReplicaKey; readonly voters: VoterSet }
  )

export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader' | 'observer'

/**
 * What the host must do now, in this order: install the snapshot if there is one; make `hardState`, then `truncateFrom`, then `entries`
 * durable in one transaction; send `messages`; apply `committed`; then call `advance`. `messages` never depend on anything that is not
 * durable once these writes are; a leader's `append` messages may leave earlier (`messagesBeforeWrite`).
 */
export interface Ready {
  readonly hardState: HardState | null
  /** Entries from here on are to be removed first. Null: none. */
  readonly truncateFrom: LogIndex | null
  readonly entries: readonly Entry[]
  /** A received snapshot, whole and verified against its own checksum, that replaces log and state. */
  readonly snapshot: { readonly point: SnapshotPoint; readonly data: Buffer } | null
  readonly messagesBeforeWrite: readonly Message[]
  readonly messages: readonly Message[]
  /** In order, each once per process life. At most `maxCommittedBytes` at a time. */
  readonly committed: readonly Entry[]
  /** Reads that may be answered once `index` is applied. */
  readonly reads: readonly { readonly token: number; readonly index: LogIndex }[]
  /** Reads that will not be answered: this node does not lead (any more). */
  readonly refusedReads: readonly number[]
}

export interface RaftStatus {
  readonly self: ReplicaKey
  readonly role: Role
  readonly term: Term
  readonly leaderId: number | null
  readonly vote: ReplicaKey | null
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  readonly lastIndex: LogIndex
  readonly firstIndex: LogIndex
  /** As of the last voters entry in the log, committed or not (single-server rule). */
  readonly voters: VoterSet
  /** Whether the entry that made `voters` is committed. */
  readonly votersCommitted: boolean
  /** At a leader: of each peer, observers included. */
  readonly peers: readonly PeerStatus[]
  /** Voters that another node told of, until the leader is among `voters`. Hosts connect to them too. */
  readonly contacts: VoterSet
  /** Messages refused since the start: out of their domain, or against the protocol. */
  readonly rejectedMessages: number
  /** Messages refused since the start whose chain does not fit the log (C5): divergence or rot, here or at the sender. */
  readonly chainMismatches: number
  /** Of these, how often what this node held was cut off in favour of what the leader has committed. */
  readonly mendedDivergences: number
}

export interface PeerStatus extends ReplicaKey {
  readonly isVoter: boolean
  readonly matchIndex: LogIndex
  readonly state: 'probe' | 'replicate' | 'snapshot'
  readonly inFlightBytes: number
  /** Ticks since it was heard. */
  readonly silentTicks: number
}
