import type { Clock } from '@millrace/base'
import type { Logger } from '../../logger.ts'
import type { GroupCounters } from './group-counters.ts'
import type { GroupLimits } from './group-limits.ts'

/** Refusals for want of room are told so often. */
const LOG_INTERVAL_MS = 60_000

/** Tells the log that joins or commits are refused because of {@link GroupLimits}: now and then, since clients try again and again. */
export class LimitRefusals {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #counters: GroupCounters
  readonly #limits: GroupLimits
  #toldCount = 0
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, logger: Logger, counters: GroupCounters, limits: GroupLimits) {
    this.#clock = clock
    this.#logger = logger
    this.#counters = counters
    this.#limits = limits
  }

  /** To be called after whatever may have been refused. */
  maybeTell(): void {
    const { limitRefusals } = this.#counters
    if (limitRefusals === this.#toldCount) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldMs < LOG_INTERVAL_MS) return
    const { groups, members, offsets, bytes } = this.#limits.usage
    this.#logger.warn('joins or commits are refused: the groups of this node hold as much as they may', {
      refusals: limitRefusals - this.#toldCount,
      ...{ groups, members, offsets, bytes },
    })
    this.#toldCount = limitRefusals
    this.#toldMs = nowMs
  }
}
