import type { Timer, Timers } from '@millrace/base'
import { describeError } from './coordinator/runtime/describe-error.ts'
import type { Logger } from './logger.ts'

const CHECK_MS = 1000
/** A second with fewer turns of the loop is a quiet one: a few clients that wait for records, or none. */
const QUIET_TURNS = 20
/** After so many busy seconds in a row a step is done all the same. */
const MAX_BUSY_SECONDS = 5

interface IdleWorkOptions {
  readonly timers: Timers
  readonly logger: Logger
  /** Turns of the loop in which there was something to do, so far. */
  turnCount(): number
  /** Whether the work is worth its memory by now. */
  isWanted(): boolean
}

/**
 * Does in quiet moments, one step each, what would otherwise hold the loop up when it is first needed: loading modules takes a tenth of a
 * second, whenever it is done. Where there is no quiet moment it is done all the same, in the first seconds of a broker's life and in parts:
 * sooner or later somebody asks for metrics, and the loop would be held up by all of it, under more load than now.
 */
export class IdleWork {
  readonly #options: IdleWorkOptions
  readonly #steps: (() => Promise<unknown>)[]
  #timer: Timer | null = null
  #turnsBefore = 0
  #busySeconds = 0
  #stopped = false

  constructor(steps: readonly (() => Promise<unknown>)[], options: IdleWorkOptions) {
    this.#steps = [...steps]
    this.#options = options
  }

  start(): void {
    this.#await()
  }

  /** A step under way ends by itself. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = null
  }

  #await(): void {
    if (this.#stopped || this.#steps.length === 0) return
    this.#turnsBefore = this.#options.turnCount()
    this.#timer = this.#options.timers.setTimer(CHECK_MS, () => this.#check())
  }

  #check(): void {
    const { logger, isWanted, turnCount } = this.#options
    const isQuiet = turnCount() - this.#turnsBefore < QUIET_TURNS
    if (!isQuiet) this.#busySeconds++
    const isDue = isQuiet || this.#busySeconds > MAX_BUSY_SECONDS
    const step = isDue && isWanted() ? this.#steps.shift() : undefined
    if (step === undefined) {
      this.#await()
      return
    }
    this.#busySeconds = 0
    step().then(
      () => this.#await(),
      (error: unknown) => {
        // Whoever needs it will be told. The other steps are no worse for it.
        logger.debug('work ahead of its time failed', { error: describeError(error) })
        this.#await()
      },
    )
  }
}
