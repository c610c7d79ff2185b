import type { Broker } from '@millrace/e2e'
import type { StartTimes } from './findings.ts'
import { cpuSecondsOf, waitedForCoreMs } from './process-figures.ts'

/** Starts a broker again on its files, and tells what it took from the start of the process to its `ready` line. */
export async function timedStart(broker: Broker): Promise<StartTimes> {
  const startMs = performance.now()
  await broker.restart()
  const elapsedMs = performance.now() - startMs
  return { elapsedMs, cpuMs: cpuSecondsOf(broker.pid) * 1000, waitedForCoreMs: waitedForCoreMs(broker.pid) }
}
