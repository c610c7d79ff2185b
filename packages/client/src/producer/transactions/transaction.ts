import { StateError } from '../../errors/client-errors.ts'
import type { Committer } from '../../offsets/committed-offsets.ts'
import { type OffsetToCommit, toCommitted } from '../../offsets/offset-to-commit.ts'
import type { ProducerRecord, RecordMetadata } from '../producer-record.ts'
import type { TransactionManager } from './transaction-manager.ts'

/** How a transaction hands records to its producer. */
export interface RecordIntake {
  send(record: ProducerRecord): Promise<RecordMetadata>
  sendMany(records: readonly ProducerRecord[]): Promise<RecordMetadata[]>
  post(record: ProducerRecord): boolean
}

/**
 * One transaction of a producer, open since {@link Producer.begin}: its records, in any partitions, and the offsets given with it become
 * visible to `read_committed` readers together or not at all. Leaving its scope without a commit aborts it.
 *
 * Calls reject with a `TransactionError` that says what is left to do: `abortable` ones leave an abort, `fatal` ones a close of the
 * producer. A record that fails breaks the transaction, whether or not its promise is looked at.
 */
export class Transaction implements AsyncDisposable {
  readonly #manager: TransactionManager
  readonly #intake: RecordIntake
  /** Ours among those of the manager, which knows only the last. */
  readonly #ordinal: number
  #state: 'open' | 'committing' | 'aborting' | 'ended' = 'open'

  /** The one that the manager has just begun. */
  constructor(manager: TransactionManager, intake: RecordIntake) {
    this.#manager = manager
    this.#intake = intake
    this.#ordinal = manager.ordinal
  }

  /** As {@link Producer.send}. The record is stored when this resolves, but visible only after the commit. */
  async send(record: ProducerRecord): Promise<RecordMetadata> {
    this.#assertOpen()
    return this.#intake.send(record)
  }

  /** As {@link Producer.sendMany}. */
  async sendMany(records: readonly ProducerRecord[]): Promise<RecordMetadata[]> {
    this.#assertOpen()
    return this.#intake.sendMany(records)
  }

  /** As {@link Producer.post}: false means that it was not taken. A record that was taken and fails makes the commit fail. */
  post(record: ProducerRecord): boolean {
    this.#assertOpen()
    return this.#intake.post(record)
  }

  /**
   * Commits offsets of a consumer with the transaction: what was read and what came of it belong together. `group` is
   * `consumer.groupMetadata()`, by which offsets of a member that has lost its partitions are refused (KIP-447). The consumer must not
   * commit by itself.
   */
  async sendOffsets(offsets: readonly OffsetToCommit[], group: Committer): Promise<void> {
    this.#assertOpen()
    await this.#manager.sendOffsets(offsets.map(toCommitted), group)
  }

  /**
   * Waits for all that was sent and commits. Rejects with an abortable `TransactionError` if any of it failed; with `TimeoutError` after
   * `maxBlockMs`, when nobody knows yet: the request is being repeated, and calling again waits on. After a fatal error of the last
   * step the transaction may be committed or not.
   */
  async commit(): Promise<void> {
    if (this.#state === 'ended') throw new StateError('the transaction has ended')
    if (this.#state === 'aborting') throw new StateError('the transaction is being aborted')
    if (this.#state === 'committing' && this.#hasEnded) {
      // It was committed after the last call had given up waiting: no other end lets the next transaction begin.
      this.#state = 'ended'
      return
    }
    if (this.#state === 'open') this.#assertOpen()
    this.#state = 'committing'
    try {
      await this.#manager.commit()
      this.#state = 'ended'
    } catch (error) {
      if (this.#manager.isBroken) this.#state = 'open'
      throw error
    }
  }

  /** Drops what is not sent and aborts. Rejects with a fatal `TransactionError`, or `TimeoutError`: calling again waits on. */
  async abort(): Promise<void> {
    if (this.#state === 'ended') throw new StateError('the transaction has ended')
    if (this.#state === 'committing' && this.#hasEnded) throw new StateError('the transaction was committed')
    // Aborted after the last call had given up waiting, or by the close of the producer.
    if (!this.#hasEnded) {
      const isCommitting = this.#state === 'committing'
      if (!isCommitting) this.#state = 'aborting'
      await this.#manager.abort()
    }
    this.#state = 'ended'
  }

  /** Aborts if nothing was asked for; waits for the end that was. Says nothing of a fatal error that a call has met before. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#manager.isDead || this.#state === 'ended') return
    if (this.#state === 'committing') await this.commit()
    else await this.abort()
  }

  get #hasEnded(): boolean {
    return this.#manager.ordinal !== this.#ordinal || this.#manager.isBetween
  }

  #assertOpen(): void {
    if (this.#state !== 'open' || this.#hasEnded) throw new StateError('the transaction has ended or is ending')
    this.#manager.assertOpen()
  }
}
