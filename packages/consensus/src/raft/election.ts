import type { ReplicaState } from './replica-state.ts'
import type { MessageOf } from './types.ts'
import { isVoterOf, type Tally, tallyOf } from './voter-set.ts'

/** How often a hurried campaign is tried before the usual timeouts count again. */
const HURRIED_TRIES = 3

/** The election timer: ticks without word of a leader, against a timeout drawn anew each time so that split votes end (Raft 5.2). */
export class ElectionTimer {
  readonly #state: ReplicaState
  #elapsedTicks: number
  #timeoutTicks: number
  #hurriedTries: number

  constructor(state: ReplicaState) {
    this.#state = state
    this.#elapsedTicks = 0
    this.#hurriedTries = 0
    this.#timeoutTicks = this.#drawTimeout()
  }

  get elapsedTicks(): number {
    return this.#elapsedTicks
  }

  get hasExpired(): boolean {
    return this.#elapsedTicks >= this.#timeoutTicks
  }

  tick(): void {
    this.#elapsedTicks++
  }

  /** There is a leader, or a vote was given. */
  reset(): void {
    this.#hurriedTries = 0
    this.restart()
  }

  /** Another round of the same search for a leader. */
  restart(): void {
    if (this.#hurriedTries > 0) this.#hurriedTries--
    this.#elapsedTicks = 0
    this.#timeoutTicks = this.#drawTimeout()
  }

  /** The leader's process is probably gone: campaign soon, but not all voters at once. */
  hurry(): void {
    this.#hurriedTries = HURRIED_TRIES + 1
    this.restart()
  }

  #drawTimeout(): number {
    const { electionTicks, random } = this.#state.options
    if (this.#hurriedTries > 0) return 1 + below(random.uint32(), Math.max(2, Math.ceil(electionTicks / 3)))
    return electionTicks + below(random.uint32(), electionTicks)
  }
}

/** `uint32` scaled to `[0, range)`. */
function below(uint32: number, range: number): number {
  return Math.floor((uint32 / 2 ** 32) * range)
}

/** The votes of one campaign, or of one pre-vote. */
export class Ballot {
  readonly #answers: Map<number, boolean>

  constructor() {
    this.#answers = new Map()
  }

  /** A grant stands; a refusal may be one of an earlier pre-vote that comes late. */
  record(voterId: number, granted: boolean): void {
    this.#answers.set(voterId, granted || this.#answers.get(voterId) === true)
  }

  tally(voterCount: number): Tally {
    let granted = 0
    for (const answer of this.#answers.values()) if (answer) granted++
    return tallyOf(voterCount, granted, this.#answers.size - granted)
  }
}

/** Whether the candidate's log is at least as up to date as ours: the last term decides before the length (Raft 5.4.1). */
function isUpToDate(state: ReplicaState, request: MessageOf<'voteRequest'>): boolean {
  const { lastPoint, lastIndex } = state.log
  if (request.lastTerm !== lastPoint.term) return request.lastTerm > lastPoint.term
  return request.lastIndex >= lastIndex
}

/**
 * Whether this node may vote for the candidate, leaders being silent or the request made for a transfer. Whether the candidate, or this
 * node itself, is a voter by its own log does not matter: that log may lack the newest voters (Raft thesis 4.2.2, C14).
 */
export function mayGrant(state: ReplicaState, request: MessageOf<'voteRequest'>): boolean {
  if (request.term < state.term || !isUpToDate(state, request)) return false
  // A pre-vote binds nobody, so it may be given for a later term whatever was voted in this one.
  if (request.preVote && request.term > state.term) return true
  if (state.vote === null) return state.leader === null
  return state.vote.id === request.from.id && state.vote.directoryId === request.from.directoryId
}

/** Asks all other voters; the answers count for `state.term`, or for the next term if it is a pre-vote. */
export function requestVotes(state: ReplicaState, preVote: boolean, transfer: boolean): void {
  const { lastIndex, lastPoint } = state.log
  const term = preVote ? state.term + 1 : state.term
  for (const voter of state.voters) {
    if (voter.id === state.self.id) continue
    state.send(voter, { type: 'voteRequest', preVote, lastIndex, lastTerm: lastPoint.term, transfer }, term)
  }
}

/**
 * Whether an answer belongs to the campaign that is under way and comes from a voter (C15: id and directory). A grant of a pre-vote carries
 * the term that was asked for, its refusal the voter's own.
 */
export function countsAsVote(state: ReplicaState, reply: MessageOf<'voteReply'>): boolean {
  if (!isVoterOf(state.voters, reply.from)) return false
  if (!reply.preVote) return state.role === 'candidate' && reply.term === state.term
  return state.role === 'preCandidate' && (!reply.granted || reply.term === state.term + 1)
}

/**
 * Whether this node may campaign: as a voter, or while its own removal is in its log and not known to be committed. It may then be the only
 * one left with a log that gets a majority, and nobody would ever lead; it only does not count its own vote (Raft thesis 4.2.2).
 */
export function mayCampaign(state: ReplicaState): boolean {
  if (state.isVoter) return true
  const before = state.log.votersAt(state.log.newestVoters.index - 1)
  return !state.votersCommitted && before !== null && isVoterOf(before.voters, state.self)
}

/** Whether a committed entry of voters is not applied yet: what this node believes about who votes is about to change. */
export function hasUnappliedVoters(state: ReplicaState): boolean {
  const { index } = state.log.newestVoters
  return index > state.appliedIndex && index <= state.commitIndex
}
