import type { Timer, Timers } from '@millrace/base'
import type { Logger } from '@millrace/broker'

const CHECK_INTERVAL_MS = 5_000
/** One check may fall into an election. */
const CHECKS_BEFORE_WARNING = 2
/** Again every half minute: often enough for whoever looks at the end of a log. */
const CHECKS_PER_WARNING = 6

export interface QuorumWatchOptions {
  readonly nodeId: number
  readonly timers: Timers
  readonly logger: Logger
  /** As far as this node knows; null: nobody leads. */
  leaderId(): number | null
  /** Ids of the voters, or of the controllers that the settings name while no voters are known. */
  voters(): readonly number[]
  /** The nodes to which there is a connection. */
  connected(): ReadonlySet<number>
}

/**
 * Knows whom a quorum without a leader lacks. Says, after five to ten seconds and then twice a minute, that the quorum has no leader, and
 * which of its voters are not reached.
 */
export class QuorumWatch {
  readonly #options: QuorumWatchOptions
  #timer: Timer
  #leaderlessCount = 0

  constructor(options: QuorumWatchOptions) {
    this.#options = options
    this.#timer = this.#next()
  }

  /** The voters, and those of them, this node aside, that it does not reach; null: the quorum has a leader. */
  get leaderless(): { readonly voters: readonly number[]; readonly missing: readonly number[] } | null {
    const { nodeId, leaderId, voters, connected } = this.#options
    if (leaderId() !== null) return null
    const all = voters()
    const reached = connected()
    return { voters: all, missing: all.filter((id) => id !== nodeId && !reached.has(id)) }
  }

  close(): void {
    this.#timer.cancel()
  }

  #next(): Timer {
    return this.#options.timers.setTimer(CHECK_INTERVAL_MS, () => {
      this.#timer = this.#next()
      this.#check()
    })
  }

  #check(): void {
    const { leaderless } = this
    if (leaderless === null) {
      this.#leaderlessCount = 0
      return
    }
    const warnable = ++this.#leaderlessCount - CHECKS_BEFORE_WARNING
    if (warnable < 0 || warnable % CHECKS_PER_WARNING !== 0) return
    const { missing, voters } = leaderless
    const message = 'the quorum has no leader: this node waits for a majority of the voters'
    this.#options.logger.warn(message, { missing, voters })
  }
}
