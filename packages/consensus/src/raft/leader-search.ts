import type { ReplicaState } from './replica-state.ts'
import type { MessageOf, VoterSet } from './types.ts'

/** Hints that a node acts on between two ticks: two nodes whose knowledge is old could send it to and fro between them. */
const MAX_HINTS_PER_TICK = 8
const NO_VOTERS: VoterSet = []

/**
 * How a node finds a leader that does not know of it. Who does not vote cannot find one by an election, and who missed its own removal asks
 * the wrong voters for votes: both ask whom they know, by an unasked `heartbeatReply`. The leader serves them from then on, others answer with
 * a hint.
 */
export class LeaderSearch {
  readonly #state: ReplicaState
  /** Voters of the last hint, until the leader is among those that this node's own log names. */
  #contacts: VoterSet
  #ticks: number
  #hintsThisTick: number

  constructor(state: ReplicaState) {
    this.#state = state
    this.#contacts = NO_VOTERS
    this.#ticks = 0
    this.#hintsThisTick = 0
  }

  get contacts(): VoterSet {
    return this.#contacts
  }

  /** At each tick of a node that does not lead. */
  tick(): void {
    const { leader, voters } = this.#state
    this.#hintsThisTick = 0
    // Not before: the host holds the connection to the leader because of them.
    if (leader !== null && voters.some(({ id }) => id === leader.id)) this.#contacts = NO_VOTERS
  }

  /** At each tick without a leader, of a node that does not vote: asks at once, then at the interval of heartbeats. */
  askRegularly(): void {
    if (this.#ticks++ % this.#state.options.heartbeatTicks === 0) this.#ask(this.#ids())
  }

  /** At a pre-vote, for the case that those who refuse it are right: asks those who are no voters as far as is known here. */
  askOthers(): void {
    const { voters } = this.#state
    this.#ask(this.#ids().filter((id) => !voters.some((voter) => voter.id === id)))
  }

  onHint({ leader, voters }: MessageOf<'leaderHint'>): void {
    const state = this.#state
    if (state.leader !== null || leader.id === state.self.id) return
    if (++this.#hintsThisTick > MAX_HINTS_PER_TICK) return
    this.#contacts = voters
    state.send(leader, { type: 'heartbeatReply', readRound: 0, lastIndex: state.log.lastIndex })
  }

  /** A leader is known. */
  onFound(): void {
    this.#ticks = 0
  }

  #ids(): number[] {
    const { voters, options } = this.#state
    const known = [...voters, ...this.#contacts].map(({ id }) => id)
    return [...new Set([...known, ...(options.contacts ?? [])])]
  }

  #ask(ids: readonly number[]): void {
    const { self, log } = this.#state
    for (const id of ids) {
      if (id === self.id) continue
      this.#state.send({ id, directoryId: null }, { type: 'heartbeatReply', readRound: 0, lastIndex: log.lastIndex })
    }
  }
}
