import type { TestProject } from 'vitest/node'
import { startBroker } from './broker.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of the broker that all tests share which do not stop it. */
    bootstrap: string
  }
}

/** Starts the shared broker, or takes the one at `E2E_BOOTSTRAP`. Tests keep apart by the names of their topics and groups. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.E2E_BOOTSTRAP
  if (given) {
    project.provide('bootstrap', given)
    return undefined
  }
  const broker = await startBroker()
  project.provide('bootstrap', broker.bootstrap)
  return () => broker.dispose()
}
