import type { Clock, Timer, Timers } from '@millrace/base'
import type { Quorum } from '../quorum/quorum.ts'
import type { LogIndex } from '../raft/types.ts'
import { ControllerRequestError } from './controller-errors.ts'
import type { ControllerAnswer, ControllerRequest, ControllerRequestName } from './controller-requests.ts'
import type { RequestOutcome } from './peer-protocol.ts'
import { performRequest, type RequestScene } from './perform-request.ts'
import { addVoter, CaughtUpTimes, describeQuorum, removeVoter, updateVoter } from './quorum-requests.ts'
import { NotControllerError } from './write-queue.ts'

interface BarrierWaiter {
  readonly index: LogIndex
  resolve(offset: number): void
  reject(error: Error): void
}

/** How often it is looked who has caught up. */
const SAMPLE_MS = 250

/** All that a leading node answers: what rules work out, and what it knows of the quorum itself. Lives for one term. */
export class LeaderRequests {
  readonly #quorum: Quorum
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #tickMs: number
  readonly #caughtUp = new CaughtUpTimes()
  #waiters: BarrierWaiter[] = []
  #applied: { readonly index: LogIndex; readonly offset: number } = { index: 0, offset: 0 }
  #sampling: Timer | null = null
  #ended = false

  constructor(quorum: Quorum, clock: Clock, timers: Timers, tickMs: number) {
    this.#quorum = quorum
    this.#clock = clock
    this.#timers = timers
    this.#tickMs = tickMs
    this.#sample()
  }

  /** Never rejects for anything that was planned. */
  async perform(
    name: ControllerRequestName,
    scene: RequestScene,
    request: ControllerRequest<ControllerRequestName>,
    notController: (mayBeDone: boolean) => RequestOutcome,
  ): Promise<RequestOutcome> {
    try {
      return { status: 'done', answer: await this.#answer(name, scene, request) }
    } catch (error) {
      if (error instanceof NotControllerError) return notController(error.mayBeDone)
      if (!(error instanceof ControllerRequestError)) throw error
      return { status: 'failed', errorCode: error.errorCode, message: error.message }
    }
  }

  /** The image holds the log up to an index; its offset then. */
  onApplied(index: LogIndex, offset: number): void {
    this.#applied = { index, offset }
    const waiting = this.#waiters
    this.#waiters = waiting.filter((waiter) => waiter.index > index)
    for (const waiter of waiting) if (waiter.index <= index) waiter.resolve(offset)
  }

  end(): void {
    this.#ended = true
    this.#sampling?.cancel()
    const waiting = this.#waiters
    this.#waiters = []
    for (const waiter of waiting) waiter.reject(new NotControllerError(false))
  }

  #answer(
    name: ControllerRequestName,
    scene: RequestScene,
    request: ControllerRequest<ControllerRequestName>,
  ): Promise<ControllerAnswer<ControllerRequestName>> {
    switch (name) {
      case 'describeQuorum':
        return Promise.resolve(describeQuorum(this.#quorum, this.#caughtUp, this.#clock, this.#tickMs))
      case 'addVoter':
        return addVoter(this.#quorum, request as ControllerRequest<'addVoter'>)
      case 'removeVoter':
        return removeVoter(this.#quorum, request as ControllerRequest<'removeVoter'>)
      case 'updateVoter':
        return updateVoter(this.#quorum, request as ControllerRequest<'updateVoter'>)
      case 'readBarrier':
        return this.#readBarrier()
      default:
        return performRequest(name, scene, request as ControllerRequest<typeof name>)
    }
  }

  async #readBarrier(): Promise<{ offset: number }> {
    let index: LogIndex
    try {
      index = await this.#quorum.readIndex()
    } catch {
      // Whatever kept the quorum from confirming it, nothing was done: the asker looks for who leads now.
      throw new NotControllerError(false)
    }
    if (this.#ended) throw new NotControllerError(false)
    if (this.#applied.index >= index) return { offset: this.#applied.offset }
    const offset = await new Promise<number>((resolve, reject) => this.#waiters.push({ index, resolve, reject }))
    return { offset }
  }

  #sample(): void {
    this.#caughtUp.sample(this.#quorum, this.#clock.wallMs())
    this.#sampling = this.#timers.setTimer(SAMPLE_MS, () => this.#sample())
  }
}
