import type { Clock, ProducerId } from '@millrace/base'
import type { Log } from '@millrace/storage'
import type { Logger } from '../logger.ts'

/** What the limit needs of a log. */
export type ProducerLog = Pick<Log, 'producerStates' | 'currentProducers'>

/** Full or nearly so, all are counted again after so many appends that may have brought a new producer: a hundredth of the bound. */
const RECOUNT_SHARE = 0.01
/** Full, at most so often: producers go by expiry. */
const FULL_RECOUNT_MS = 1000
/** Refusals are told so often. */
const LOG_INTERVAL_MS = 60_000

/**
 * Bounds how many producers the partitions of this node remember, each producer once per partition (`producer.id.max.count`). Any id will
 * do to be remembered for `producer.id.expiration.ms`, a day, and Kafka has no bound: a client that takes a new id for each batch costs
 * half a kilobyte each time, in memory and in snapshots. At the bound producers that are known go on, and new ones are refused until others
 * have expired. The bound may be passed by a hundredth.
 */
export class ProducerLimit {
  readonly maxCount: number
  /** Batches that were refused. */
  refusals = 0
  readonly #logs: () => Iterable<ProducerLog>
  readonly #clock: Clock
  readonly #logger: Logger
  #isFull = false
  /** Appends until the next count: before, the bound cannot have been passed. */
  #appendsLeft = 0
  #countedMs = Number.NEGATIVE_INFINITY
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(maxCount: number, logs: () => Iterable<ProducerLog>, clock: Clock, logger: Logger) {
    this.maxCount = maxCount
    this.#logs = logs
    this.#clock = clock
    this.#logger = logger
  }

  /** Whether a batch of this producer may be appended to the log. Hot path. */
  admits(log: ProducerLog, producerId: ProducerId): boolean {
    this.#appendsLeft--
    if (this.#appendsLeft < 0 || this.#isFull) this.#recount()
    if (!this.#isFull || log.currentProducers().entry(producerId) !== null) return true
    this.refusals++
    this.#tell()
    return false
  }

  /** Producers in memory. Looks at every partition. */
  count(): number {
    let count = 0
    for (const log of this.#logs()) {
      if (log.producerStates.isLoaded) count += log.currentProducers().count
    }
    return count
  }

  #recount(): void {
    if (this.#isFull) {
      const nowMs = this.#clock.monotonicMs()
      if (nowMs - this.#countedMs < FULL_RECOUNT_MS) return
      this.#countedMs = nowMs
    }
    const left = this.maxCount - this.count()
    this.#isFull = left <= 0
    // The one at hand is one of them.
    this.#appendsLeft = Math.max(left, Math.ceil(this.maxCount * RECOUNT_SHARE)) - 1
  }

  #tell(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldMs < LOG_INTERVAL_MS) return
    this.#toldMs = nowMs
    const { refusals, maxCount } = this
    this.#logger.warn('new producers are refused: as many are remembered as may be', { maxCount, refusals })
  }
}
