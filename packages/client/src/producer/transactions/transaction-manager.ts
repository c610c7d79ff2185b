import { ErrorCode } from '@millrace/protocol'
import type { ClientCore } from '../../client/client-core.ts'
import { partitionKey, type TopicPartition } from '../../cluster/topic-partition.ts'
import { StateError, TimeoutError } from '../../errors/client-errors.ts'
import { ProtocolError } from '../../errors/protocol-error.ts'
import { isRetriable } from '../../errors/retriable.ts'
import {
  TransactionAbortedError,
  TransactionError,
  type TransactionStep,
  transactionErrorOf,
} from '../../errors/transaction-errors.ts'
import type { CommittedOffset, Committer } from '../../offsets/committed-offsets.ts'
import { Backoff } from '../../retry/backoff.ts'
import { wait } from '../../retry/wait.ts'
import type { IdentitySource } from '../partition-queue.ts'
import type { ProducerIdentity } from '../producer-identity.ts'
import { TransactionRequests } from './transaction-requests.ts'
import { TransactionState } from './transaction-state.ts'

/** What transactions ask of the producer that they belong to. */
export interface TransactionHost {
  /** Resolves when all that was handed in is stored or has failed. */
  flush(): Promise<void>
  /** Fails the records that wait for metadata or memory. */
  dropWaiting(error: unknown): void
  /** Resolves once no batch is left and no produce request is without its answer. */
  whenIdle(): Promise<void>
  /** Looks again at what may be sent or has to be dropped. */
  schedule(): void
  /** Nothing can be sent any more. */
  failAll(error: unknown): void
  onRetry(error: unknown): void
}

export interface TransactionSettings {
  transactionalId: string
  transactionTimeoutMs: number
  maxBlockMs: number
}

/** The coordinator finishes the transaction before: that takes milliseconds, not the usual pause. */
const CONCURRENT_BACKOFF_MS = 20
/** From this level of the feature `transaction.version` on, partitions enlist themselves and each end bumps the epoch (KIP-890). */
const IMPLICIT_FROM_LEVEL = 2

/**
 * The transactions of one producer, one after the other: its identity, what the coordinator has to know before records are sent, and
 * how a transaction ends. An end whose answer was lost is asked for again in the same words until it is answered: only the coordinator
 * knows what became of it.
 */
export class TransactionManager implements IdentitySource {
  readonly isTransactional = true
  readonly #core: ClientCore
  readonly #settings: TransactionSettings
  readonly #host: TransactionHost
  readonly #requests: TransactionRequests
  readonly #state = new TransactionState()
  #identity: ProducerIdentity | null = null
  #isImplicit = false
  /** The coordinator may know of the transaction: it has to be ended there. */
  #hasBegun = false
  /** The coordinator said that it knows of it. Without that, there may be nothing to end. */
  #isConfirmed = false
  readonly #added = new Set<string>()
  readonly #wanted = new Map<string, TopicPartition>()
  #adding: Promise<void> | null = null
  #offsets: Promise<void> = Promise.resolve()
  /** Counts transactions. */
  #ordinal = 0
  #initializing: Promise<void> | null = null
  #ending: Promise<void> | null = null

  constructor(core: ClientCore, settings: TransactionSettings, host: TransactionHost) {
    this.#core = core
    this.#settings = settings
    this.#host = host
    this.#requests = new TransactionRequests(core, settings.transactionalId)
  }

  get transactionalId(): string {
    return this.#settings.transactionalId
  }

  /** Why what is not on its way must not be sent any more; null while it may. */
  get dropReason(): unknown {
    if (!this.#state.isDropping) return null
    return this.#state.error ?? new TransactionAbortedError()
  }

  /** Which transaction is open, or was the last one. */
  get ordinal(): number {
    return this.#ordinal
  }

  /** Whether that one has ended. */
  get isBetween(): boolean {
    return this.#state.status === 'ready' || this.#state.status === 'uninitialized'
  }

  /** Whether only an abort is left. */
  get isBroken(): boolean {
    return this.#state.status === 'broken'
  }

  /** Whether the producer can do no more transactions. */
  get isDead(): boolean {
    return this.#state.status === 'dead'
  }

  /** Limits for the version of produce requests: it decides whether the leader enlists the partition (12) or expects it to be (11). */
  get produceVersions(): { minVersion: number; maxVersion: number } {
    return this.#isImplicit
      ? { minVersion: 12, maxVersion: Number.MAX_SAFE_INTEGER }
      : { minVersion: 3, maxVersion: 11 }
  }

  current(): ProducerIdentity | null {
    return this.#identity
  }

  /** In a transaction numbers are never given anew: what is missing breaks it. */
  after(): null {
    const message = 'the sequence of the partition’s batches is broken'
    this.onFailure(new ProtocolError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, { message }), 'produce')
    return null
  }

  /** Whether the partition may be sent to. If not yet, the coordinator is told of it, and a pump follows. Hot path. */
  admits(topic: string, partition: number): boolean {
    if (!this.#state.isSending) return false
    if (this.#isImplicit) return true
    const key = partitionKey(topic, partition)
    if (this.#added.has(key)) return true
    this.#wanted.set(key, { topic, partition })
    this.#adding ??= this.#add().finally(() => {
      this.#adding = null
      this.#host.schedule()
    })
    return false
  }

  /** Records of the transaction go to a broker now. */
  noteSent(): void {
    this.#hasBegun = true
  }

  /** A batch or record failed for good. */
  onFailure(error: unknown, step: TransactionStep): void {
    this.#fail(transactionErrorOf(error, step, this.transactionalId))
  }

  /** Throws unless records that were handed in may still go into batches. */
  assertSending(): void {
    if (!this.#state.isSending) throw this.#state.error ?? new TransactionAbortedError()
  }

  /** Throws unless records may be handed in. */
  assertOpen(): void {
    this.#state.assertOpen()
  }

  /** Gets an identity from the coordinator, unless there is a good one. Rejects with `ProtocolError`, `TransactionError` or `TimeoutError`. */
  async init(): Promise<void> {
    this.#throwIfDead()
    if (this.#state.status !== 'uninitialized') return
    if (this.#initializing === null) {
      this.#initializing = this.#initialize().finally(() => {
        this.#initializing = null
      })
      this.#initializing.catch(() => undefined)
    }
    await this.#within(this.#initializing, 'getting a producer id')
  }

  /** Opens a transaction, once the one before has ended. */
  async begin(): Promise<void> {
    this.#throwIfDead()
    const { status } = this.#state
    if (status === 'open' || status === 'broken') throw new StateError('a transaction is open; end it first')
    if (this.#ending !== null)
      await this.#within(
        this.#ending.catch(() => undefined),
        'ending the transaction before',
      )
    // Partitions that the coordinator was told of in the old way must not count for one that enlists them in the new way.
    if (this.#state.status === 'ready' && this.#isImplicit !== this.#isImplicitNow()) {
      this.#state.moveTo('uninitialized')
    }
    await this.init()
    if (this.#state.status !== 'ready') throw new StateError('a transaction is open; end it first')
    this.#state.moveTo('open')
    this.#ordinal++
  }

  /** Makes offsets part of the transaction. */
  async sendOffsets(offsets: readonly CommittedOffset[], group: Committer): Promise<void> {
    this.#state.assertOpen()
    if (offsets.length === 0) return
    const sent = this.#offsets.then(() => this.#sendOffsets(offsets, group))
    this.#offsets = sent.catch((error: unknown) => {
      if (!this.#core.isClosed) this.onFailure(error, 'commit-offsets')
    })
    await this.#within(sent, 'sending offsets')
  }

  /** Commits. Rejects with what broke the transaction, or `TimeoutError` while nobody knows: calling again waits on. */
  async commit(): Promise<void> {
    const { status } = this.#state
    if (status === 'aborting') throw new StateError('the transaction is being aborted')
    if (status !== 'flushing' && status !== 'committing') {
      this.#state.assertOpen()
      this.#state.moveTo('flushing')
      this.#begin(this.#commit())
    }
    await this.#within(this.#ending!, 'committing')
  }

  /** Aborts; what is not sent is dropped. Rejects with a fatal `TransactionError`, or `TimeoutError`: calling again waits on. */
  async abort(): Promise<void> {
    this.#throwIfDead()
    const { status } = this.#state
    if (status === 'flushing' || status === 'committing') {
      throw new StateError('the transaction is being committed: nobody knows yet whether it can be aborted')
    }
    if (status !== 'aborting') {
      const reason = this.#state.error ?? new TransactionAbortedError()
      this.#state.moveTo('aborting')
      this.#begin(this.#abort(reason))
    }
    await this.#within(this.#ending!, 'aborting')
  }

  /** Ends what is open: aborts it, or waits for the end that was asked for. Never rejects. */
  async shutDown(): Promise<void> {
    const { status } = this.#state
    if (status === 'open' || status === 'broken') await this.abort().catch(() => undefined)
    else await this.#ending?.catch(() => undefined)
  }

  #begin(ending: Promise<void>): void {
    this.#ending = ending.finally(() => {
      this.#ending = null
    })
    this.#ending.catch(() => undefined)
  }

  async #initialize(): Promise<void> {
    const known = this.#identity
    try {
      const identity = await this.#untilDone('init', () =>
        this.#requests.init(this.#settings.transactionTimeoutMs, known),
      )
      this.#identity = identity
      this.#isImplicit = this.#isImplicitNow()
      this.#state.moveTo('ready')
    } catch (error) {
      // At the first time nothing was begun: it may be tried again. An epoch that cannot be bumped leaves nothing to go on with.
      if (known === null && error instanceof TransactionError) throw error.cause
      if (!this.#core.isClosed) this.onFailure(error, 'init')
      throw error
    }
  }

  async #commit(): Promise<void> {
    await this.#host.flush()
    await this.#offsets
    // Unless something failed meanwhile.
    if (this.#state.status !== 'flushing') throw this.#state.error
    this.#state.moveTo('committing')
    try {
      this.#finish(this.#hasBegun ? await this.#end(true) : null)
    } catch (error) {
      if (!this.#core.isClosed) this.onFailure(error, 'commit')
      throw error
    }
  }

  async #abort(reason: TransactionError): Promise<void> {
    this.#host.dropWaiting(reason)
    this.#host.schedule()
    try {
      await this.#host.whenIdle()
      await this.#adding
      await this.#offsets
      this.#throwIfDead()
      const next = this.#hasBegun ? await this.#end(false) : null
      // Requests that were lost on their way may still arrive, and gaps may be in the sequences: a new epoch is safe from both.
      const mustBump = this.#hasBegun && next === null
      this.#finish(next, mustBump)
    } catch (error) {
      if (!this.#core.isClosed) this.onFailure(error, 'abort')
      throw error
    }
  }

  async #end(committed: boolean): Promise<ProducerIdentity | null> {
    const identity = this.#identity!
    const step = committed ? 'commit' : 'abort'
    try {
      return await this.#untilDone(step, () => this.#requests.end(identity, committed, this.#isImplicit))
    } catch (error) {
      const { cause } = error as TransactionError
      const isUnknownThere = cause instanceof ProtocolError && cause.errorCode === ErrorCode.INVALID_TXN_STATE
      // It never heard of the transaction, which therefore is as good as aborted.
      if (!committed && isUnknownThere && !this.#isImplicit && !this.#isConfirmed) return null
      throw error
    }
  }

  #finish(next: ProducerIdentity | null, mustBump = false): void {
    if (next !== null) this.#identity = next
    this.#hasBegun = false
    this.#isConfirmed = false
    this.#added.clear()
    this.#wanted.clear()
    this.#state.moveTo(mustBump ? 'uninitialized' : 'ready')
  }

  /** Tells the coordinator of the wanted partitions until there are none. Never rejects. */
  async #add(): Promise<void> {
    // Partitions of one turn share a request.
    await new Promise<void>((resolve) => {
      this.#core.ports.defer(resolve)
    })
    try {
      while (this.#wanted.size > 0 && this.#state.isSending) {
        const partitions = [...this.#wanted]
        this.#hasBegun = true
        const list = partitions.map(([, place]) => place)
        const identity = this.#identity!
        await this.#untilDone('add-partitions', () => this.#requests.addPartitions(identity, list), true)
        this.#isConfirmed = true
        for (const [key] of partitions) {
          this.#wanted.delete(key)
          this.#added.add(key)
        }
        this.#host.schedule()
      }
    } catch (error) {
      if (!this.#core.isClosed) this.onFailure(error, 'add-partitions')
    }
  }

  async #sendOffsets(offsets: readonly CommittedOffset[], group: Committer): Promise<void> {
    this.assertSending()
    const identity = this.#identity!
    this.#hasBegun = true
    if (!this.#isImplicit) {
      await this.#untilDone('add-offsets', () => this.#requests.addOffsets(identity, group.groupId), true)
      this.#isConfirmed = true
    }
    const isImplicit = this.#isImplicit
    const commit = () => this.#requests.commitOffsets(identity, group, offsets, isImplicit)
    await this.#untilDone('commit-offsets', commit, true)
  }

  /** Repeats a request until it has its answer. `onlyWhileSending`: an abort ends it between two attempts. */
  async #untilDone<T>(step: TransactionStep, attempt: () => Promise<T>, onlyWhileSending = false): Promise<T> {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#core.options
    const { random, timers } = this.#core.ports
    const backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, random)
    const concurrent = new Backoff(Math.min(CONCURRENT_BACKOFF_MS, retryBackoffMs), retryBackoffMaxMs, random)
    for (;;) {
      this.#core.assertOpen()
      this.#throwIfDead()
      if (onlyWhileSending) this.assertSending()
      try {
        return await attempt()
      } catch (error) {
        this.#core.assertOpen()
        if (!isRetriable(error)) throw transactionErrorOf(error, step, this.transactionalId)
        this.#host.onRetry(error)
        const isConcurrent = error instanceof ProtocolError && error.errorCode === ErrorCode.CONCURRENT_TRANSACTIONS
        await wait(timers, (isConcurrent ? concurrent : backoff).nextMs(), this.#core.closing)
      }
    }
  }

  #fail(error: TransactionError): void {
    if (!this.#state.fail(error)) return
    this.#host.dropWaiting(error)
    // Not at once: whoever reports this may be in the middle of the batches that it is about.
    if (error.fatal) this.#core.ports.defer(() => this.#host.failAll(error))
    else this.#host.schedule()
  }

  #isImplicitNow(): boolean {
    return this.#core.connections.featureLevel('transaction.version') >= IMPLICIT_FROM_LEVEL
  }

  #throwIfDead(): void {
    if (this.#state.status === 'dead') throw this.#state.error
  }

  async #within(promise: Promise<void>, what: string): Promise<void> {
    const { maxBlockMs } = this.#settings
    const limit = new AbortController()
    const timeout = wait(this.#core.ports.timers, maxBlockMs, limit.signal).then(() => {
      if (!limit.signal.aborted) throw new TimeoutError(`${what} has no answer after ${maxBlockMs} ms`, maxBlockMs)
    })
    try {
      await Promise.race([promise, timeout])
    } finally {
      limit.abort()
    }
  }
}
