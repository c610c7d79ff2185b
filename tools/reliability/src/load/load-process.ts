import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

type Told<Report> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'report'; readonly report: Report }

/** Thousands of connections are made one after the other before a load is ready. */
const READY_MAX_MS = 300_000
const REPORT_MAX_MS = 60_000

/**
 * How a load gets the machine's processors. `yielding`: niced, as work in the background. `idle`: only while nothing else wants them
 * (`SCHED_IDLE`), as if it ran on other machines: a niced process that runs still keeps others waiting until the next tick, 4 ms.
 */
export type LoadPriority = 'normal' | 'yielding' | 'idle'

const YIELDING_NICENESS = 10
const LOWEST_NICENESS = 19

function setLoadPriority(pid: number, priority: LoadPriority): void {
  // A campaign that was niced more itself may not take any of that back.
  if (priority === 'yielding') setPriority(pid, Math.max(getPriority(), YIELDING_NICENESS))
  if (priority !== 'idle') return
  const { status, stderr, error } = spawnSync('chrt', ['--all-tasks', '--idle', '--pid', '0', String(pid)], {
    encoding: 'utf8',
  })
  if (status !== 0) {
    const reason = error?.message ?? stderr.trim()
    throw new Error(`a load of the lowest priority needs \`chrt\` of util-linux (Linux): ${reason}`)
  }
  // Where the kernel groups processes by session, priorities count within a group only, and groups get equal shares.
  const group = `/proc/${pid}/autogroup`
  if (existsSync(group)) writeFileSync(group, String(LOWEST_NICENESS))
}

/** A load as the campaign sees it: a process that can be asked how it goes, and that ends with all its connections at once. */
export class LoadProcess<Report> {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /**
   * Runs a program that calls {@link runLoad}, in a process of its own, so that what it costs is not measured as the broker's latency.
   * Resolves when the load runs; rejects if it cannot.
   */
  static async start<Plan extends object, Report>(
    program: string,
    plan: Plan,
    priority: LoadPriority = 'normal',
  ): Promise<LoadProcess<Report>> {
    // In a session of its own, whose priority is not the campaign's. It ends when the campaign does, however that ends.
    const detached = priority === 'idle'
    const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached })
    const load = new LoadProcess<Report>(child)
    try {
      if (child.pid !== undefined) setLoadPriority(child.pid, priority)
      const told = await load.#ask(plan, READY_MAX_MS)
      if (told.kind !== 'ready')
        throw new Error(told.kind === 'failed' ? told.reason : `the load told its ${told.kind} first`)
    } catch (error) {
      await load.kill()
      throw error
    }
    return load
  }

  /** Rejects if the process has ended by itself, or does not answer. */
  async report(): Promise<Report> {
    const told = await this.#ask('report', REPORT_MAX_MS)
    if (told.kind !== 'report') throw new Error(`the load answered ${told.kind}`)
    return told.report
  }

  /** Every connection ends at once, as when a rack loses its power. */
  async kill(): Promise<void> {
    if (hasEnded(this.#child)) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  /** One question at a time. */
  #ask(message: object | 'report', maxMs: number): Promise<Told<Report>> {
    const child = this.#child
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer)
        child.off('exit', onExit)
        child.off('message', onMessage)
        end()
      }
      const fail = (reason: string) => settle(() => reject(new Error(reason)))
      const onExit = () => fail('the load’s process ended by itself')
      const onMessage = (told: Told<Report>) => settle(() => resolve(told))
      const timer = setTimeout(() => fail(`the load did not answer within ${maxMs} ms`), maxMs)
      if (hasEnded(child)) {
        onExit()
        return
      }
      child.once('exit', onExit)
      child.once('message', onMessage)
      child.send(message, (error) => {
        if (error !== null) fail(`the load could not be asked: ${error.message}`)
      })
    })
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** The other side: starts the load that the campaign's plan describes, and tells of it when asked. */
export function runLoad<Plan extends object, Report>(start: (plan: Plan) => Promise<() => Report>): void {
  const tell = (told: Told<Report>) => process.send?.(told)
  let report: (() => Report) | null = null
  process.on('message', (message: Plan | 'report') => {
    if (message === 'report') {
      if (report !== null) tell({ kind: 'report', report: report() })
      return
    }
    start(message as Plan).then(
      (started) => {
        report = started
        tell({ kind: 'ready' })
      },
      (error: unknown) => tell({ kind: 'failed', reason: String(error) }),
    )
  })
  // Ctrl-C is for the campaign, which wants a report before it ends this process.
  process.on('SIGINT', () => undefined)
  // The campaign is gone, however it ended.
  process.on('disconnect', () => process.exit(0))
}
