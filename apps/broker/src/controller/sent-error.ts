import { AssertionError, ConfigurationError } from '@millrace/base'
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
    key: cause instanceof ConfigurationError ? cause.key : '',
    system: systemFields(cause),
  }
}

/** The error as the other thread had it. */
export function errorFrom({ kind, message, stack, mayBeDone, errorCode, key, system }: SentError): Error {
  switch (kind) {
    case 'unavailable':
      return new ControllerUnavailableError(message, mayBeDone)
    case 'request':
      return new ControllerRequestError(errorCode, message)
    case 'configuration':
      return new ConfigurationError(key, message)
    case 'assertion':
      return Object.assign(new AssertionError(message), stack === null ? {} : { stack })
    default:
      return Object.assign(new Error(message), stack === null ? {} : { stack }, system)
  }
}

function kindOf(error: Error): SentError['kind'] {
  if (error instanceof ControllerUnavailableError) return 'unavailable'
  if (error instanceof ControllerRequestError) return 'request'
  if (error instanceof ConfigurationError) return 'configuration'
  return error instanceof AssertionError ? 'assertion' : 'other'
}

/** What tells a port in use from other failures. */
function systemFields(error: NodeJS.ErrnoException & { address?: string; port?: number }): SentError['system'] {
  const { syscall, code, address, port } = error
  if (syscall === undefined) return {}
  return {
    syscall,
    ...(code === undefined ? {} : { code }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  }
}
