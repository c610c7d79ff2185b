import type { Timer, Timers, Uuid } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import {
  type ApiError,
  ControllerRequestError,
  ControllerUnavailableError,
  type EndpointImage,
  type MetadataImage,
  SUPPORTED_FEATURES,
} from '@millrace/consensus'

const CHECK_INTERVAL_MS = 2_000

export interface OwnRegistrationOptions {
  readonly nodeId: number
  /** Of this life of the process. */
  readonly incarnationId: Uuid
  readonly endpoints: readonly EndpointImage[]
  readonly timers: Timers
  readonly logger: Logger
  /** As far as this node knows. */
  image(): MetadataImage
  register(request: {
    readonly controllerId: number
    readonly incarnationId: Uuid
    readonly endpoints: readonly EndpointImage[]
    readonly features: readonly (readonly [string, { readonly min: number; readonly max: number }])[]
  }): Promise<ApiError | null>
}

/** Has the metadata say what this controller supports, from each of its starts on: no feature must go beyond what a voter knows (KIP-919). */
export class OwnRegistration {
  readonly #options: OwnRegistrationOptions
  #timer: Timer | null = null
  #isAsking = false
  #isClosed = false

  constructor(options: OwnRegistrationOptions) {
    this.#options = options
    this.#check()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #check(): void {
    if (this.#isClosed) return
    const { nodeId: controllerId, incarnationId, endpoints, timers, logger, image, register } = this.#options
    if (image().controllers.get(controllerId)?.incarnationId === incarnationId) return
    this.#timer = timers.setTimer(CHECK_INTERVAL_MS, () => this.#check())
    if (this.#isAsking) return
    this.#isAsking = true
    register({ controllerId, incarnationId, endpoints, features: [...SUPPORTED_FEATURES] })
      .then((refusal) => {
        if (refusal !== null) logger.warn('this controller could not be registered', { error: refusal.message })
      })
      .catch((error: unknown) => {
        if (!(error instanceof ControllerUnavailableError || error instanceof ControllerRequestError)) throw error
        logger.debug('this controller could not be registered', { error: error.message })
      })
      .finally(() => {
        this.#isAsking = false
      })
  }
}
