import type { TestProject } from 'vitest/node'
import { startBroker } from './broker.ts'
import { startCluster } from './cluster.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of the broker that all tests share which do not stop it. */
    bootstrap: string
  }
}

/**
 * Starts the shared broker, or with `E2E_NODES=3` a cluster of so many, of which tests are told the first node; or takes what serves at
 * `E2E_BOOTSTRAP`. Tests keep apart by the names
 * of their topics and groups.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.E2E_BOOTSTRAP
  if (given) {
    project.provide('bootstrap', given)
    return undefined
  }
  const size = Number(process.env.E2E_NODES ?? 1)
  if (size > 1) {
    const cluster = await startCluster({}, { size })
    project.provide('bootstrap', cluster.nodes[0]!.bootstrap)
    return () => cluster.dispose()
  }
  const broker = await startBroker()
  project.provide('bootstrap', broker.bootstrap)
  return () => broker.dispose()
}
