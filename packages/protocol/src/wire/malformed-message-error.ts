import { BaseError } from '@millrace/base'

/**
 * Bytes that are not a message of the expected kind and version: a length beyond the bytes left, a bad varint, bad UTF-8, null
 * where it is forbidden, a repeated tag. Decoders throw nothing else, whatever the input; the connection's owner closes it or
 * answers INVALID_REQUEST. `code` is `MALFORMED_MESSAGE`.
 */
export class MalformedMessageError extends BaseError {
  /** `truncated`: more bytes were needed than are there; `invalid`: no bytes could mend it. */
  readonly reason: 'truncated' | 'invalid'

  constructor(message: string, options?: { cause?: unknown; reason?: 'truncated' | 'invalid' }) {
    super('MALFORMED_MESSAGE', message, options)
    this.reason = options?.reason ?? 'invalid'
  }
}
