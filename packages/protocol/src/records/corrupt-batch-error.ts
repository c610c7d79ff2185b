import { BaseError } from '@millrace/base'

/**
 * What is wrong with stored or received records:
 * `crc` checksum differs; `truncated` the data ends before the batch; `length` impossible length; `magic` unknown format;
 * `count` not as many records as declared, or bytes left after them; `last-offset-delta`, `offset-delta` offsets that cannot be;
 * `codec` not assigned or not allowed in this format; `compressed-data` it cannot be expanded, or a message in it is damaged;
 * `record` a record's own structure.
 */
export type BatchFailure =
  | 'crc'
  | 'truncated'
  | 'length'
  | 'magic'
  | 'count'
  | 'last-offset-delta'
  | 'offset-delta'
  | 'codec'
  | 'compressed-data'
  | 'record'

/** Damaged record data. `position` is where the batch begins in the buffer that was read. */
export class CorruptBatchError extends BaseError {
  readonly failure: BatchFailure
  readonly position: number

  constructor(failure: BatchFailure, position: number, message: string, options?: { cause?: unknown }) {
    super('CORRUPT_BATCH', `${failure}: ${message} (batch at byte ${position})`, options)
    this.failure = failure
    this.position = position
  }
}
