import type { Timer, Timers } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import {
  type ApiError,
  ControllerRequestError,
  ControllerUnavailableError,
  type Voter,
  type VoterSet,
} from '@millrace/consensus'

const CHECK_INTERVAL_MS = 2_000

export interface OwnVoteOptions {
  /** This controller as the settings have it. */
  readonly self: Voter
  /** The settings name it among the first voters, so they say where it is. */
  readonly isNamed: boolean
  /** It asks to become a voter if none has its id (`controller.quorum.auto.join.enable`). */
  readonly joins: boolean
  readonly timers: Timers
  readonly logger: Logger
  /** As this node's log has them; empty while it says nothing of them, as that of a quorum whose voters never changed. */
  voters(): VoterSet
  /** Asks the leader to change the entry (UpdateRaftVoter, KIP-853). */
  update(voter: Voter): Promise<ApiError | null>
  /** Asks the leader for a vote (AddRaftVoter). */
  add(voter: Voter): Promise<ApiError | null>
}

/**
 * Keeps the voters' entry of this controller right. One that moved must tell the others itself, since they know it by what the log says;
 * one that joined later may ask for a vote.
 */
export class OwnVote {
  readonly #options: OwnVoteOptions
  #timer: Timer | null = null
  #isAsking = false
  #isClosed = false

  constructor(options: OwnVoteOptions) {
    this.#options = options
    this.#check()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #check(): void {
    if (this.#isClosed) return
    const { self, isNamed, joins, timers, update, add } = this.#options
    this.#timer = timers.setTimer(CHECK_INTERVAL_MS, () => this.#check())
    if (this.#isAsking) return
    const known = this.#options.voters().find(({ id }) => id === self.id)
    if (known === undefined) {
      // Named and not there: it was taken out, and whoever did that would not want it back.
      if (joins && !isNamed) this.#ask('this controller has a vote now', () => add(self))
    } else if (isNamed && known.directoryId === self.directoryId) {
      const hasMoved = known.host !== self.host || known.port !== self.port
      if (hasMoved) this.#ask('the other nodes know the new address of this voter', () => update(self))
    }
  }

  #ask(success: string, request: () => Promise<ApiError | null>): void {
    const { self, logger } = this.#options
    const fields = { address: `${self.host}:${self.port}` }
    this.#isAsking = true
    request()
      .then((refusal) => {
        if (refusal === null) logger.info(success, fields)
        else logger.warn('the voters could not be changed', { ...fields, error: refusal.message })
      })
      .catch((error: unknown) => {
        if (!(error instanceof ControllerUnavailableError || error instanceof ControllerRequestError)) throw error
        logger.debug('the voters could not be changed', { ...fields, error: error.message })
      })
      .finally(() => {
        this.#isAsking = false
      })
  }
}
