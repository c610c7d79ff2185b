import { setTimeout as delay } from 'node:timers/promises'
import type { SeededRandom } from '@millrace/base'
import { between, chance, exponential } from '../random-choices.ts'
import { transactionTimeoutMs } from './client-protocol.ts'
import type { RecordedClient, Transacted, TransactionPlan } from './recorded-client.ts'
import { MAX_BAD_STREAK } from './worker.ts'

export interface TransactionalOptions {
  readonly client: RecordedClient
  readonly random: SeededRandom
  /** Mean time between two things that it does. */
  readonly pauseMs: number
}

/** A transaction without its pauses. */
export type Draft = Omit<TransactionPlan, 'pauseMs'>

/** Of how many transactions there is one that pauses for longer than any may last. */
const LONG_PAUSE_CHANCE = 0.01

/**
 * A client that does transactions again and again, and now and then goes wrong: it leaves one to itself, pauses for too long within it,
 * or finds that a later life of itself has taken its transactional id. Half of the transactions pause between their steps.
 */
export abstract class TransactionalWorker {
  protected readonly client: RecordedClient
  protected readonly random: SeededRandom
  readonly #pauseMs: number
  #isOpen = false
  /** Lives that are over and not closed: what they have under way, and their ends. */
  readonly #ghosts = new Set<Promise<void>>()
  #stopping: AbortSignal = AbortSignal.abort()

  constructor({ client, random, pauseMs }: TransactionalOptions) {
    this.client = client
    this.random = random
    this.#pauseMs = pauseMs
  }

  /** One thing that it does, most often a transaction. */
  protected abstract work(): Promise<void>

  /** Begins a new life of the client. False: it could not. */
  protected abstract open(): Promise<boolean>

  /** The last thing that it does, with a client that is open. */
  protected abstract finish(): Promise<void>

  /** Works until the signal, then waits for what is under way and closes all lives of the client. */
  async run(signal: AbortSignal): Promise<void> {
    this.#stopping = signal
    while (!signal.aborted) {
      if (this.#isOpen && (this.client.isLost || this.client.badStreak > MAX_BAD_STREAK)) await this.end()
      if (!this.#isOpen) {
        this.#isOpen = await this.open()
        if (!this.#isOpen) await delay(500)
        continue
      }
      await this.work()
      await delay(exponential(this.random, this.#pauseMs))
    }
    await Promise.all(this.#ghosts)
    if (this.#isOpen) await this.finish()
    await this.end()
  }

  /** Ends this life in order. */
  protected async end(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (!this.client.isLost) await this.client.close()
  }

  protected transact(draft: Draft): Promise<Transacted> {
    return this.client.transact({ ...draft, pauseMs: this.#somePauseMs() })
  }

  /** Leaves a transaction to itself while a new life begins: with the same id that fences it in the middle. */
  protected haunt(draft: Draft): void {
    const close = this.client.closer()
    this.#leave(this.client.transact({ ...draft, pauseMs: between(this.random, 1000, 5000) }).then(close))
  }

  /** Goes away from a transaction that is open. Its producer is closed only after it has run out of time, since a close would abort it. */
  protected async abandon(draft: Omit<Draft, 'end'>): Promise<void> {
    const close = this.client.closer()
    await this.transact({ ...draft, end: 'abandon' })
    const waited = delay(transactionTimeoutMs + 3000, undefined, { signal: this.#stopping })
    this.#leave(waited.catch(() => undefined).then(close))
  }

  #leave(ghost: Promise<void>): void {
    this.#isOpen = false
    this.#ghosts.add(ghost)
    void ghost.then(() => this.#ghosts.delete(ghost))
  }

  #somePauseMs(): number {
    if (chance(this.random, LONG_PAUSE_CHANCE)) return transactionTimeoutMs + between(this.random, 1000, 4000)
    return chance(this.random, 0.5) ? between(this.random, 0, 1000) : 0
  }
}
