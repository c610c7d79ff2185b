/**
 * Base of all operating errors (style guide, "Errors", 2): something outside went wrong and a caller may know what to do.
 * `code` is stable and may be matched; messages may change. Expected protocol answers are numbers, never thrown.
 */
export class BaseError extends Error {
  /** Stable, upper snake case, for example `DISK_FULL`. */
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Failure of the disk port. `operation` and `path` say where; `code` is `DISK_FULL`, `DISK_IO`, `DISK_NOT_FOUND` or `DISK_OTHER`. */
export class DiskError extends BaseError {
  readonly operation: string
  readonly path: string
  /** The system's own name of the error, for example `ENOSPC`, or null. */
  readonly errno: string | null

  constructor(
    code: DiskErrorCode,
    operation: string,
    path: string,
    errno: string | null,
    options?: { cause?: unknown },
  ) {
    super(code, `${operation} ${path}: ${errno ?? code}`, options)
    this.operation = operation
    this.path = path
    this.errno = errno
  }
}

export type DiskErrorCode = 'DISK_FULL' | 'DISK_IO' | 'DISK_NOT_FOUND' | 'DISK_OTHER'

/** Invalid configuration. `key` names the setting; the message says what is wrong and what is allowed. */
export class ConfigurationError extends BaseError {
  readonly key: string

  constructor(key: string, message: string) {
    super('CONFIGURATION_INVALID', message)
    this.key = key
  }
}

/** A broken invariant: a bug of ours. Never caught except to stop the process or close the instance. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AssertionError'
  }
}

/** Throws {@link AssertionError} unless `condition` holds. May run on the hot path: pass constant messages only. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}
