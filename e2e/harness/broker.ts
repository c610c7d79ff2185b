import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { KafkaProcess } from './kafka-process.ts'
import { endWithParent } from './own-group.ts'
import { places, requirePlace } from './places.ts'
import { exitCode, exitInTime, tail } from './run.ts'
import type { Broker, Settings } from './running-broker.ts'

/** What tests want different from the defaults: rebalances without a first delay, and few partitions to load at a restart. */
const testSettings: Settings = {
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.heartbeat.interval.ms': '500',
  'group.consumer.min.heartbeat.interval.ms': '500',
  'offsets.topic.num.partitions': '8',
  'transaction.state.log.num.partitions': '8',
}

export interface StartOptions {
  /** Where its files go: made by the caller, removed by `dispose`. Default: a new folder for temporary files. */
  readonly directory?: string
  /** Added to the environment of its process. */
  readonly environment?: Readonly<Record<string, string>>
  /** Ctrl-C at the terminal is for the caller alone, who ends the broker in order. */
  readonly ownGroup?: boolean
  /** Where it serves clients. Default: a port that is free. */
  readonly port?: number
}

/**
 * Starts a broker on a free port with files of its own. With `E2E_KAFKA` (a folder with scripts `start PORT DIR k=v…` and `stop DIR`)
 * it is an Apache Kafka instead: what a test demands of Millrace must hold for Kafka too, or the test is wrong.
 */
export async function startBroker(settings: Settings = {}, options: StartOptions = {}): Promise<Broker> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'millrace-e2e-'))
  const all = { ...testSettings, ...settings }
  const scripts = process.env.E2E_KAFKA
  const broker = scripts ? new KafkaProcess(scripts, directory, all) : new MillraceProcess(directory, all, options)
  try {
    await broker.restart()
  } catch (error) {
    await broker.dispose()
    throw error
  }
  return broker
}

/** Built Millrace as a child process. `ready …` on its standard output tells that it serves. */
class MillraceProcess implements Broker {
  readonly directory: string
  port: number
  readonly #settings: Settings
  readonly #environment: Readonly<Record<string, string>>
  readonly #ownGroup: boolean
  #child: ChildProcess | null = null
  #exit: Promise<number> = Promise.resolve(0)

  constructor(directory: string, settings: Settings, options: StartOptions) {
    const { environment = {}, ownGroup = false, port = 0 } = options
    this.directory = directory
    this.port = port
    this.#settings = settings
    this.#environment = environment
    this.#ownGroup = ownGroup
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get #log(): string {
    return join(this.directory, 'broker.log')
  }

  async restart(): Promise<void> {
    const settings = Object.entries(this.#settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const args = [
      requirePlace(places.millrace),
      'start',
      '--port',
      String(this.port),
      '--data-dir',
      join(this.directory, 'data'),
    ]
    const child = spawn(process.execPath, [...args, ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#environment },
      detached: this.#ownGroup,
    })
    if (this.#ownGroup) endWithParent(child)
    this.#child = child
    this.#exit = exitCode(child)
    const log = createWriteStream(this.#log, { flags: 'a' })
    child.stderr.pipe(log, { end: false })
    child.once('close', () => log.end())
    const lines = createInterface({ input: child.stdout })
    const ready = new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no ready line within 30 s')), 30_000)
      lines.on('line', (line) => {
        log.write(`${line}\n`)
        const port = /^ready [\d.]+:(\d+) node \d+ pid \d+ in \d+ ms$/.exec(line)?.[1]
        if (!port) return
        clearTimeout(timer)
        resolve(Number(port))
      })
      this.#exit.then(
        (code) => {
          clearTimeout(timer)
          reject(new Error(`exited with ${code} before it was ready`))
        },
        (error) => {
          clearTimeout(timer)
          reject(error)
        },
      )
    })
    this.port = await ready.catch(async (error) => {
      this.#child = null
      child.kill('SIGKILL')
      await this.#exit
      throw new Error(`broker: ${error.message}\n${this.#output()}`)
    })
  }

  #output(): string {
    return tail(readFileSync(this.#log, 'utf8'))
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) throw new Error('the broker does not run')
    this.#child = null
    child.kill('SIGTERM')
    const code = await exitInTime(child, this.#exit)
    if (code !== 0) throw new Error(`broker stopped with ${code}\n${this.#output()}`)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const hadEnded = child.exitCode !== null || child.signalCode !== null
    child.kill('SIGKILL')
    const code = await this.#exit
    // Otherwise a broker that dies of its own faults would pass every test that kills it anyway.
    if (hadEnded || child.signalCode !== 'SIGKILL')
      throw new Error(`broker ended by itself with ${child.signalCode ?? code}\n${this.#output()}`)
  }

  async awaitKilled(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const code = await this.#exit
    if (child.signalCode !== 'SIGKILL') throw new Error(`broker ended by itself with ${code}\n${this.#output()}`)
  }

  async killWhileStarting(afterMs: number): Promise<void> {
    const failed = this.restart().then(
      () => null,
      (error: unknown) => error,
    )
    await delay(afterMs)
    // It had ended before anybody killed it.
    if (this.#child === null) throw await failed
    await this.kill()
    await failed
  }

  async dispose(): Promise<void> {
    try {
      await this.kill()
    } finally {
      rmSync(this.directory, { recursive: true, force: true })
    }
  }
}
