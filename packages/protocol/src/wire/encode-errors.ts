import { BaseError } from '@millrace/base'

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

/** The value, unless it is null: then {@link UnsupportedFieldError}. For fields that only some versions let be null. */
export function requireValue<T>(value: T | null, messageName: string, field: string, version: number): T {
  if (value === null) throw new UnsupportedFieldError(messageName, field, version)
  return value
}
