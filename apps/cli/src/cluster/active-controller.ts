import { type Admin, ConnectionError, TimeoutError } from '@millrace/client'
import { CliError, ExitCode } from '../command/cli-error.ts'

/** For the question whether brokers answer at all: they need nobody else for that. */
const BROKER_TIMEOUT_MS = 5000

/** Brokers answer, but what only the active controller can do got no answer. */
export class NoControllerError extends CliError {
  constructor(cause: unknown) {
    super(
      'brokers answer, but there is no active controller: a majority of the voters does not run or cannot be reached',
      {
        exitCode: ExitCode.PARTIAL,
        hint: 'Start the controllers that are down, or look why they do not reach each other: controller.quorum.voters of a node names them.',
        cause,
      },
    )
  }
}

/** Does what needs the active controller. Throws {@link NoControllerError} where that fails for want of one. */
export async function withController<T>(admin: Admin, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const isUnanswered = error instanceof TimeoutError || error instanceof ConnectionError
    if (isUnanswered && (await doBrokersAnswer(admin))) throw new NoControllerError(error)
    throw error
  }
}

async function doBrokersAnswer(admin: Admin): Promise<boolean> {
  return admin.describeCluster({ timeoutMs: BROKER_TIMEOUT_MS }).then(
    () => true,
    () => false,
  )
}
