import type { Entry, RaftStatus, Term } from '../raft/types.ts'
import type { QuorumListener } from './quorum.ts'

/** Tells the listener who leads, each thing once and in order: a lost leadership before the next leader. */
export class QuorumNews {
  readonly #listener: Pick<QuorumListener, 'onElected' | 'onDeposed' | 'onLeader'>
  #leaderId: number | null = null
  #term: Term = 0
  /** In which this node was told to be elected; 0: it is not. */
  #electedTerm: Term = 0

  constructor(listener: Pick<QuorumListener, 'onElected' | 'onDeposed' | 'onLeader'>) {
    this.#listener = listener
  }

  tell({ role, term, leaderId }: RaftStatus): void {
    if (this.#electedTerm !== 0 && (role !== 'leader' || term !== this.#electedTerm)) {
      const deposedTerm = this.#electedTerm
      this.#electedTerm = 0
      this.#listener.onDeposed(deposedTerm)
    }
    if (leaderId === this.#leaderId && (term === this.#term || leaderId === null)) return
    this.#leaderId = leaderId
    this.#term = term
    this.#listener.onLeader(leaderId, term)
  }

  /** A leader's first entry is empty: all of earlier terms is applied with it. */
  onApplied(entry: Entry, { role, term }: RaftStatus): void {
    if (entry.kind !== 'empty' || role !== 'leader' || term !== entry.term || this.#electedTerm === term) return
    this.#electedTerm = term
    this.#listener.onElected(term)
  }
}
