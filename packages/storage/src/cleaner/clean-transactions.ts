import type { Offset, ProducerId } from '@millrace/base'
import { isTransactionalBatch, lastOffsetOf, producerIdOf } from '@millrace/protocol'
import type { AbortedTransaction } from '../transaction-index.ts'
import { readEndMarker } from '../transaction-marker.ts'

interface OngoingAbort {
  readonly transaction: AbortedTransaction
  /** A batch of it was met, perhaps an empty one: its marker must stay. */
  isObserved: boolean
}

/**
 * Follows the transactions of a log while its batches are read in order: which batches were aborted, and which end markers nothing in the
 * log needs any more. Goes on from one segment to the next, and begins where the log does: a marker may be far behind its records.
 */
export class CleanTransactions {
  /** By first offset; those from `#next` on have not begun. */
  readonly #aborted: readonly AbortedTransaction[]
  #next: number
  readonly #ongoingAborts: Map<ProducerId, OngoingAbort>
  /** Producers of whose current transaction a batch was met that was not aborted. */
  readonly #ongoingCommits: Set<ProducerId>
  /** Aborted transactions whose marker stays: the new segment's transaction index. */
  readonly #onKept: (transaction: AbortedTransaction) => void

  /** `aborted`: all that may have records in what is read. */
  constructor(aborted: readonly AbortedTransaction[], onKept: (transaction: AbortedTransaction) => void) {
    this.#aborted = aborted.toSorted((left, right) => left.firstOffset - right.firstOffset)
    this.#next = 0
    this.#ongoingAborts = new Map()
    this.#ongoingCommits = new Set()
    this.#onKept = onKept
  }

  /** Whether the records of the data batch at `position` were aborted. */
  isAborted(buffer: Buffer, position: number): boolean {
    this.#beginUpTo(lastOffsetOf(buffer, position))
    if (!isTransactionalBatch(buffer, position)) return false
    const producerId = producerIdOf(buffer, position)
    const abort = this.#ongoingAborts.get(producerId)
    // One that ended before what is read began says nothing of what its producer did later.
    if (abort === undefined || abort.transaction.lastOffset < lastOffsetOf(buffer, position)) {
      this.#ongoingAborts.delete(producerId)
      this.#ongoingCommits.add(producerId)
      return false
    }
    abort.isObserved = true
    return true
  }

  /** Whether the control batch `buffer[position, end)` ends a transaction of which nothing is left, or is empty already. */
  isSpent(buffer: Buffer, position: number, end: number): boolean {
    this.#beginUpTo(lastOffsetOf(buffer, position))
    const producerId = producerIdOf(buffer, position)
    const marker = readEndMarker(buffer, position, end)
    // Other control records, as those of a quorum, are never spent; an empty batch has nothing to lose.
    if (marker === null) return end - position <= EMPTY_BATCH_BYTES
    if (marker.commit) return !this.#ongoingCommits.delete(producerId)
    const abort = this.#ongoingAborts.get(producerId)
    this.#ongoingAborts.delete(producerId)
    // Of records without an entry in the index nobody knows better than that they belong to something.
    if (abort === undefined) return !this.#ongoingCommits.delete(producerId)
    if (!abort.isObserved) return true
    this.#onKept(abort.transaction)
    return false
  }

  #beginUpTo(offset: Offset): void {
    while (this.#next < this.#aborted.length && this.#aborted[this.#next]!.firstOffset <= offset) {
      const transaction = this.#aborted[this.#next++]!
      this.#ongoingAborts.set(transaction.producerId, { transaction, isObserved: false })
    }
  }
}

const EMPTY_BATCH_BYTES = 61
