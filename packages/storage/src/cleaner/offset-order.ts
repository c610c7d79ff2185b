import { CorruptBatchError, lastOffsetDeltaOf } from '@millrace/protocol'

/**
 * Holds the offsets of a batch's records against one another. Of what is not compressed nobody does when it is produced: a client may send
 * any, and a batch in which they do not rise cannot be written anew, nor be told which of its records is the newest.
 */
export class OffsetOrder {
  readonly #position: number
  readonly #lastOffsetDelta: number
  #offsetDelta: number

  constructor(buffer: Buffer, position: number) {
    this.#position = position
    this.#lastOffsetDelta = lastOffsetDeltaOf(buffer, position)
    this.#offsetDelta = -1
  }

  /** The next record's. Throws `CorruptBatchError` if it does not follow. */
  check(offsetDelta: number): void {
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta) {
      throw new CorruptBatchError('offset-delta', this.#position, 'offsets of records do not rise')
    }
    this.#offsetDelta = offsetDelta
  }
}
