import type { Timer, Timers } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import { type ApiError, ControllerRequestError, ControllerUnavailableError } from '@millrace/consensus'

const CHECK_INTERVAL_MS = 2_000

/** What this controller asks the quorum's leader for, on its own behalf. */
export interface OwnRequest {
  /** Gives the leader's refusal, or null. Throws `ControllerUnavailableError` or `ControllerRequestError` where no answer came. */
  send(): Promise<ApiError | null>
  /** Logged when it was granted; nothing if left out. */
  readonly success?: string
  /** Logged when it was not. */
  readonly failure: string
  readonly fields?: Readonly<Record<string, unknown>>
}

export interface RepeatedRequestOptions {
  readonly timers: Timers
  readonly logger: Logger
  /** What there is to ask for; null: nothing as things are, `done`: it need not look any more. */
  next(): OwnRequest | null | 'done'
}

/** Looks every two seconds whether there is something to ask for, and asks, one request at a time, until it is granted. */
export class RepeatedRequest {
  readonly #options: RepeatedRequestOptions
  #timer: Timer | null = null
  #isAsking = false
  #isClosed = false

  constructor(options: RepeatedRequestOptions) {
    this.#options = options
    this.#check()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #check(): void {
    if (this.#isClosed) return
    const request = this.#options.next()
    if (request === 'done') return
    this.#timer = this.#options.timers.setTimer(CHECK_INTERVAL_MS, () => this.#check())
    if (request !== null && !this.#isAsking) this.#ask(request)
  }

  #ask({ send, success, failure, fields = {} }: OwnRequest): void {
    const { logger } = this.#options
    this.#isAsking = true
    send()
      .then((refusal) => {
        if (refusal !== null) logger.warn(failure, { ...fields, error: refusal.message })
        else if (success !== undefined) logger.info(success, fields)
      })
      .catch((error: unknown) => {
        if (!(error instanceof ControllerUnavailableError || error instanceof ControllerRequestError)) throw error
        logger.debug(failure, { ...fields, error: error.message })
      })
      .finally(() => {
        this.#isAsking = false
      })
  }
}
