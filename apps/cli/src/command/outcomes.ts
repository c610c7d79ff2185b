import type { ProtocolError } from '@millrace/client'
import type { CliContext } from './cli-context.ts'
import { ExitCode } from './cli-error.ts'

/** The exit code of a command about several things: all done, all failed, or some of each. Tells what failed. */
export async function reportOutcomes(
  context: CliContext,
  outcomes: readonly { error: ProtocolError | null }[],
): Promise<number> {
  const failures = outcomes.filter(({ error }) => error !== null)
  for (const { error } of failures) await context.complain(error)
  if (failures.length === 0) return ExitCode.OK
  return failures.length === outcomes.length ? ExitCode.ERROR : ExitCode.PARTIAL
}
