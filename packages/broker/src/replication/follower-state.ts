import type { Offset } from '@millrace/base'

/**
 * What a leader knows of one follower, from its fetches alone. A follower fetches from where its own log is durable (with
 * `write.caching`: written), so its fetch offset is the end of what it holds for certain (`design.md`, 5).
 */
export class FollowerState {
  readonly brokerId: number
  /** What it holds for certain ends here; -1 until it has fetched from this leader. */
  endOffset: Offset = -1
  logStartOffset: Offset = -1
  /** Where the records began that it was given last, -1: none. */
  servedOffset: Offset = -1
  /** Epoch of the broker as of its last fetch; -1: it has not fetched yet. */
  brokerEpoch = -1
  /** When it last had all that the leader had. */
  lastCaughtUpMs: number
  /** In the committed ISR. */
  isInSync: boolean
  /** In the committed ISR or in one that was proposed and may be committed already (R1). */
  isCounted: boolean
  #lastFetchMs = -1
  #leaderEndAtLastFetch: Offset = -1

  /** A new leader gives members of the ISR the benefit of the doubt: they are taken for caught up now. */
  constructor(brokerId: number, isInSync: boolean, nowMs: number) {
    this.brokerId = brokerId
    this.lastCaughtUpMs = isInSync ? nowMs : Number.NEGATIVE_INFINITY
    this.isInSync = isInSync
    this.isCounted = isInSync
  }

  /**
   * A fetch arrived. Who fetches from the leader's end is caught up now; who fetches from where the end was at the fetch before was
   * caught up then: under load nobody would ever be at the very end.
   */
  onFetch(fetchOffset: Offset, logStartOffset: Offset, brokerEpoch: number, leaderEnd: Offset, nowMs: number): void {
    if (fetchOffset >= leaderEnd) this.lastCaughtUpMs = Math.max(this.lastCaughtUpMs, nowMs)
    else if (this.#lastFetchMs >= 0 && fetchOffset >= this.#leaderEndAtLastFetch) {
      this.lastCaughtUpMs = Math.max(this.lastCaughtUpMs, this.#lastFetchMs)
    }
    this.endOffset = fetchOffset
    this.logStartOffset = logStartOffset
    this.brokerEpoch = brokerEpoch
    this.#lastFetchMs = nowMs
    this.#leaderEndAtLastFetch = leaderEnd
  }

  isCaughtUp(leaderEnd: Offset, nowMs: number, maxLagMs: number): boolean {
    return this.endOffset >= leaderEnd || nowMs - this.lastCaughtUpMs <= maxLagMs
  }
}
