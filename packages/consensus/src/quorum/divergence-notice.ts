import type { RaftStatus } from '../raft/types.ts'
import { DivergedLogError } from './quorum-errors.ts'

const INTERVAL_MS = 60_000

/** Says that this node's log does not fit the leader's, at most once a minute. */
export class DivergenceNotice {
  #toldCount = 0
  #toldMs = Number.NEGATIVE_INFINITY

  /** What there is to say, or null. */
  take({ chainMismatches, mendedDivergences, leaderId, self }: RaftStatus, nowMs: number): DivergedLogError | null {
    if (chainMismatches === this.#toldCount || nowMs - this.#toldMs < INTERVAL_MS) return null
    this.#toldCount = chainMismatches
    this.#toldMs = nowMs
    return new DivergedLogError(self.id, leaderId, chainMismatches, mendedDivergences === chainMismatches)
  }
}
