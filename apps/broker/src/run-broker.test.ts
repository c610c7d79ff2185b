import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LogLevel } from './process-logger.ts'

/** Method: the broker in a process of its own, since pipes, signals and exit codes are what is looked at. */
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-run-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function start(settings: readonly (readonly [string, string])[], logLevel: LogLevel) {
  const options = { configFile: null, settings, logLevel, quiet: false }
  const module = JSON.stringify(join(import.meta.dirname, 'run-broker.ts'))
  const run = `runBroker(${JSON.stringify(options)})).then((code) => { process.exitCode = code })`
  // No module, whose flag the threads that the broker starts would inherit.
  const child = spawn(process.execPath, ['-e', `import(${module}).then(({ runBroker }) => ${run}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const seen = { words: '' }
  child.stderr.on('data', (chunk) => {
    seen.words += chunk
  })
  return { child, seen }
}

test('a broker goes on when nobody reads its standard output, and stops in order', async () => {
  const settings = [
    ['port', '0'],
    ['log.dirs', directory],
  ] as const
  const { child, seen } = start(settings, 'debug')
  child.stdout.destroy()
  // Log lines wait until the broker serves and has tried to say so.
  let isTold = false
  child.stderr.on('data', () => {
    if (isTold || !seen.words.includes('nobody reads standard output')) return
    isTold = true
    child.kill('SIGTERM')
  })
  const [code] = await once(child, 'close')
  expect(seen.words).toContain('"msg":"stopping"')
  expect(code).toBe(0)
}, 60_000)

test('an unknown setting ends the start with the code of wrong usage and says which one was meant', async () => {
  const { child, seen } = start([['num.partitons', '3']], 'info')
  const [code] = await once(child, 'close')
  expect(code).toBe(2)
  expect(seen.words).toBe('millrace: command line: unknown setting num.partitons; did you mean num.partitions?\n')
}, 60_000)

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Status and body of `/healthz`; null while nobody listens. */
async function healthAt(port: number): Promise<{ status: number | undefined; body: Record<string, unknown> } | null> {
  const request = get({ host: '127.0.0.1', port, path: '/healthz', agent: false })
  try {
    const [response] = await once(request, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    return { status: response.statusCode, body: JSON.parse(text) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
    return null
  }
}

test('a node that waits for the others names them at /healthz, and is not called ready', async () => {
  const [port, peerPort] = [await freePort(), await freePort()]
  const { child, seen } = start(
    [
      ['node.id', '1'],
      ['cluster.id', 'q1Sh-9_ISia_zwGINzRvyQ'],
      ['listeners', `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${peerPort}`],
      ['controller.listener.names', 'CONTROLLER'],
      // Nobody is there.
      ['controller.quorum.voters', `1@127.0.0.1:${peerPort},2@127.0.0.1:1,3@127.0.0.1:2`],
      ['controller.peer.secret', 'at least sixteen characters'],
      ['log.dirs', directory],
    ],
    'info',
  )
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const exit = once(child, 'close')
  try {
    let health = await healthAt(port)
    // The quorum's thread tells how it fares once a second.
    while (!String(health?.body.waitsFor).includes('2, 3')) {
      expect(child.exitCode, seen.words).toBeNull()
      if (health !== null) expect([health.status, health.body.status]).toEqual([503, 'starting'])
      health = await healthAt(port)
    }
    expect(health!.body.waitsFor).toContain('all of the first controllers (1, 2, 3)')
    expect(health!.body.waitsFor).toContain('nothing is heard of 2, 3')
    expect(said).toBe('')
  } finally {
    child.kill('SIGKILL')
    await exit
  }
}, 60_000)
