import { AssertionError } from '@millrace/base'
import { ControllerRequestError, ControllerUnavailableError } from '@millrace/consensus'
import type { SentError } from './thread-messages.ts'

/** What of an error goes from one thread to the other. */
export function sentErrorOf(error: unknown): SentError {
  const cause = error instanceof Error ? error : new Error(String(error))
  return {
    kind: kindOf(cause),
    message: cause.message,
    stack: cause.stack ?? null,
    mayBeDone: cause instanceof ControllerUnavailableError && cause.mayBeDone,
    errorCode: cause instanceof ControllerRequestError ? cause.errorCode : 0,
  }
}

/** The error as the other thread had it. */
export function errorFrom({ kind, message, stack, mayBeDone, errorCode }: SentError): Error {
  switch (kind) {
    case 'unavailable':
      return new ControllerUnavailableError(message, mayBeDone)
    case 'request':
      return new ControllerRequestError(errorCode, message)
    case 'assertion':
      return Object.assign(new AssertionError(message), stack === null ? {} : { stack })
    default:
      return Object.assign(new Error(message), stack === null ? {} : { stack })
  }
}

function kindOf(error: Error): SentError['kind'] {
  if (error instanceof ControllerUnavailableError) return 'unavailable'
  if (error instanceof ControllerRequestError) return 'request'
  return error instanceof AssertionError ? 'assertion' : 'other'
}
