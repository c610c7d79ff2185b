import { BaseError } from '@millrace/base'
import { MAX_STRING_BYTES } from './tagged-field.ts'

/** The message has no such version. Callers pick versions from the `apis` table, so this is seen only when they do not. */
export class UnsupportedVersionError extends BaseError {
  readonly messageName: string
  readonly version: number

  constructor(messageName: string, version: number) {
    super('UNSUPPORTED_VERSION', `${messageName} has no version ${version}`)
    this.messageName = messageName
    this.version = version
  }
}

/**
 * A field holds a value that this version of the message cannot carry: it is absent there and must not be dropped silently
 * (the schema does not call it ignorable), or it is null where null is forbidden. Clients catch it to explain which feature needs
 * a newer broker.
 */
export class UnsupportedFieldError extends BaseError {
  readonly messageName: string
  readonly field: string
  readonly version: number

  constructor(messageName: string, field: string, version: number) {
    super('UNSUPPORTED_FIELD', `${messageName} version ${version} cannot carry this value of ${field}`)
    this.messageName = messageName
    this.field = field
    this.version = version
  }
}

/**
 * A text has more UTF-8 bytes than the wire can carry. This is no broken invariant: an answer that quotes what a client sent (an error
 * message with the name in it) can grow beyond the limit, and a client must not be able to stop a broker by that. The frame is lost,
 * and with it the connection, as in Kafka.
 */
export class StringTooLongError extends BaseError {
  readonly sizeBytes: number

  constructor(sizeBytes: number) {
    super('STRING_TOO_LONG', `A string of ${sizeBytes} bytes cannot be sent: at most ${MAX_STRING_BYTES} are allowed`)
    this.sizeBytes = sizeBytes
  }
}

/** The value, unless it is null: then {@link UnsupportedFieldError}. For fields that only some versions let be null. */
export function requireValue<T>(value: T | null, messageName: string, field: string, version: number): T {
  if (value === null) throw new UnsupportedFieldError(messageName, field, version)
  return value
}
