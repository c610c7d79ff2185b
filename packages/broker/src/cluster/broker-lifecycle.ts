import { BaseError, type Timer, type Timers, type Uuid } from '@millrace/base'
import type { ApiError, BrokerImage, ControllerRequest, HeartbeatAnswer } from '@millrace/consensus'
import { ErrorCode, errorInfo } from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { ClusterMetadata } from './cluster-metadata.ts'
import { refusalOf } from './refusals.ts'

/** Kafka's numbers of what a broker is about (`BrokerState`). */
export const BrokerState = {
  NOT_RUNNING: 0,
  STARTING: 1,
  RECOVERY: 2,
  RUNNING: 3,
  PENDING_CONTROLLED_SHUTDOWN: 6,
  SHUTTING_DOWN: 7,
} as const
export type BrokerState = (typeof BrokerState)[keyof typeof BrokerState]

/** The cluster did not take this broker, or no controller was found in time. */
export class RegistrationError extends BaseError {
  constructor(message: string) {
    super('BROKER_NOT_REGISTERED', message)
  }
}

/** A registration without what the life cycle knows itself. */
export type RegistrationRequest = Omit<ControllerRequest<'registerBroker'>, 'previousBrokerEpoch'>

export interface BrokerLifecycleOptions {
  readonly metadata: Pick<ClusterMetadata, 'image' | 'request' | 'heartbeat' | 'catchUp' | 'brokerEpoch'>
  readonly timers: Timers
  readonly logger: Logger
  readonly heartbeatIntervalMs: number
  /** How long a start may take to be registered. */
  readonly registrationTimeoutMs: number
  /** Epoch of the life before, if nothing that was acknowledged in it can be missing here; else -1. */
  readonly previousBrokerEpoch: number
  /** Made anew for each registration: directories fail, addresses stay. */
  registration(): RegistrationRequest
  /** Ids of the log directories that failed since the start. */
  offlineDirectories(): readonly Uuid[]
  /** A registration was accepted: the epoch that requests to controllers and leaders name from now on. */
  onBrokerEpoch(epoch: number): void
  /** The cluster does not take this broker any more: the process must end. */
  onFatal(error: Error): void
}

/** One try to register; a new controller must be found within it. */
const REGISTRATION_TRY_MS = 5_000
/**
 * Most lost replicas in one request, of at most 60 bytes each: a frame of the controller's peers has 15 MiB. As many as there may be by default
 * (`max.partitions`), so that another one hardly ever has to follow, of which controllers of before would not take what is lost.
 */
const LOST_PER_REQUEST = 100_000
/** Pause before the next try after a refusal that passes. */
const REGISTRATION_RETRY_MS = 100
/** While a broker waits to be let in or out, it asks so often. */
const EAGER_HEARTBEAT_MS = 20

/** A stopping broker that hears nothing from a controller for so long has nobody to hand its leaderships to. */
const NO_CONTROLLER_MS = 3_000

/** Refusals of a registration that pass: the session of the life before ends, another controller takes over. */
const PASSING_REFUSALS: ReadonlySet<number> = new Set([
  ErrorCode.DUPLICATE_BROKER_REGISTRATION,
  ErrorCode.NOT_CONTROLLER,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
])

/**
 * A broker's life in the cluster: it registers, stays fenced until it has caught up, serves, and asks to leave. Heartbeats come from here,
 * on the thread that serves clients: if that hangs, the broker is to lose its leaderships (`design.md`, 4).
 *
 * STARTING → RECOVERY (registered) → RUNNING (unfenced) → PENDING_CONTROLLED_SHUTDOWN → SHUTTING_DOWN.
 */
export class BrokerLifecycle {
  readonly #options: BrokerLifecycleOptions
  #state: BrokerState = BrokerState.STARTING
  #registered: RegistrationRequest | null = null
  #previousBrokerEpoch: number
  #wantFence = true
  #wantShutDown = false
  #timer: Timer | null = null
  /** Wait for the state to change, or the end. */
  #onUnfenced: (() => void) | null = null
  #onReleased: (() => void) | null = null
  #isRegistering = false
  #refusal: string | null = null
  #isFenced = true
  /** Since it was last set to false. */
  #isAnswered = false

  constructor(options: BrokerLifecycleOptions) {
    this.#options = options
    this.#previousBrokerEpoch = options.previousBrokerEpoch
  }

  get state(): BrokerState {
    return this.#state
  }

  /** It serves, or served until it was taken for dead. */
  get isRunning(): boolean {
    return this.#state === BrokerState.RUNNING
  }

  /** As the controller or the metadata said last. */
  get isFenced(): boolean {
    return this.#isFenced
  }

  /** Why this broker is not registered yet; null: no try has failed. */
  get refusal(): string | null {
    return this.#refusal
  }

  /** Resolves once the cluster knows this broker, fenced, and this broker knows that it does. Rejects with {@link RegistrationError}. */
  async register(): Promise<void> {
    const { registrationTimeoutMs, timers, logger } = this.#options
    let isLate = false
    const limit = timers.setTimer(registrationTimeoutMs, () => {
      isLate = true
    })
    try {
      for (;;) {
        const refusal = await this.#tryRegister()
        if (refusal === null) break
        const text = refusal.message ?? errorInfo(refusal.code).description
        this.#refusal = text
        if (!PASSING_REFUSALS.has(refusal.code)) throw new RegistrationError(`this broker was not accepted: ${text}`)
        if (isLate) {
          throw new RegistrationError(
            `this broker could not register within ${registrationTimeoutMs} ms (initial.broker.registration.timeout.ms): ${text}`,
          )
        }
        logger.debug('this broker is not registered yet', { reason: text })
        await this.#pause(REGISTRATION_RETRY_MS)
      }
    } finally {
      limit.cancel()
    }
    this.#state = BrokerState.RECOVERY
    this.#beat()
  }

  /** The broker can serve. Resolves once it is let in. Rejects with {@link RegistrationError} if that takes too long. */
  async unfence(): Promise<void> {
    const { registrationTimeoutMs, timers } = this.#options
    this.#wantFence = false
    await new Promise<void>((resolve, reject) => {
      const limit = timers.setTimer(registrationTimeoutMs, () => {
        this.#onUnfenced = null
        reject(new RegistrationError(`no controller let this broker serve within ${registrationTimeoutMs} ms`))
      })
      this.#onUnfenced = () => {
        this.#onUnfenced = null
        limit.cancel()
        resolve()
      }
      this.#beat()
    })
    this.#state = BrokerState.RUNNING
  }

  /** Something that heartbeats tell has changed: a directory failed. */
  tellNow(): void {
    if (this.#registered !== null) this.#beat()
  }

  /**
   * Hands the leaderships to others. Resolves to whether the cluster let this broker go within the time; where it did not, its leaderships
   * move once it is gone. Where no controller answers at all, since the others are stopping too, it waits for a moment only.
   */
  controlledShutdown(timeoutMs: number): Promise<boolean> {
    if (this.#state !== BrokerState.RUNNING) return Promise.resolve(false)
    this.#state = BrokerState.PENDING_CONTROLLED_SHUTDOWN
    this.#wantShutDown = true
    const { timers } = this.#options
    return new Promise((resolve) => {
      const end = (isReleased: boolean): void => {
        this.#onReleased = null
        limit.cancel()
        silence.cancel()
        resolve(isReleased)
      }
      const watch = (): Timer => {
        this.#isAnswered = false
        return timers.setTimer(Math.min(timeoutMs, NO_CONTROLLER_MS), () => {
          if (!this.#isAnswered) end(false)
          else silence = watch()
        })
      }
      const limit = timers.setTimer(timeoutMs, () => end(false))
      let silence = watch()
      this.#onReleased = () => end(true)
      this.#beat()
    })
  }

  /** No more heartbeats. */
  close(): void {
    this.#state = BrokerState.SHUTTING_DOWN
    this.#timer?.cancel()
    this.#timer = null
  }

  /** The metadata says something new of this broker; undefined: it was unregistered. */
  onRegistration(broker: Pick<BrokerImage, 'epoch' | 'fenced'> | undefined): void {
    const { logger, metadata } = this.#options
    if (broker === undefined || broker.epoch !== metadata.brokerEpoch || broker.fenced === this.#isFenced) return
    this.#isFenced = broker.fenced
    if (this.#state !== BrokerState.RUNNING) return
    const fields = { brokerEpoch: broker.epoch }
    if (broker.fenced) logger.warn('the controller took this broker for dead: its leaderships go to others', fields)
    else logger.info('this broker serves again', fields)
  }

  /** From the controller. */
  onHeartbeatAnswer(answer: HeartbeatAnswer): void {
    if (this.#state === BrokerState.SHUTTING_DOWN) return
    if (answer.errorCode === ErrorCode.STALE_BROKER_EPOCH) {
      this.#registerAgain()
      return
    }
    if (answer.errorCode !== ErrorCode.NONE) {
      this.#options.logger.warn('the controller refused a heartbeat', { error: errorInfo(answer.errorCode).name })
      return
    }
    this.#isFenced = answer.isFenced
    this.#isAnswered = true
    if (!answer.isFenced) this.#onUnfenced?.()
    if (answer.shouldShutDown) this.#onReleased?.()
  }

  /** Null: done, and applied here. */
  async #tryRegister(): Promise<ApiError | null> {
    const { metadata, onBrokerEpoch } = this.#options
    const registration = this.#options.registration()
    try {
      for (const lostReplicas of pagesOf(registration.lostReplicas ?? [])) {
        const request = { ...registration, lostReplicas, previousBrokerEpoch: this.#previousBrokerEpoch }
        const answer = await metadata.request('registerBroker', request, REGISTRATION_TRY_MS)
        if ('code' in answer) return answer
        // Of this life from here on: it ends nothing that another registration would have to know of.
        this.#previousBrokerEpoch = answer.brokerEpoch
      }
      this.#registered = registration
      // Not before all is told: no heartbeat may ask to be let in until then.
      onBrokerEpoch(this.#previousBrokerEpoch)
      if (await metadata.catchUp(REGISTRATION_TRY_MS)) return null
      return { code: ErrorCode.REQUEST_TIMED_OUT, message: 'the metadata of this node does not follow' }
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal === null) throw error
      return refusal
    }
  }

  /** Somebody unregistered this broker, or a life of it that this one does not know of took its place. */
  #registerAgain(): void {
    if (this.#isRegistering || this.#registered === null) return
    this.#isRegistering = true
    this.#options.logger.warn('the cluster does not know this broker any more; it registers again', {
      brokerEpoch: this.#options.metadata.brokerEpoch,
    })
    this.#tryRegister().then(
      (refusal) => {
        this.#isRegistering = false
        if (refusal === null) this.#beat()
        else if (!PASSING_REFUSALS.has(refusal.code)) {
          const text = refusal.message ?? errorInfo(refusal.code).description
          this.#options.onFatal(new RegistrationError(`the cluster does not take this broker any more: ${text}`))
        }
      },
      (error: unknown) => this.#options.onFatal(error instanceof Error ? error : new Error(String(error))),
    )
  }

  /** Tells the controller at once, and again after a while. */
  #beat(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#state === BrokerState.SHUTTING_DOWN || this.#registered === null) return
    const { metadata, timers, heartbeatIntervalMs } = this.#options
    metadata.heartbeat({
      brokerId: this.#registered.brokerId,
      brokerEpoch: metadata.brokerEpoch,
      incarnationId: this.#registered.incarnationId,
      appliedOffset: metadata.image.offset,
      wantFence: this.#wantFence,
      wantShutDown: this.#wantShutDown,
      offlineDirectories: this.#options.offlineDirectories(),
    })
    const isWaiting = this.#onUnfenced !== null || this.#onReleased !== null
    this.#timer = timers.setTimer(isWaiting ? EAGER_HEARTBEAT_MS : heartbeatIntervalMs, () => this.#beat())
  }

  #pause(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.timers.setTimer(durationMs, resolve)
    })
  }
}

/** One page at least. */
function pagesOf<Item>(items: readonly Item[]): (readonly Item[])[] {
  const pages = [items.slice(0, LOST_PER_REQUEST)]
  for (let start = LOST_PER_REQUEST; start < items.length; start += LOST_PER_REQUEST) {
    pages.push(items.slice(start, start + LOST_PER_REQUEST))
  }
  return pages
}
