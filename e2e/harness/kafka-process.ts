import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { run } from './run.ts'
import type { Broker, Settings } from './running-broker.ts'

/** Apache Kafka in place of the broker under test, run by two scripts: it shows that the tests themselves are right. */
export class KafkaProcess implements Broker {
  readonly directory: string
  port = 0
  pid = 0
  readonly #scripts: string
  readonly #settings: Settings

  constructor(scripts: string, directory: string, settings: Settings) {
    this.#scripts = scripts
    this.directory = directory
    this.#settings = settings
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`
  }

  async restart(): Promise<void> {
    if (this.port === 0) this.port = await freePortPair()
    const settings = Object.entries(this.#settings).map(([key, value]) => `${key}=${value}`)
    // The script leaves the broker behind with its own outputs, so only its last line is waited for.
    const { stdout } = await run('bash', [
      '-c',
      'out=$("$0" "$@") && echo "$out"',
      join(this.#scripts, 'start'),
      String(this.port),
      this.directory,
      ...settings,
    ])
    this.pid = Number(stdout.trim())
  }

  async stop(): Promise<void> {
    await run(join(this.#scripts, 'stop'), [this.directory])
  }

  async kill(): Promise<void> {
    await run(join(this.#scripts, 'stop'), [this.directory, 'KILL'])
  }

  async awaitKilled(): Promise<void> {
    await run('bash', ['-c', `while kill -0 ${this.pid} 2> /dev/null; do sleep 0.02; done`])
  }

  /** The scripts cannot be interrupted: it is killed as soon as it serves. */
  async killWhileStarting(): Promise<void> {
    await this.restart()
    await this.kill()
  }

  async dispose(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A port that is free together with the next one, which the controller takes. */
async function freePortPair(): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const port = await probe(0)
    if (port && (await probe(port + 1))) return port
  }
  throw new Error('no two free ports in a row')
}

/** The port that could be bound, or 0. */
function probe(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(0))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
