import { parseStartArguments, START_HELP, type StartArguments } from './start-arguments.ts'
import { UsageError } from './usage-error.ts'

/** `millrace start`: runs until the broker stops; gives the exit code (0 stopped, 1 failed, 2 wrong usage). */
export async function start(args: readonly string[]): Promise<number> {
  let parsed: StartArguments | null
  try {
    parsed = parseStartArguments(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`millrace start: ${error.message}\nTry "millrace start --help".\n`)
    return 2
  }
  if (parsed === null) {
    process.stdout.write(START_HELP)
    return 0
  }
  const { clusterSize } = parsed
  if (clusterSize !== null) {
    const { runLocalCluster } = await import('./local-cluster/run-local-cluster.ts')
    return runLocalCluster({ ...parsed, clusterSize })
  }
  if (parsed.endWithParent) stopWithParent()
  const { runBroker } = await import('@millrace/broker-app')
  return runBroker(parsed)
}

/** A child whose parent was killed would serve on, and keep its port and files, with nobody to stop it. */
function stopWithParent(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  // Listening must not keep a process alive that has nothing else to do.
  process.channel?.unref()
}
