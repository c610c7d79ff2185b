import type { Clock, ProducerId } from '@millrace/base'
import type { Log } from '@millrace/storage'
import { isShared, roomForClient, shareKeyOf } from '../client-share.ts'
import type { Logger } from '../logger.ts'

/** What the limit needs of a log. */
export type ProducerLog = Pick<Log, 'producerStates' | 'currentProducers'>

/** All are counted again so often at most: at that many partitions it is work. */
const RECOUNT_MS = 1000
/** Far below the bound they are counted after so many appends at least, any of which may have brought a new one. */
const RECOUNT_SHARE = 0.01
/** Refusals are told so often. */
const LOG_INTERVAL_MS = 60_000

/**
 * Bounds how many producers the partitions of this node remember, each producer once per partition (`producer.id.max.count`). Any id will
 * do to be remembered for `producer.id.expiration.ms`, a day, and Kafka has no bound: a client that takes a new id for each batch costs
 * half a kilobyte each time, in memory and in snapshots. At the bound producers that are known go on, and new ones are refused until others
 * have expired. From half of it on each client address has a share of what is left (`client-share.ts`), anew whenever that long is over,
 * so that one that takes new ids all the time is refused itself. What a log has kept over a restart is in memory, and counts, only from when it is written to: with
 * many such logs the bound may be passed by what they hold.
 */
export class ProducerLimit {
  readonly maxCount: number
  /** Batches that were refused. */
  refusals = 0
  readonly #logs: () => Iterable<ProducerLog>
  /** By when most of the producers that were admitted at a time are forgotten. */
  readonly #expirationMs: () => number
  readonly #clock: Clock
  readonly #logger: Logger
  /** From half of the bound on; below, nothing is looked up. */
  #isShared = false
  /** As of the last count, and what was admitted since. Exact only where clients have shares. */
  #used = 0
  /** Appends until the next count: before, half of the bound cannot have been passed but by logs that were loaded. */
  #appendsLeft = 0
  #countedMs = Number.NEGATIVE_INFINITY
  #toldMs = Number.NEGATIVE_INFINITY
  /** New producers by client since the window began. */
  readonly #held = new Map<string, number>()
  #windowMs = 0

  /** `expirationMs` gives `producer.id.expiration.ms`. */
  constructor(
    maxCount: number,
    logs: () => Iterable<ProducerLog>,
    expirationMs: () => number,
    clock: Clock,
    logger: Logger,
  ) {
    this.maxCount = maxCount
    this.#logs = logs
    this.#expirationMs = expirationMs
    this.#clock = clock
    this.#logger = logger
  }

  /** Whether a batch of this producer may be appended to the log. Hot path. */
  admits(log: ProducerLog, producerId: ProducerId, clientAddress: string): boolean {
    this.#appendsLeft--
    if (this.#appendsLeft < 0) this.#maybeRecount()
    if (!this.#isShared || log.currentProducers().isWriter(producerId)) return true
    if (this.#takeShare(clientAddress)) return true
    this.refusals++
    this.#tell(clientAddress)
    return false
  }

  /** Producers in memory that have written something; the others have a bound of their own. Looks at every partition. */
  count(): number {
    let count = 0
    for (const log of this.#logs()) {
      if (log.producerStates.isLoaded) count += log.currentProducers().writerCount
    }
    return count
  }

  #takeShare(clientAddress: string): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#windowMs >= this.#expirationMs()) {
      this.#windowMs = nowMs
      this.#held.clear()
    }
    const key = shareKeyOf(clientAddress)
    const held = this.#held.get(key) ?? 0
    if (roomForClient(this.maxCount, this.#used, held) <= 0) return false
    this.#held.set(key, held + 1)
    this.#used++
    return true
  }

  /** Where clients have shares, what comes is added up in between, and what expires is found a second later. */
  #maybeRecount(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#isShared && nowMs - this.#countedMs < RECOUNT_MS) return
    this.#countedMs = nowMs
    this.#used = this.count()
    this.#isShared = isShared(this.maxCount, this.#used)
    const untilShared = Math.ceil(this.maxCount / 2) - this.#used
    // The one at hand is one of them.
    this.#appendsLeft = this.#isShared ? 0 : Math.max(untilShared, Math.ceil(this.maxCount * RECOUNT_SHARE)) - 1
  }

  #tell(clientAddress: string): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldMs < LOG_INTERVAL_MS) return
    this.#toldMs = nowMs
    const { refusals, maxCount } = this
    this.#logger.warn('new producers are refused: as many are remembered as may be, or as one client may have', {
      maxCount,
      refusals,
      clientAddress,
    })
  }
}
