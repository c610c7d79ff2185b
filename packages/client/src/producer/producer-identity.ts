import { createInitProducerIdRequest, initProducerIdApi } from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { throwIfError } from '../errors/protocol-error.ts'
import { isRetriable } from '../errors/retriable.ts'
import { Backoff } from '../retry/backoff.ts'
import { wait } from '../retry/wait.ts'

/** Who an idempotent producer is for one stretch of sequence numbers (KIP-98). */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

const MAX_EPOCH = 32_767
/** A producer without transactions has no transaction to time out. */
const NO_TRANSACTION_TIMEOUT_MS = 2_147_483_647

/**
 * Gets producer ids from the cluster and bumps epochs. An epoch may be bumped without asking anyone as long as there are no
 * transactions: brokers take any higher epoch that starts at sequence 0.
 */
export class ProducerIdentitySource {
  readonly #core: ClientCore
  readonly #onReady: () => void
  readonly #onFatal: (error: unknown) => void
  readonly #onRetry: (error: unknown) => void
  #current: ProducerIdentity | null = null
  #asking = false

  /**
   * `onReady` is called when `current` became usable after it was not; `onFatal` when the cluster refuses to give an id,
   * `onRetry` when it could not give one yet.
   */
  constructor(
    core: ClientCore,
    onReady: () => void,
    onFatal: (error: unknown) => void,
    onRetry: (error: unknown) => void,
  ) {
    this.#core = core
    this.#onReady = onReady
    this.#onFatal = onFatal
    this.#onRetry = onRetry
  }

  /** The identity for new sequences, or null while one is being asked for. */
  current(): ProducerIdentity | null {
    if (this.#current === null) this.#ask()
    return this.#current
  }

  /** An identity under which nothing was sent with `spent` or before: its sequences start at 0. Null while a new id is asked for. */
  after(spent: ProducerIdentity): ProducerIdentity | null {
    const current = this.#current
    if (current !== null && current.producerId === spent.producerId && current.producerEpoch <= spent.producerEpoch) {
      this.#current =
        spent.producerEpoch === MAX_EPOCH
          ? null
          : { producerId: spent.producerId, producerEpoch: spent.producerEpoch + 1 }
    }
    return this.current()
  }

  #ask(): void {
    if (this.#asking) return
    this.#asking = true
    this.#request().then(
      (identity) => {
        this.#asking = false
        this.#current = identity
        this.#onReady()
      },
      (error: unknown) => {
        this.#asking = false
        if (!this.#core.isClosed) this.#onFatal(error)
      },
    )
  }

  /** Tries for as long as errors are retriable: batches that wait have their own delivery limit. */
  async #request(): Promise<ProducerIdentity> {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#core.options
    const backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, this.#core.ports.random)
    for (;;) {
      this.#core.assertOpen()
      try {
        const message = createInitProducerIdRequest({
          transactionalId: null,
          transactionTimeoutMs: NO_TRANSACTION_TIMEOUT_MS,
        })
        const { response } = await this.#core.requestAny(initProducerIdApi, message)
        throwIfError(response.errorCode)
        return { producerId: Number(response.producerId), producerEpoch: response.producerEpoch }
      } catch (error) {
        if (!isRetriable(error)) throw error
        this.#onRetry(error)
        await wait(this.#core.ports.timers, backoff.nextMs(), this.#core.closing)
      }
    }
  }
}
