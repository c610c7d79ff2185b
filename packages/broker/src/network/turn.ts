import type { Clock } from '@millrace/base'
import { FairReads } from './fair-reads.ts'

/**
 * One turn of the event loop, made explicit. While sockets are read, work only piles up: records are staged, answers are
 * remembered, coordinators collect their writes. At the end of the turn it happens in one fixed order, each step once for all
 * connections: coordinators append, staged records reach their files, high watermarks move, answers are sent. So an answer
 * never leaves before the write it speaks of, and a turn with a hundred requests costs one write per log and per connection.
 */
export class Turn {
  readonly #schedule: (callback: () => void) => void
  readonly #run: () => void
  #scheduled = false
  #running = false
  #appends: (() => void)[] = []
  #answers: (() => void)[] = []
  readonly #flushStaged: () => void
  readonly #clock: TurnClock
  /** Shares the turn among the connections. */
  readonly reads = new FairReads()

  /** `schedule` runs a callback once, soon, after the sockets that are readable now: `setImmediate`. */
  constructor(schedule: (callback: () => void) => void, flushStaged: () => void, clock: Clock) {
    this.#schedule = schedule
    this.#flushStaged = flushStaged
    this.#clock = new TurnClock(clock, () => this.request())
    this.#run = () => this.#runTurn()
  }

  /** The time as of its first use in this turn: reading a clock for each request would cost it several percent. */
  get clock(): Clock {
    return this.#clock
  }

  /** Makes sure that the end of the turn comes. Cheap when it is scheduled already. */
  request(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(this.#run)
  }

  /** Runs before staged records are written: for work that appends. It may enqueue more of its kind, which runs in this turn too. */
  beforeFlush(callback: () => void): void {
    this.#appends.push(callback)
    this.request()
  }

  /** Runs after staged records were written: for work that answers. */
  afterFlush(callback: () => void): void {
    this.#answers.push(callback)
    this.request()
  }

  #runTurn(): void {
    this.#scheduled = false
    this.#clock.forget()
    if (this.#running) return
    this.#running = true
    this.reads.onTurnEnd()
    try {
      // Work that appends may provoke answers that append again (a commit that follows a join). Bounded: what is left waits.
      for (let round = 0; round < 16 && this.#appends.length > 0; round++) {
        const appends = this.#appends
        this.#appends = []
        for (let i = 0; i < appends.length; i++) appends[i]!()
      }
      this.#flushStaged()
      const answers = this.#answers
      this.#answers = []
      for (let i = 0; i < answers.length; i++) answers[i]!()
    } finally {
      this.#running = false
      if (this.#appends.length > 0 || this.#answers.length > 0) this.request()
    }
  }
}

/** Reads each of the process's clocks once a turn. */
class TurnClock implements Clock {
  readonly #clock: Clock
  readonly #onRead: () => void
  #monotonicMs = -1
  #wallMs = -1

  constructor(clock: Clock, onRead: () => void) {
    this.#clock = clock
    this.#onRead = onRead
  }

  monotonicMs(): number {
    if (this.#monotonicMs < 0) {
      this.#monotonicMs = this.#clock.monotonicMs()
      this.#onRead()
    }
    return this.#monotonicMs
  }

  wallMs(): number {
    if (this.#wallMs < 0) {
      this.#wallMs = this.#clock.wallMs()
      this.#onRead()
    }
    return this.#wallMs
  }

  /** The turn ends. */
  forget(): void {
    this.#monotonicMs = -1
    this.#wallMs = -1
  }
}
