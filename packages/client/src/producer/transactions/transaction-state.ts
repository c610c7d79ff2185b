import { assert } from '@millrace/base'
import { StateError } from '../../errors/client-errors.ts'
import type { TransactionError } from '../../errors/transaction-errors.ts'

/**
 * `uninitialized`: an identity (or a newer epoch of it) has to be got first. `ready`: between transactions. `open`: records and
 * offsets are taken. `broken`: something failed, only an abort is left. `flushing`: a commit waits for what is on its way.
 * `committing` and `aborting`: the coordinator is asked, until it answers. `dead`: for good.
 */
export type TransactionStatus =
  | 'uninitialized'
  | 'ready'
  | 'open'
  | 'broken'
  | 'flushing'
  | 'committing'
  | 'aborting'
  | 'dead'

const NEXT: Readonly<Record<TransactionStatus, readonly TransactionStatus[]>> = {
  uninitialized: ['ready', 'dead'],
  ready: ['open', 'uninitialized', 'dead'],
  open: ['broken', 'flushing', 'aborting', 'dead'],
  broken: ['aborting', 'dead'],
  flushing: ['broken', 'committing', 'dead'],
  committing: ['ready', 'broken', 'dead'],
  aborting: ['ready', 'uninitialized', 'dead'],
  dead: [],
}

/** Where a transactional producer stands: the one place that says what may be done when. Pure. */
export class TransactionState {
  #status: TransactionStatus = 'uninitialized'
  #error: TransactionError | null = null

  get status(): TransactionStatus {
    return this.#status
  }

  /** What broke the transaction or ended the producer; null while neither. */
  get error(): TransactionError | null {
    return this.#error
  }

  /** Whether what was handed in may be sent: in an open transaction, and while a commit waits for it. */
  get isSending(): boolean {
    return this.#status === 'open' || this.#status === 'flushing'
  }

  /** Whether what is not on its way must not be sent any more. */
  get isDropping(): boolean {
    return this.#status === 'broken' || this.#status === 'aborting'
  }

  /** Goes on. A step that {@link NEXT} does not name is a bug of the caller. */
  moveTo(next: Exclude<TransactionStatus, 'broken' | 'dead'>): void {
    this.#step(next)
    this.#error = null
  }

  /** Something failed: breaks a transaction that could have been committed, or ends the producer. False if that changed nothing. */
  fail(error: TransactionError): boolean {
    if (this.#status === 'dead') return false
    if (error.fatal) this.#step('dead')
    else if (NEXT[this.#status].includes('broken')) this.#step('broken')
    else return false
    this.#error = error
    return true
  }

  /** Throws unless a transaction takes records and offsets: what broke it, or {@link StateError}. */
  assertOpen(): void {
    if (this.#error !== null) throw this.#error
    if (this.#status !== 'open') throw new StateError(`the transaction takes no more: it is ${this.#status}`)
  }

  #step(next: TransactionStatus): void {
    assert(NEXT[this.#status].includes(next), `a transaction goes from ${this.#status} to ${next}`)
    this.#status = next
  }
}
