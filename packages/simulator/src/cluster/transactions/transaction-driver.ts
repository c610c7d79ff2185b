import { type ConsumerGroupMetadata, type OffsetToCommit, Producer, type Transaction } from '@millrace/client'
import type { World } from '../../world/world.ts'
import { CLOSE_LIMIT_MS, REQUEST_TIMEOUT_MS } from '../client-host.ts'
import type { LeaderView } from '../leader-view.ts'
import { type ClientProcess, ProcessEndedError } from './client-process.ts'
import type { GhostLife, GhostTransaction, TransactionGhost } from './transaction-ghost.ts'

/** How a transaction ended, as far as its producer knows. `unknown`: the producer can do no more. */
export type DrivenOutcome = 'committed' | 'aborted' | 'unknown'

export interface DriverOptions {
  readonly world: World
  readonly process: ClientProcess
  readonly ghost: TransactionGhost
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  readonly deliveryTimeoutMs: number
  readonly leaders: LeaderView
}

/** What the work of a transaction may do with it. */
export interface OpenTransaction {
  readonly ghost: GhostTransaction
  /** Hands in a record and does not wait for it. `note` ends its value. */
  send(topic: string, partition: number, note?: string): void
  /** False: it did not work, and only an abort is left. */
  sendOffsets(offsets: readonly OffsetToCommit[], group: ConsumerGroupMetadata): Promise<boolean>
}

/** Limit of each call about transactions; what is not known then is asked for again. */
const MAX_BLOCK_MS = 10_000
/** An end that nobody answers is waited for so often; then the process is ended, as its supervisor would. */
const WAITS_MAX = 4

/** A producer with a transactional id, whose every step the ghost hears of. */
export class TransactionDriver {
  readonly #options: DriverOptions
  readonly #producer: Producer
  #life: GhostLife | null = null
  /** While an identity, or another epoch of it, may be asked for. */
  #asking: GhostLife | null = null
  #isOver = false

  constructor(options: DriverOptions) {
    this.#options = options
    const { process, transactionalId, transactionTimeoutMs, deliveryTimeoutMs } = options
    this.#producer = new Producer({
      ...process.options,
      transactionalId,
      transactionTimeoutMs,
      deliveryTimeoutMs,
      requestTimeoutMs: Math.min(REQUEST_TIMEOUT_MS, deliveryTimeoutMs / 2),
      maxBlockMs: MAX_BLOCK_MS,
      onRetry: () => {
        if (this.#asking !== null) options.ghost.onIdentityNotHeard(this.#asking)
      },
    })
  }

  /** The producer can do no more transactions. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Gets the identity by which all earlier producers of the id are fenced. False: none was to be had. */
  async init(): Promise<boolean> {
    const { ghost, transactionalId, process } = this.#options
    const life = ghost.onIdentityAsked(transactionalId)
    await this.#asked(life, async () => {
      for (let count = 0; count < WAITS_MAX && this.#life === null; count++) {
        await process.call('init of transactions', async () => {
          await this.#producer.initTransactions()
          ghost.onIdentified(life)
          this.#life = life
        })
      }
      return this.#life !== null
    })
    return this.#life !== null
  }

  /** One transaction: `work` says how it is to end. Throws {@link ProcessEndedError} if the process ends amid it. */
  async transact(work: (open: OpenTransaction) => Promise<'commit' | 'abort'>): Promise<DrivenOutcome> {
    const { ghost, transactionTimeoutMs } = this.#options
    const begun: { transaction: Transaction | null; failure: unknown } = { transaction: null, failure: null }
    // After an abort it gets another epoch first.
    await this.#asked(this.#life!, async () => {
      begun.failure = await this.#attempt('begin of a transaction', async () => {
        begun.transaction = await this.#producer.begin()
      })
      return begun.transaction !== null
    })
    const { transaction } = begun
    if (transaction === null) return this.#afterFailure(begun.failure)
    const ghostly = ghost.begin(this.#life!, transactionTimeoutMs)
    const sends: Promise<void>[] = []
    const wish = await work({
      ghost: ghostly,
      send: (topic, partition, note) => {
        sends.push(this.#options.process.own(this.#send(transaction, ghostly, topic, partition, note)))
      },
      sendOffsets: async (offsets, group) => {
        const why = await this.#attempt('offsets in a transaction', () => transaction.sendOffsets(offsets, group))
        if (why !== null) this.#afterFailure(why)
        return why === null
      },
    })
    const outcome =
      wish === 'commit' ? await this.#commit(transaction, ghostly) : await this.#abort(transaction, ghostly)
    await Promise.all(sends)
    return outcome
  }

  async close(): Promise<void> {
    await this.#options.process.call('close of a producer', () => this.#producer.close({ timeoutMs: CLOSE_LIMIT_MS }))
  }

  async #send(
    transaction: Transaction,
    ghostly: GhostTransaction,
    topic: string,
    partition: number,
    note?: string,
  ): Promise<void> {
    const { ghost } = this.#options
    const record = ghost.onSend(ghostly, topic, partition, note)
    await this.#attempt('transactional send', async () => {
      const stored = await transaction.send({ topic, partition, value: record.value })
      ghost.onStored(record, Number(stored.offset))
    })
  }

  async #commit(transaction: Transaction, ghostly: GhostTransaction): Promise<DrivenOutcome> {
    const { ghost, world, leaders } = this.#options
    const epoch = leaders.epoch('__transaction_state')
    ghost.onCommitting(ghostly)
    for (let count = 0; count < WAITS_MAX; count++) {
      const failure = await this.#attempt('commit of a transaction', async () => {
        await transaction.commit()
        ghost.onCommitted(ghostly)
      })
      if (failure === null) {
        if (leaders.epoch('__transaction_state') !== epoch) world.mark('commit over a change of coordinator')
        return 'committed'
      }
      if (codeOf(failure) === 'TIMEOUT') continue
      if (this.#afterFailure(failure) === 'unknown') return 'unknown'
      return this.#abort(transaction, ghostly)
    }
    return this.#giveUp()
  }

  async #abort(transaction: Transaction, ghostly: GhostTransaction): Promise<DrivenOutcome> {
    if (this.#isOver) return 'unknown'
    const { ghost } = this.#options
    ghost.onAborting(ghostly)
    for (let count = 0; count < WAITS_MAX; count++) {
      const failure = await this.#attempt('abort of a transaction', async () => {
        await transaction.abort()
        ghost.onAborted(ghostly)
      })
      if (failure === null) return 'aborted'
      if (codeOf(failure) !== 'TIMEOUT') return this.#afterFailure(failure)
    }
    return this.#giveUp()
  }

  /** Nobody says how it ended: what becomes of it is for the next producer of the id. */
  #giveUp(): never {
    this.#options.world.mark('end of a transaction given up')
    this.#options.process.end()
    throw new ProcessEndedError()
  }

  /** Runs what may ask for an identity, or for another epoch of it. It tells whether the answer was heard. */
  async #asked(life: GhostLife, call: () => Promise<boolean>): Promise<void> {
    this.#asking = life
    let isHeard = false
    try {
      isHeard = await call()
    } finally {
      this.#asking = null
      if (!isHeard) this.#options.ghost.onIdentityNotHeard(life)
    }
  }

  /** What went wrong; null: nothing did. */
  async #attempt(name: string, call: () => Promise<void>): Promise<unknown> {
    let failure: unknown = null
    const noting = async (): Promise<void> => {
      try {
        await call()
      } catch (error) {
        failure = error
        throw error
      }
    }
    await this.#options.process.call(name, noting, TRANSACTION_CODES)
    return failure
  }

  #afterFailure(failure: unknown): DrivenOutcome {
    const { world, ghost } = this.#options
    const { fatal } = failure as { fatal?: unknown }
    if (fatal !== true) return 'aborted'
    if (this.#isOver) return 'unknown'
    this.#isOver = true
    const code = codeOf(failure)
    const isAlone = this.#life === null || !ghost.isSucceeded(this.#life)
    if (code !== 'PRODUCER_FENCED') world.mark(`end of a producer: ${codeOf((failure as Error).cause)}`)
    else world.mark(isAlone ? 'transaction ran out of time' : 'producer fenced by another')
    return 'unknown'
  }
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

/** How calls about transactions may end while nodes fail, transactions run out of time and producers take over from each other. */
const TRANSACTION_CODES: ReadonlySet<string> = new Set([
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_TXN_STATE',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'PRODUCER_FENCED',
  'TRANSACTION_ABORTABLE',
  'TRANSACTION_ABORTED',
  'TRANSACTION_FATAL',
  'UNKNOWN_PRODUCER_ID',
])
