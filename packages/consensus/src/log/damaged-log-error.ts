import { BaseError } from '@millrace/base'

/**
 * What is stored cannot be what was written. `what` is damaged, `where` it lies, `remedy` is what an operator can do. Never caught to go
 * on with less: a node without its vote or its acknowledged entries could undo what the quorum decided (`reliability.md`, 5.2).
 */
export class DamagedLogError extends BaseError {
  readonly what: string
  readonly where: string
  readonly remedy: string

  constructor(what: string, where: string, remedy: string, options?: { cause?: unknown }) {
    super('LOG_DAMAGED', `${what} (${where}). ${remedy}`, options)
    this.what = what
    this.where = where
    this.remedy = remedy
  }
}

/** The log belongs to another cluster, node or directory than the one that opens it. Nothing was changed. */
export class LogIdentityError extends BaseError {
  constructor(message: string) {
    super('LOG_IDENTITY', message)
  }
}

/** A write did not become durable. Final (S7): the store takes no more writes. `code` tells a full disk from a failing one. */
export class LogWriteError extends BaseError {
  constructor(code: LogWriteErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options)
  }
}

export type LogWriteErrorCode = 'LOG_DISK_FULL' | 'LOG_SIZE_LIMIT' | 'LOG_DISK_IO'

export const REJOIN_REMEDY =
  'Do not start this node again with this directory: remove it from the voters, empty the directory, and let it join as a new replica'
