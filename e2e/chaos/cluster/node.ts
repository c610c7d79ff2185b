import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { endWithParent } from '../../harness/own-group.ts'
import { exitCode, exitInTime, tail } from '../../harness/run.ts'
import { addressOfNode, OWN_ADDRESS } from '../network/own-address.ts'
import type { NodePlan, System } from './system.ts'

export type NodeState = 'running' | 'paused' | 'down'

/** One process of the cluster, by all lives that it has had. */
export class ChaosNode {
  readonly plan: NodePlan
  readonly #system: System
  #child: ChildProcess | null = null
  #exit: Promise<number> = Promise.resolve(0)
  #isPaused = false
  #isExpectedToEnd = false
  /** While its disk is broken it may end: a node that cannot keep its promises must not go on. */
  mayEnd = false
  /** Ends that nobody had asked for, with their code or signal. */
  readonly deaths: string[] = []

  constructor(plan: NodePlan, system: System) {
    this.plan = plan
    this.#system = system
    mkdirSync(plan.directory, { recursive: true })
  }

  get id(): number {
    return this.plan.id
  }

  get name(): string {
    return String(this.plan.id)
  }

  get state(): NodeState {
    if (this.#child === null) return 'down'
    return this.#isPaused ? 'paused' : 'running'
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get logFile(): string {
    return join(this.plan.directory, 'node.log')
  }

  /** The end of what it has logged, for messages. */
  get logTail(): string {
    return tail(readFileSync(this.logFile, 'utf8'))
  }

  /** Starts it, if it is down. It serves some time later. */
  start(): void {
    if (this.#child !== null) return
    const [command, args] = this.#system.command(this.plan)
    const log = openSync(this.logFile, 'a')
    const child = spawn(command, [...args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...(this.#system.isNode ? ownAddress(this.plan.id) : {}), ...this.plan.environment },
      detached: true,
    })
    closeSync(log)
    endWithParent(child)
    this.#child = child
    this.#isExpectedToEnd = false
    this.#exit = exitCode(child)
    this.#exit.then(
      (code) => this.#onExit(child, String(child.signalCode ?? code)),
      (error: unknown) => this.#onExit(child, String(error)),
    )
  }

  /** SIGKILL, and waits until it is gone. A paused one can be killed too. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#isExpectedToEnd = true
    child.kill('SIGKILL')
    await this.#exit
  }

  /** Asks it to end, waits, and kills it if it does not within `timeoutMs`. Fails then. */
  async stop(timeoutMs = 60_000): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#isExpectedToEnd = true
    this.resume()
    child.kill('SIGTERM')
    const code = await exitInTime(child, this.#exit, timeoutMs)
    // A JVM tells by its exit code that it was asked to end.
    if (code !== 0 && code !== 143) this.deaths.push(`${child.signalCode ?? code} when it was to end`)
  }

  pause(): void {
    if (this.#child === null) return
    this.#isPaused = true
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#child === null || !this.#isPaused) return
    this.#isPaused = false
    this.#child.kill('SIGCONT')
  }

  /** Whether its port takes connections, asked without any proxy. */
  isListening(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.plan.port, host: '127.0.0.1', timeout: 1000 })
      const finish = (isListening: boolean) => {
        socket.destroy()
        resolve(isListening)
      }
      socket.once('connect', () => finish(true))
      socket.once('error', () => finish(false))
      socket.once('timeout', () => finish(false))
    })
  }

  /** Lines that its system must never log, the first few. */
  badLines(): string[] {
    const lines = readFileSync(this.logFile, 'utf8').split('\n')
    return lines.filter((line) => this.#system.badLines.some((pattern) => pattern.test(line))).slice(0, 10)
  }

  #onExit(child: ChildProcess, how: string): void {
    if (this.#child !== child) return
    this.#child = null
    this.#isPaused = false
    if (!this.#isExpectedToEnd && !this.mayEnd) this.deaths.push(how)
  }
}

/** Lets a node connect from an address of its own. */
function ownAddress(id: number): Readonly<Record<string, string>> {
  const preload = join(import.meta.dirname, '../network/own-address-preload.ts')
  return { NODE_OPTIONS: `--require=${preload}`, [OWN_ADDRESS]: addressOfNode(id) }
}
