import { createServer } from 'node:net'
import type { Random } from '@millrace/base'

/**
 * Below the ports that systems give to outgoing connections (from 32768 on in Linux): one of those may be in use by a stranger when a
 * node comes back to the port that it had before.
 */
const FIRST_PORT = 20_000
const PORT_COUNT = 12_000
const TRIES_MAX = 1000

/** Tells whether a port of the loopback interface can be listened at now. */
export type PortProbe = (port: number) => Promise<boolean>

/** Ports that are free now, none of them in `taken`. Throws if there seem to be none. */
export async function freePorts(
  count: number,
  taken: ReadonlySet<number>,
  random: Random,
  isFree: PortProbe,
): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries === TRIES_MAX)
      throw new Error(`no ${count} free ports from ${FIRST_PORT} to ${FIRST_PORT + PORT_COUNT - 1}`)
    const port = FIRST_PORT + (random.uint32() % PORT_COUNT)
    if (!taken.has(port) && !found.has(port) && (await isFree(port))) found.add(port)
  }
  return [...found]
}

/** Listens for a moment to find out. */
export function probePort(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
