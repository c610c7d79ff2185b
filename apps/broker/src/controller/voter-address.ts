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

export interface VoterAddressOptions {
  /** This node as the settings have it. */
  readonly self: Voter
  readonly timers: Timers
  readonly logger: Logger
  /** As this node's log has them. */
  voters(): VoterSet
  /** Asks the leader to change the entry (UpdateRaftVoter, KIP-853). */
  update(voter: Voter): Promise<ApiError | null>
}

/**
 * Has the voters changed when this node's settings name another address than they do: a voter that moved must tell the others itself, since
 * they know it by what the log says.
 */
export class VoterAddress {
  readonly #options: VoterAddressOptions
  #timer: Timer | null = null
  #isAsking = false
  #isClosed = false

  constructor(options: VoterAddressOptions) {
    this.#options = options
    this.#check()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #check(): void {
    if (this.#isClosed) return
    this.#timer = this.#options.timers.setTimer(CHECK_INTERVAL_MS, () => this.#check())
    const { self, voters } = this.#options
    const known = voters().find(({ id, directoryId }) => id === self.id && directoryId === self.directoryId)
    if (known === undefined || this.#isAsking) return
    if (known.host !== self.host || known.port !== self.port) this.#ask(known)
  }

  #ask(known: Voter): void {
    const { self, logger, update } = this.#options
    this.#isAsking = true
    const fields = { from: `${known.host}:${known.port}`, to: `${self.host}:${self.port}` }
    update(self)
      .then((refusal) => {
        if (refusal === null) logger.info('the other nodes know the new address of this voter', fields)
        else logger.warn('the address of this voter could not be changed', { ...fields, error: refusal.message })
      })
      .catch((error: unknown) => {
        if (!(error instanceof ControllerUnavailableError || error instanceof ControllerRequestError)) throw error
        logger.debug('the address of this voter could not be changed', { ...fields, error: error.message })
      })
      .finally(() => {
        this.#isAsking = false
      })
  }
}
