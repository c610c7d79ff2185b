import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** What the tests use of the machine and of the build. All of it was put there by `npm ci` and `tools/setup-e2e`. */
export const places = {
  root,
  /** What `npx millrace` runs: the launcher of the bundle that `npm ci` builds; or that of another build. */
  millrace: process.env.E2E_MILLRACE ?? join(root, 'apps/cli/bin/millrace.mjs'),
  /** Debian's Python has the clients; another one that comes first on the path has not. */
  python: '/usr/bin/python3',
  jars: join(cache(), 'jars'),
  /** Those of Kafka Streams and all that it needs. */
  streamsJars: join(cache(), 'streams-jars'),
  /** Parsed classes of Kafka's tools: more than half of a tool's start. The JVM does without if it does not fit. */
  classArchive: join(cache(), 'jars/tools.jsa'),
  confluent: join(cache(), 'confluent'),
  /** The Node for which the native client was compiled. */
  confluentNode: join(cache(), 'confluent/node'),
} as const

function cache(): string {
  return process.env.E2E_CACHE ?? join(homedir(), '.cache/millrace-e2e')
}

/** Fails with the way to mend it if something was not installed. Nothing is ever skipped for want of a tool. */
export function requirePlace(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm ci and tools/setup-e2e`)
  return path
}
