import type { RaftCore } from '../raft/raft-core.ts'
import type { Refusal } from '../raft/raft-options.ts'
import type { LogIndex, Term, Voter, VoterSet } from '../raft/types.ts'
import { sameReplica } from '../raft/voter-set.ts'

interface Pending {
  /** A newcomer that must catch up first, by `deadlineMs`; null once the change is proposed. */
  readonly newcomer: Voter | null
  readonly deadlineMs: number
  readonly index: LogIndex
  readonly term: Term
  resolve(refusal: Refusal | null): void
}

/**
 * Changes of the voters, one at a time (KIP-853). A newcomer has to hold all that is committed before it counts: else the quorum could
 * neither commit nor elect until it does (Raft thesis 4.2.1). A change that ends in `NOT_LEADER` after it was proposed is in doubt.
 */
export class VoterChanges {
  readonly #core: RaftCore
  readonly #nowMs: () => number
  readonly #catchUpTimeoutMs: number
  #pending: Pending | null = null

  constructor(core: RaftCore, nowMs: () => number, catchUpTimeoutMs: number) {
    this.#core = core
    this.#nowMs = nowMs
    this.#catchUpTimeoutMs = catchUpTimeoutMs
  }

  add(voter: Voter): Promise<Refusal | null> {
    const refusal = this.#refusal()
    if (refusal !== null) return Promise.resolve(refusal)
    if (this.#core.status.voters.some(({ id }) => id === voter.id)) return Promise.resolve('INVALID_CHANGE')
    const deadlineMs = this.#nowMs() + this.#catchUpTimeoutMs
    return new Promise((resolve) => {
      this.#pending = { newcomer: voter, deadlineMs, index: 0, term: 0, resolve }
      this.onTick()
    })
  }

  remove(id: number, directoryId: string): Promise<Refusal | null> {
    const refusal = this.#refusal()
    if (refusal !== null) return Promise.resolve(refusal)
    const voters = this.#core.status.voters
    const kept = voters.filter((voter) => voter.id !== id || voter.directoryId !== directoryId)
    if (kept.length === voters.length || kept.length === 0) return Promise.resolve('INVALID_CHANGE')
    return this.#propose(kept)
  }

  update(voter: Voter): Promise<Refusal | null> {
    const refusal = this.#refusal()
    if (refusal !== null) return Promise.resolve(refusal)
    const { voters } = this.#core.status
    const known = voters.find((other) => sameReplica(other, voter))
    if (known === undefined) return Promise.resolve('INVALID_CHANGE')
    if (known.host === voter.host && known.port === voter.port) return Promise.resolve(null)
    return this.#propose(voters.map((other) => (other === known ? voter : other)))
  }

  /** Looks whether the newcomer has caught up. */
  onTick(): void {
    const pending = this.#pending
    if (pending === null || pending.newcomer === null) return
    const { newcomer } = pending
    const { role, peers, voters, commitIndex } = this.#core.status
    if (role !== 'leader') {
      this.onDeposed()
      return
    }
    const peer = peers.find((other) => sameReplica(other, newcomer))
    if (peer !== undefined && peer.state === 'replicate' && peer.matchIndex >= commitIndex) {
      this.#pending = null
      const next = [...voters, newcomer].sort((left, right) => left.id - right.id)
      void this.#propose(next).then(pending.resolve)
    } else if (this.#nowMs() >= pending.deadlineMs) {
      this.#settle('NOT_CAUGHT_UP')
    }
  }

  /** The entry at `index` was applied. */
  onApplied(index: LogIndex, term: Term): void {
    const pending = this.#pending
    if (pending === null || pending.newcomer !== null || index < pending.index) return
    this.#settle(index === pending.index && term === pending.term ? null : 'NOT_LEADER')
  }

  /** A change that is committed is applied soon: a leader that removed itself steps down before it has applied that. */
  onDeposed(): void {
    const pending = this.#pending
    if (pending === null || (pending.newcomer === null && this.#core.status.commitIndex >= pending.index)) return
    this.#settle('NOT_LEADER')
  }

  /** Nothing more will be applied. */
  onStopped(): void {
    this.#settle('NOT_LEADER')
  }

  #refusal(): Refusal | null {
    if (this.#core.status.role !== 'leader') return 'NOT_LEADER'
    return this.#pending === null ? null : 'CHANGE_IN_PROGRESS'
  }

  #propose(next: VoterSet): Promise<Refusal | null> {
    const index = this.#core.proposeVoters(next)
    if (typeof index !== 'number') return Promise.resolve(index)
    const { term } = this.#core.status
    return new Promise((resolve) => {
      this.#pending = { newcomer: null, deadlineMs: 0, index, term, resolve }
    })
  }

  #settle(refusal: Refusal | null): void {
    const pending = this.#pending
    this.#pending = null
    pending?.resolve(refusal)
  }
}
